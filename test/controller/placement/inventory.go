package placement

import (
	"net/http"
	"slices"

	"bolide/test/controller/store"
	"bolide/test/controller/web"
)

// inventory of one resource class.
type inventory struct {
	Total    int     `json:"total"`
	Reserved int     `json:"reserved"`
	MinUnit  int     `json:"min_unit"`
	MaxUnit  int     `json:"max_unit"`
	StepSize int     `json:"step_size"`
	Ratio    float64 `json:"allocation_ratio"`
}

// unbounded is what Placement takes for "no limit".
const unbounded = 1<<31 - 1

type inventories struct {
	Generation  int                  `json:"resource_provider_generation"`
	Inventories map[string]inventory `json:"inventories"`
}

func (s *Service) showInventories(c *web.Call) error {
	p, err := s.read(c)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, inventories{p.Generation, p.Inventories})
}

func (s *Service) setInventories(c *web.Call) error {
	var in inventories
	if err := c.Read(&in); err != nil {
		return err
	}
	p, err := s.change(c, in.Generation, func(tx *store.Tx, p *provider) error {
		used, err := usage(tx, p.UUID)
		if err != nil {
			return err
		}
		for class := range used {
			if _, kept := in.Inventories[class]; !kept {
				return web.Refuse(http.StatusConflict, "placement.inventory.inuse", "Inventory for '%s' on resource provider '%s' in use.", class, p.UUID)
			}
		}
		p.Inventories = map[string]inventory{}
		for class, v := range in.Inventories {
			p.Inventories[class] = v.complete()
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, inventories{p.Generation, p.Inventories})
}

// complete fills in what may be left out.
func (v inventory) complete() inventory {
	for field, value := range map[*int]int{&v.MinUnit: 1, &v.MaxUnit: unbounded, &v.StepSize: 1} {
		if *field == 0 {
			*field = value
		}
	}
	if v.Ratio == 0 {
		v.Ratio = 1
	}
	return v
}

type traits struct {
	Generation int      `json:"resource_provider_generation"`
	Traits     []string `json:"traits"`
}

func (s *Service) showTraits(c *web.Call) error {
	p, err := s.read(c)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, traits{p.Generation, p.Traits})
}

func (s *Service) setTraits(c *web.Call) error {
	var in traits
	if err := c.Read(&in); err != nil {
		return err
	}
	p, err := s.change(c, in.Generation, func(tx *store.Tx, p *provider) error {
		for _, name := range in.Traits {
			if known, err := knownTrait(tx, name); err != nil || !known {
				return errorOr(err, web.Refuse(http.StatusBadRequest, "", "No such trait %s.", name))
			}
		}
		p.Traits = append([]string{}, in.Traits...)
		slices.Sort(p.Traits)
		return nil
	})
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, traits{p.Generation, p.Traits})
}

func errorOr(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

type aggregates struct {
	Generation int      `json:"resource_provider_generation"`
	Aggregates []string `json:"aggregates"`
}

func (s *Service) showAggregates(c *web.Call) error {
	p, err := s.read(c)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, aggregates{p.Generation, p.Aggregates})
}

func (s *Service) setAggregates(c *web.Call) error {
	var in aggregates
	if err := c.Read(&in); err != nil {
		return err
	}
	p, err := s.change(c, in.Generation, func(_ *store.Tx, p *provider) error {
		p.Aggregates = append([]string{}, in.Aggregates...)
		return nil
	})
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, aggregates{p.Generation, p.Aggregates})
}

// Resources of a provider and what is taken of them, for tests and tools.
type Resources struct {
	Total map[string]int
	Used  map[string]int
}

// Usage of a provider.
func (s *Service) Usage(providerUUID string) (Resources, error) {
	r := Resources{Total: map[string]int{}}
	err := s.store.View(func(tx *store.Tx) error {
		p, err := readProvider(tx, providerUUID)
		if err != nil {
			return err
		}
		for class, v := range p.Inventories {
			r.Total[class] = v.Total - v.Reserved
		}
		r.Used, err = usage(tx, providerUUID)
		return err
	})
	return r, err
}
