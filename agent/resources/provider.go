package resources

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/sirupsen/logrus"

	"bolide/agent/cloud"
)

// conflictTries is how often an update is tried when another writer was quicker.
const conflictTries = 4

// provider is the host's resource provider in Placement: what was last read of it, and how to bring it to what
// the host has. One caller at a time; [Tracker.saving] sees to it.
type provider struct {
	client  *cloud.Placement
	refresh time.Duration
	now     func() time.Time
	log     *logrus.Entry

	uuid        string
	readAt      time.Time // zero: nothing read, or what was read is known to be stale
	generation  int
	inventories map[string]cloud.Inventory
	traits      []string
}

// want is what Placement should know of the host.
type want struct {
	uuid, name  string
	inventories map[string]cloud.Inventory
	ours        map[string]bool // every trait that is ours to say, and whether the host has it
}

// ensure brings the provider to what is wanted, creating it if it is missing. What others put on the provider
// (custom traits, aggregates, inventory of classes that are not ours) stays. When another writer was quicker it
// reads again and tries again.
func (p *provider) ensure(ctx context.Context, id cloud.Identity, w want) error {
	var err error
	for range conflictTries {
		if err = p.attempt(ctx, id, w); err == nil {
			return nil
		}
		p.forget() // whatever went wrong, what is known may no longer hold
		if !cloud.IsConcurrentUpdate(err) && !cloud.IsNotFound(err) {
			break
		}
	}
	return err
}

// forget makes the next update read the provider again.
func (p *provider) forget() { p.readAt = time.Time{} }

func (p *provider) attempt(ctx context.Context, id cloud.Identity, w want) error {
	if p.stale(w.uuid) {
		if err := p.read(ctx, id, w); err != nil {
			return err
		}
	}
	if err := p.putInventories(ctx, id, w); err != nil {
		return err
	}
	return p.putTraits(ctx, id, w)
}

func (p *provider) stale(uuid string) bool {
	return p.readAt.IsZero() || p.uuid != uuid || (p.refresh > 0 && p.now().Sub(p.readAt) >= p.refresh)
}

// read finds the provider or creates it, and reads what it has.
func (p *provider) read(ctx context.Context, id cloud.Identity, w want) error {
	found, err := p.find(ctx, id, w)
	if err != nil {
		return err
	}
	inv, err := p.client.Inventories(ctx, id, found.UUID)
	if err != nil {
		return fmt.Errorf("read the inventory of provider %s: %w", found.UUID, err)
	}
	traits, err := p.client.Traits(ctx, id, found.UUID)
	if err != nil {
		return fmt.Errorf("read the traits of provider %s: %w", found.UUID, err)
	}
	p.uuid, p.readAt = found.UUID, p.now()
	p.generation = traits.Generation
	p.inventories, p.traits = inv.Inventories, traits.Traits
	return nil
}

// find returns the provider with the node's UUID, creating it if there is none. A provider of another UUID that
// bears the node's name was left behind when the service was deleted and made anew; if nothing is allocated from
// it, it gives way.
func (p *provider) find(ctx context.Context, id cloud.Identity, w want) (*cloud.Provider, error) {
	tree, err := p.client.ProvidersInTree(ctx, id, w.uuid)
	if err != nil {
		return nil, fmt.Errorf("look up provider %s: %w", w.uuid, err)
	}
	for _, found := range tree {
		if found.UUID == w.uuid {
			return &found, nil
		}
	}
	created, err := p.client.CreateProvider(ctx, id, cloud.Provider{UUID: w.uuid, Name: w.name})
	if cloud.IsConflict(err) {
		if err := p.clearName(ctx, id, w); err != nil {
			return nil, err
		}
		created, err = p.client.CreateProvider(ctx, id, cloud.Provider{UUID: w.uuid, Name: w.name})
	}
	if err != nil {
		return nil, fmt.Errorf("create provider %s (%s): %w", w.uuid, w.name, err)
	}
	p.log.WithField("provider", w.uuid).Info("resource provider created")
	return created, nil
}

func (p *provider) clearName(ctx context.Context, id cloud.Identity, w want) error {
	holders, err := p.client.Providers(ctx, id, map[string][]string{"name": {w.name}})
	if err != nil {
		return fmt.Errorf("look up the provider named %s: %w", w.name, err)
	}
	for _, old := range holders {
		if old.UUID == w.uuid {
			return nil
		}
		if err := p.client.DeleteProvider(ctx, id, old.UUID); err != nil {
			return fmt.Errorf("provider %s has the name %s of this host and cannot be removed; delete its allocations first: %w", old.UUID, w.name, err)
		}
		p.log.WithField("provider", old.UUID).Warn("provider left behind under this host's name removed")
	}
	return nil
}

func (p *provider) putInventories(ctx context.Context, id cloud.Identity, w want) error {
	if maps.Equal(p.inventories, w.inventories) {
		return nil
	}
	out, err := p.client.SetInventories(ctx, id, w.uuid, cloud.Inventories{Generation: p.generation, Inventories: w.inventories})
	if err != nil {
		return fmt.Errorf("set the inventory of provider %s: %w", w.uuid, err)
	}
	p.generation, p.inventories = out.Generation, out.Inventories
	return nil
}

func (p *provider) putTraits(ctx context.Context, id cloud.Identity, w want) error {
	traits := merge(p.traits, w.ours)
	if slices.Equal(traits, slices.Sorted(slices.Values(p.traits))) {
		return nil
	}
	out, err := p.client.SetTraits(ctx, id, w.uuid, cloud.Traits{Generation: p.generation, Traits: traits})
	if cloud.IsStatus(err, 400) { // Placement is older than a trait of ours
		err = p.createTraits(ctx, id, traits)
		if err == nil {
			out, err = p.client.SetTraits(ctx, id, w.uuid, cloud.Traits{Generation: p.generation, Traits: traits})
		}
	}
	if err != nil {
		return fmt.Errorf("set the traits of provider %s: %w", w.uuid, err)
	}
	p.generation, p.traits = out.Generation, out.Traits
	return nil
}

// createTraits makes the traits that Placement does not know, where it lets us: only custom ones.
func (p *provider) createTraits(ctx context.Context, id cloud.Identity, names []string) error {
	known, err := p.client.KnownTraits(ctx, id, names)
	if err != nil {
		return err
	}
	var errs []error
	for _, n := range names {
		if !slices.Contains(known, n) {
			errs = append(errs, p.client.CreateTrait(ctx, id, n))
		}
	}
	return errors.Join(errs...)
}

// merge leaves the traits of others, adds ours that hold and takes away ours that do not, in order.
func merge(have []string, ours map[string]bool) []string {
	set := map[string]bool{}
	for _, t := range have {
		set[t] = true
	}
	for t, holds := range ours {
		if holds {
			set[t] = true
		} else {
			delete(set, t)
		}
	}
	return slices.Sorted(maps.Keys(set))
}
