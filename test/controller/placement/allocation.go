package placement

import (
	"errors"
	"net/http"

	"bolide/test/controller/store"
	"bolide/test/controller/web"
)

// consumer is the record of what an instance or migration takes.
type consumer struct {
	UUID        string           `json:"uuid"`
	Generation  int              `json:"consumer_generation"`
	ProjectID   string           `json:"project_id"`
	UserID      string           `json:"user_id"`
	Allocations map[string]share `json:"allocations"` // by provider
}

// share is what is taken of one provider.
type share struct {
	Resources  map[string]int `json:"resources"`
	Generation int            `json:"generation,omitempty"`
}

const consumers = "consumers"

// usage sums up by class what is taken of a provider.
func usage(tx *store.Tx, providerUUID string) (map[string]int, error) {
	all, err := store.All[consumer](tx, consumers, nil)
	used := map[string]int{}
	for _, c := range all {
		for class, n := range c.Allocations[providerUUID].Resources {
			used[class] += n
		}
	}
	return used, err
}

func (s *Service) listConsumers(c *web.Call) error {
	id := c.PathValue("uuid")
	out := map[string]any{}
	var p provider
	err := s.store.View(func(tx *store.Tx) (err error) {
		if p, err = readProvider(tx, id); err != nil {
			return err
		}
		all, err := store.All(tx, consumers, func(c consumer) bool { return c.Allocations[id].Resources != nil })
		for _, c := range all {
			out[c.UUID] = map[string]any{"resources": c.Allocations[id].Resources, "consumer_generation": c.Generation}
		}
		return err
	})
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]any{"allocations": out, "resource_provider_generation": p.Generation})
}

func (s *Service) showAllocation(c *web.Call) error {
	var found consumer
	err := s.store.View(func(tx *store.Tx) error {
		ok, err := tx.Get(consumers, c.PathValue("consumer"), &found)
		if err != nil || !ok {
			return err
		}
		for id, v := range found.Allocations {
			p, err := readProvider(tx, id)
			if err != nil {
				return err
			}
			v.Generation = p.Generation
			found.Allocations[id] = v
		}
		return nil
	})
	if err != nil {
		return err
	}
	if found.UUID == "" {
		return c.JSON(http.StatusOK, map[string]any{"allocations": map[string]any{}})
	}
	return c.JSON(http.StatusOK, map[string]any{
		"allocations": found.Allocations, "consumer_generation": found.Generation, "project_id": found.ProjectID, "user_id": found.UserID,
	})
}

// wanted is an allocation to be; a nil generation is that of a new consumer.
type wanted struct {
	Allocations map[string]share `json:"allocations"`
	Generation  *int             `json:"consumer_generation"`
	ProjectID   string           `json:"project_id"`
	UserID      string           `json:"user_id"`
}

func (s *Service) setAllocation(c *web.Call) error {
	var in wanted
	if err := c.Read(&in); err != nil {
		return err
	}
	return s.allocate(c, map[string]wanted{c.PathValue("consumer"): in})
}

func (s *Service) setAllocations(c *web.Call) error {
	var in map[string]wanted
	if err := c.Read(&in); err != nil {
		return err
	}
	return s.allocate(c, in)
}

func (s *Service) allocate(c *web.Call, all map[string]wanted) error {
	if err := s.store.Update(func(tx *store.Tx) error { return allocate(tx, all) }); err != nil {
		return err
	}
	return c.Done(http.StatusNoContent)
}

// allocate replaces what consumers take, all or none. What they had is given
// back first, so that resources can go from one to the other.
func allocate(tx *store.Tx, all map[string]wanted) error {
	next := map[string]int{}
	for id, w := range all {
		var old consumer
		found, err := tx.Get(consumers, id, &old)
		switch {
		case err != nil:
			return err
		case found != (w.Generation != nil), found && old.Generation != *w.Generation:
			return outdated("consumer generation conflict - expected %v but got another", old.Generation)
		}
		next[id] = old.Generation + 1
		if err := tx.Delete(consumers, id); err != nil {
			return err
		}
	}
	touched := map[string]bool{}
	for id, w := range all {
		if len(w.Allocations) == 0 {
			continue
		}
		for providerUUID, v := range w.Allocations {
			if err := fits(tx, providerUUID, v.Resources); err != nil {
				return err
			}
			touched[providerUUID] = true
		}
		c := consumer{id, next[id], w.ProjectID, w.UserID, w.Allocations}
		if err := tx.Put(consumers, id, c); err != nil {
			return err
		}
	}
	for id := range touched {
		p, err := readProvider(tx, id)
		if err != nil {
			return err
		}
		p.Generation++
		if err := tx.Put(providers, id, p); err != nil {
			return err
		}
	}
	return nil
}

