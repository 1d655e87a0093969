package placement

import (
	"net/http"
	"slices"
	"strings"

	"github.com/google/uuid"

	"bolide/test/controller/store"
	"bolide/test/controller/web"
)

// provider is the record of a resource provider.
type provider struct {
	UUID       string `json:"uuid"`
	Name       string `json:"name"`
	Generation int    `json:"generation"`
	Parent     string `json:"parent,omitempty"`
	Root       string `json:"root"`

	Inventories map[string]inventory `json:"inventories"`
	Traits      []string             `json:"traits"`
	Aggregates  []string             `json:"aggregates"`
}

const providers = "resource_providers"

func readProvider(tx *store.Tx, id string) (provider, error) {
	var p provider
	found, err := tx.Get(providers, id, &p)
	if err == nil && !found {
		err = web.Refuse(http.StatusNotFound, "", "No resource provider with uuid %s found", id)
	}
	return p, err
}

// view is a provider as the API shows it.
func (p provider) view() map[string]any {
	self := "/resource_providers/" + p.UUID
	links := []any{map[string]string{"rel": "self", "href": self}}
	for _, part := range []string{"inventories", "usages", "aggregates", "traits", "allocations"} {
		links = append(links, map[string]string{"rel": part, "href": self + "/" + part})
	}
	v := map[string]any{
		"uuid": p.UUID, "name": p.Name, "generation": p.Generation, "root_provider_uuid": p.Root,
		"parent_provider_uuid": nil, "links": links,
	}
	if p.Parent != "" {
		v["parent_provider_uuid"] = p.Parent
	}
	return v
}

func (s *Service) listProviders(c *web.Call) error {
	query := c.URL.Query()
	list := []any{}
	err := s.store.View(func(tx *store.Tx) error {
		root := ""
		if id := query.Get("in_tree"); id != "" {
			p, err := readProvider(tx, id)
			if err != nil {
				return nil // a tree of none
			}
			root = p.Root
		}
		found, err := store.All(tx, providers, func(p provider) bool {
			switch {
			case root != "" && p.Root != root,
				query.Has("in_tree") && root == "",
				query.Has("uuid") && p.UUID != query.Get("uuid"),
				query.Has("name") && p.Name != query.Get("name"):
				return false
			}
			return memberOf(p, query["member_of"]) && required(p, query["required"])
		})
		for _, p := range found {
			list = append(list, p.view())
		}
		return err
	})
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]any{"resource_providers": list})
}

// memberOf: every condition names one aggregate, or several as in:A,B of which
// one will do.
func memberOf(p provider, conditions []string) bool {
	for _, condition := range conditions {
		any := strings.Split(strings.TrimPrefix(condition, "in:"), ",")
		if !slices.ContainsFunc(any, func(a string) bool { return slices.Contains(p.Aggregates, a) }) {
			return false
		}
	}
	return true
}

func required(p provider, conditions []string) bool {
	for _, condition := range conditions {
		for _, trait := range strings.Split(condition, ",") {
			forbidden := strings.HasPrefix(trait, "!")
			if slices.Contains(p.Traits, strings.TrimPrefix(trait, "!")) == forbidden {
				return false
			}
		}
	}
	return true
}

func (s *Service) createProvider(c *web.Call) error {
	var in struct {
		UUID   string `json:"uuid"`
		Name   string `json:"name"`
		Parent string `json:"parent_provider_uuid"`
	}
	if err := c.Read(&in); err != nil {
		return err
	}
	if in.UUID == "" {
		in.UUID = uuid.NewString()
	}
	p := provider{UUID: in.UUID, Name: in.Name, Parent: in.Parent, Root: in.UUID, Inventories: map[string]inventory{}, Traits: []string{}, Aggregates: []string{}}
	err := s.store.Update(func(tx *store.Tx) error {
		taken, err := store.All(tx, providers, func(other provider) bool { return other.UUID == p.UUID || other.Name == p.Name })
		switch {
		case err != nil:
			return err
		case len(taken) > 0 && taken[0].UUID == p.UUID:
			return conflict("Conflicting resource provider uuid: %s already exists.", p.UUID)
		case len(taken) > 0:
			return conflict("Conflicting resource provider name: %s already exists.", p.Name)
		}
		if p.Parent != "" {
			parent, err := readProvider(tx, p.Parent)
			if err != nil {
				return web.Refuse(http.StatusBadRequest, "", "parent provider %s does not exist", p.Parent)
			}
			p.Root = parent.Root
		}
		return tx.Put(providers, p.UUID, p)
	})
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, p.view())
}

func (s *Service) showProvider(c *web.Call) error {
	p, err := s.read(c)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, p.view())
}

func (s *Service) renameProvider(c *web.Call) error {
	var in struct{ Name string }
	if err := c.Read(&in); err != nil {
		return err
	}
	var p provider
	err := s.store.Update(func(tx *store.Tx) (err error) {
		if p, err = readProvider(tx, c.PathValue("uuid")); err != nil {
			return err
		}
		p.Name = in.Name
		return tx.Put(providers, p.UUID, p)
	})
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, p.view())
}

func (s *Service) deleteProvider(c *web.Call) error {
	id := c.PathValue("uuid")
	err := s.store.Update(func(tx *store.Tx) error {
		if _, err := readProvider(tx, id); err != nil {
			return err
		}
		used, err := usage(tx, id)
		if err != nil {
			return err
		}
		if len(used) > 0 {
			return conflict("Unable to delete resource provider %s: Resource provider has allocations.", id)
		}
		children, err := store.All(tx, providers, func(p provider) bool { return p.Parent == id })
		if err != nil {
			return err
		}
		if len(children) > 0 {
			return conflict("Unable to delete parent resource provider %s: It has child resource providers.", id)
		}
		return tx.Delete(providers, id)
	})
	if err != nil {
		return err
	}
	return c.Done(http.StatusNoContent)
}

// read finds the provider of the request's path.
func (s *Service) read(c *web.Call) (provider, error) {
	var p provider
	err := s.store.View(func(tx *store.Tx) (err error) {
		p, err = readProvider(tx, c.PathValue("uuid"))
		return err
	})
	return p, err
}

// change rewrites the provider of the request's path, if the caller has seen its
// last generation.
func (s *Service) change(c *web.Call, generation int, fn func(tx *store.Tx, p *provider) error) (provider, error) {
	var p provider
	err := s.store.Update(func(tx *store.Tx) (err error) {
		if p, err = readProvider(tx, c.PathValue("uuid")); err != nil {
			return err
		}
		if p.Generation != generation {
			return outdated("resource provider generation conflict")
		}
		if err := fn(tx, &p); err != nil {
			return err
		}
		p.Generation++
		return tx.Put(providers, p.UUID, p)
	})
	return p, err
}
