package placement

import (
	"net/http"
	"slices"
	"strings"

	"bolide/test/controller/store"
	"bolide/test/controller/web"
)

// customTraits are those that were made here; the standard ones always exist.
const customTraits = "traits"

const customPrefix = "CUSTOM_"

// standard are the namespaces of the traits every Placement knows.
var standard = []string{"COMPUTE_", "HW_", "MISC_", "STORAGE_", "OWNER_"}

func knownTrait(tx *store.Tx, name string) (bool, error) {
	if slices.ContainsFunc(standard, func(prefix string) bool { return strings.HasPrefix(name, prefix) }) {
		return true, nil
	}
	return tx.Get(customTraits, name, new(string))
}

func (s *Service) listTraits(c *web.Call) error {
	found := []string{}
	names := strings.Split(strings.TrimPrefix(c.URL.Query().Get("name"), "in:"), ",")
	err := s.store.View(func(tx *store.Tx) error {
		for _, name := range names {
			known, err := knownTrait(tx, name)
			if err != nil {
				return err
			}
			if known {
				found = append(found, name)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]any{"traits": found})
}

func (s *Service) createTrait(c *web.Call) error { return s.custom(c, customTraits) }

func (s *Service) createClass(c *web.Call) error { return s.custom(c, "resource_classes") }

// custom makes a name of the administrator's own: 201, or 204 when it exists.
func (s *Service) custom(c *web.Call, bucket string) error {
	name := c.PathValue("name")
	if !strings.HasPrefix(name, customPrefix) {
		return web.Refuse(http.StatusBadRequest, "", "The name %s must begin with %s", name, customPrefix)
	}
	status := http.StatusCreated
	err := s.store.Update(func(tx *store.Tx) error {
		found, err := tx.Get(bucket, name, new(string))
		if err != nil {
			return err
		}
		if found {
			status = http.StatusNoContent
		}
		return tx.Put(bucket, name, name)
	})
	if err != nil {
		return err
	}
	return c.Done(status)
}