// fits says whether a provider has that much left.
func fits(tx *store.Tx, providerUUID string, resources map[string]int) error {
	p, err := readProvider(tx, providerUUID)
	if err != nil {
		return web.Refuse(http.StatusBadRequest, "", "Allocation for resource provider '%s' that does not exist.", providerUUID)
	}
	used, err := usage(tx, providerUUID)
	if err != nil {
		return err
	}
	for class, n := range resources {
		v, ok := p.Inventories[class]
		capacity := int(float64(v.Total-v.Reserved) * v.Ratio)
		switch {
		case !ok:
			return conflict("Unable to allocate inventory: Inventory for '%s' on resource provider '%s' invalid.", class, providerUUID)
		case used[class]+n > capacity:
			return conflict("Unable to allocate inventory: Unable to create allocation for '%s' on resource provider '%s'. The requested amount would exceed the capacity.", class, providerUUID)
		case n < v.MinUnit || n > v.MaxUnit || n%v.StepSize != 0:
			return conflict("Unable to allocate inventory: Unable to create allocation for '%s' on resource provider '%s'. The requested amount would violate inventory constraints.", class, providerUUID)
		}
	}
	return nil
}

func (s *Service) deleteAllocation(c *web.Call) error {
	id := c.PathValue("consumer")
	err := s.store.Update(func(tx *store.Tx) error {
		found, err := tx.Get(consumers, id, &consumer{})
		if err == nil && !found {
			err = web.Refuse(http.StatusNotFound, "", "No allocations for consumer '%s'", id)
		}
		return errors.Join(err, tx.Delete(consumers, id))
	})
	if err != nil {
		return err
	}
	return c.Done(http.StatusNoContent)
}

// reshape moves inventories between providers, and allocations with them.
func (s *Service) reshape(c *web.Call) error {
	var in struct {
		Inventories map[string]inventories `json:"inventories"`
		Allocations map[string]wanted      `json:"allocations"`
	}
	if err := c.Read(&in); err != nil {
		return err
	}
	err := s.store.Update(func(tx *store.Tx) error {
		// Both the old and the new classes exist while the allocations move.
		for id, v := range in.Inventories {
			p, err := readProvider(tx, id)
			if err != nil {
				return err
			}
			if p.Generation != v.Generation {
				return outdated("resource provider generation conflict")
			}
			for class, i := range v.Inventories {
				p.Inventories[class] = i.complete()
			}
			if err := tx.Put(providers, id, p); err != nil {
				return err
			}
		}
		if err := allocate(tx, in.Allocations); err != nil {
			return err
		}
		for id, v := range in.Inventories {
			p, err := readProvider(tx, id)
			if err != nil {
				return err
			}
			for class := range p.Inventories {
				if _, kept := v.Inventories[class]; !kept {
					delete(p.Inventories, class)
				}
			}
			p.Generation++
			if err := tx.Put(providers, id, p); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.Done(http.StatusNoContent)
}

// Claim is a consumer's request for resources of one provider.
type Claim struct {
	Consumer, Provider string
	ProjectID, UserID  string
	Resources          map[string]int
}

// Claim takes resources for a consumer, instead of any it had: what a scheduler
// does. It fails when the provider has not enough left.
func (s *Service) Claim(c Claim) error {
	return s.store.Update(func(tx *store.Tx) error {
		var old consumer
		w := wanted{Allocations: map[string]share{c.Provider: {Resources: c.Resources}}, ProjectID: c.ProjectID, UserID: c.UserID}
		found, err := tx.Get(consumers, c.Consumer, &old)
		if err != nil {
			return err
		}
		if found {
			w.Generation = &old.Generation
		}
		return allocate(tx, map[string]wanted{c.Consumer: w})
	})
}

// Move gives a consumer's resources to another, as a resize does with those of
// the instance. The new consumer has none before.
func (s *Service) Move(from, to string) error {
	return s.store.Update(func(tx *store.Tx) error {
		var c consumer
		if found, err := tx.Get(consumers, from, &c); err != nil || !found {
			return err
		}
		c.UUID, c.Generation = to, 1
		return errors.Join(tx.Delete(consumers, from), tx.Put(consumers, to, c))
	})
}

// Release gives back everything a consumer takes.
func (s *Service) Release(id string) error {
	return s.store.Update(func(tx *store.Tx) error { return tx.Delete(consumers, id) })
}
