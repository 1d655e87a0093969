package ops

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"bolide/test/hosts"
	"bolide/test/openstack/api"
	"bolide/test/openstack/ground"
)

// twoHosts returns the two further hosts, and brings them up if there are none. From
// then on the scheduler chooses among them alone.
func (s *Session) twoHosts(ctx context.Context) (*ground.Pair, error) {
	if s.pair == nil && s.pairBroken == nil {
		if s.pairBroken = s.setHost(ctx, "disabled"); s.pairBroken == nil {
			s.pair, s.pairBroken = ground.NewPair(ctx, s.node)
		}
	}
	return s.pair, s.pairBroken
}

// endPair takes the two hosts down, if they are up, and leaves the cloud as it was.
func (s *Session) endPair(ctx context.Context) error {
	if s.pair == nil && s.pairBroken == nil {
		return nil
	}
	errs := []error{s.setHost(ctx, "enabled")}
	if s.traveller != "" {
		errs = append(errs, s.Drop(ctx, s.traveller))
	}
	if s.pair != nil {
		errs = append(errs, s.pair.Close(ctx))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("take the two hosts down: %w", err)
	}
	return nil
}

// hostsComeUp: both hosts serve, and nobody else is chosen.
func (s *Session) hostsComeUp(ctx context.Context) error {
	p, err := s.twoHosts(ctx)
	if err != nil {
		return err
	}
	for _, h := range p.All() {
		err := s.withSmall(ctx, "on-"+h.Name, api.Options{"host": h.Name}, func(id string) error {
			return s.isAt(ctx, id, h, running)
		})
		if err != nil {
			return fmt.Errorf("guest on %s: %w", h.Name, err)
		}
	}
	return nil
}

// besideNova is an operation with Nova's own node on the second host.
func besideNova(operation func(*Session, context.Context) error) func(*Session, context.Context) error {
	return func(s *Session, ctx context.Context) error {
		p, err := s.twoHosts(ctx)
		if err != nil {
			return err
		}
		if err := p.Serve(ctx, p.Two, ground.Node{Kind: "nova"}); err != nil {
			return err
		}
		return operation(s, ctx)
	}
}

// onTheWay boots a small guest on the first of the two hosts for use, and makes sure
// that it leaves nothing.
func (s *Session) onTheWay(ctx context.Context, name string, use func(p *ground.Pair, id string) error) error {
	p, err := s.twoHosts(ctx)
	if err != nil {
		return err
	}
	return s.withSmall(ctx, name, api.Options{"host": p.One.Name}, func(id string) error { return use(p, id) })
}

// movesTo asks for actions that take a guest to a host, and makes sure that it runs
// there and nowhere else.
func (s *Session) movesTo(ctx context.Context, id string, h *hosts.Host, turns ...turn) error {
	if err := s.changeOf(ctx, id, turns...); err != nil {
		return err
	}
	return s.isAt(ctx, id, h, running)
}

// libvirt's names of what a domain does.
const (
	running = "running"
	shutOff = "shut off"
)

// movesTimeout bounds an operation with the two hosts, and the first one brings them up.
const movesTimeout = 10 * time.Minute

// movedTimeout bounds the wait for what is done after a guest has arrived.
const movedTimeout = 2 * time.Minute

// isAt makes sure that a guest is on one of the two hosts, in a state, and that all
// there is of it is that host's: domain, files, tap, binding and allocation.
func (s *Session) isAt(ctx context.Context, id string, h *hosts.Host, state string) error {
	provider, err := s.provider(ctx, h.Name)
	if err != nil {
		return err
	}
	ports, err := s.portsOf(ctx, id)
	if err != nil {
		return err
	}
	return api.Until(ctx, movedTimeout, func(ctx context.Context) (bool, error) {
		v, err := s.Show(ctx, id)
		if err != nil {
			return true, err
		}
		if v.Host != h.Name || v.Hypervisor != h.Name {
			return false, fmt.Errorf("server is on %s (%s), want %s", v.Host, v.Hypervisor, h.Name)
		}
		is, err := virshAt(ctx, h.URI(), "domstate", id)
		if err == nil && strings.TrimSpace(is) != state {
			err = fmt.Errorf("domain on %s is %s, want %s", h.Name, strings.TrimSpace(is), state)
		}
		err = errors.Join(err,
			placeOf(s.pair.Other(h)).has(ctx, id, ports),
			s.boundTo(ctx, h.Name, ports),
			s.allocated(ctx, id, provider))
		return err == nil, err
	})
}

// boundTo tells in its error whether ports are bound to a host and to no other.
func (s *Session) boundTo(ctx context.Context, host string, ports []string) error {
	for _, p := range ports {
		var found struct {
			Bindings []struct{ Host, Status string }
		}
		if err := s.Get(ctx, api.Network+"/ports/"+p+"/bindings", &found); err != nil {
			return err
		}
		if len(found.Bindings) != 1 || found.Bindings[0].Host != host || found.Bindings[0].Status != "ACTIVE" {
			return fmt.Errorf("port %s has the bindings %v, want one, to %s", p, found.Bindings, host)
		}
	}
	return nil
}

// allocated tells in its error whether a guest takes from a provider alone, and its
// moves from none.
func (s *Session) allocated(ctx context.Context, id, provider string) error {
	taken, err := s.allocations(ctx, id)
	if err != nil {
		return err
	}
	if !slices.Equal(taken, []string{provider}) {
		return fmt.Errorf("guest has allocations of %v, want %s", taken, provider)
	}
	moves, err := s.migrations(ctx, id)
	if err != nil {
		return err
	}
	for _, m := range moves {
		if taken, err = s.allocations(ctx, m.UUID); err != nil {
			return err
		}
		if len(taken) > 0 {
			return fmt.Errorf("the %s of %s, %s, has allocations of %v", m.Type, m.Source, m.Status, taken)
		}
	}
	return nil
}

// migration is a move as Nova records it.
type migration struct {
	ID     int
	UUID   string
	Status string
	Type   string `json:"migration_type"`
	Source string `json:"source_compute"`
}

// migrations returns a guest's moves, the newest first.
func (s *Session) migrations(ctx context.Context, id string) ([]migration, error) {
	var found struct{ Migrations []migration }
	err := s.Get(ctx, api.Compute+"/os-migrations?instance_uuid="+id, &found)
	return found.Migrations, err
}
