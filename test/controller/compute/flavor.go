package compute

import (
	"net/http"

	"github.com/google/uuid"

	"bolide/rpc"
	"bolide/rpc/nova"
	"bolide/test/controller/cell"
	"bolide/test/controller/web"
)

// FlavorOptions describe a flavor; sizes are MiB for memory and swap, GiB for
// disks.
type FlavorOptions struct {
	Name        string            `json:"name"`
	ID          string            `json:"id"`
	MemoryMB    int64             `json:"ram"`
	VCPUs       int64             `json:"vcpus"`
	RootGB      int64             `json:"disk"`
	EphemeralGB int64             `json:"OS-FLV-EXT-DATA:ephemeral"`
	SwapMB      any               `json:"swap"` // a number, or "" for none
	Extra       map[string]string `json:"extra_specs"`
}

// AddFlavor makes a flavor, unless there is one of that name, and returns its id.
func (s *Service) AddFlavor(o FlavorOptions) (string, error) {
	id := ""
	err := s.o.DB.Update(rpc.AdminContext(), func(tx *cell.Tx) error {
		existing, err := tx.Row("Flavor", func(f *nova.Object) bool { return f.Str("name") == o.Name })
		if err != nil {
			return err
		}
		if existing != nil {
			id = existing.Str("flavorid")
			return nil
		}
		f, err := addFlavor(tx, o)
		id = f.Str("flavorid")
		return err
	})
	return id, err
}

func addFlavor(tx *cell.Tx, o FlavorOptions) (*nova.Object, error) {
	f := tx.Profile().New("Flavor")
	if o.ID == "" || o.ID == "auto" {
		o.ID = uuid.NewString()
	}
	swap, _ := o.SwapMB.(float64)
	for field, value := range map[string]any{
		"name": o.Name, "flavorid": o.ID, "memory_mb": o.MemoryMB, "vcpus": o.VCPUs, "root_gb": o.RootGB,
		"ephemeral_gb": o.EphemeralGB, "swap": int64(swap),
	} {
		f.Set(field, value)
	}
	if o.Extra != nil {
		f.Set("extra_specs", o.Extra)
	}
	return f, tx.Create(f)
}

// flavor finds a flavor by its id in the API.
func flavor(tx *cell.Tx, id string) (*nova.Object, error) {
	f, err := tx.Row("Flavor", func(f *nova.Object) bool { return f.Str("flavorid") == id })
	if err == nil && f == nil {
		err = web.Refuse(http.StatusNotFound, "", "Flavor %s could not be found.", id)
	}
	return f, err
}

func flavorView(f *nova.Object) map[string]any {
	swap := any(f.Int("swap"))
	return map[string]any{
		"id": f.Str("flavorid"), "name": f.Str("name"), "ram": f.Int("memory_mb"), "vcpus": f.Int("vcpus"), "disk": f.Int("root_gb"),
		"OS-FLV-EXT-DATA:ephemeral": f.Int("ephemeral_gb"), "swap": swap, "rxtx_factor": 1.0, "OS-FLV-DISABLED:disabled": false,
		"os-flavor-access:is_public": true, "extra_specs": f.Raw("extra_specs"), "description": nil, "links": []any{},
	}
}

func (s *Service) listFlavors(c *web.Call) error {
	list := []any{}
	err := s.o.DB.View(s.context(c), func(tx *cell.Tx) error {
		rows, err := tx.Rows("Flavor", nil)
		for _, f := range rows {
			list = append(list, flavorView(f))
		}
		return err
	})
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]any{"flavors": list})
}

func (s *Service) showFlavor(c *web.Call) error {
	var f *nova.Object
	err := s.o.DB.View(s.context(c), func(tx *cell.Tx) (err error) {
		f, err = flavor(tx, c.PathValue("id"))
		return err
	})
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]any{"flavor": flavorView(f)})
}

func (s *Service) createFlavor(c *web.Call) error {
	var in struct{ Flavor FlavorOptions }
	if err := c.Read(&in); err != nil {
		return err
	}
	var f *nova.Object
	err := s.o.DB.Update(s.context(c), func(tx *cell.Tx) (err error) {
		taken, err := tx.Row("Flavor", func(f *nova.Object) bool {
			return f.Str("name") == in.Flavor.Name || in.Flavor.ID != "" && f.Str("flavorid") == in.Flavor.ID
		})
		if err != nil {
			return err
		}
		if taken != nil {
			return web.Refuse(http.StatusConflict, "", "Flavor with name %s already exists.", in.Flavor.Name)
		}
		f, err = addFlavor(tx, in.Flavor)
		return err
	})
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]any{"flavor": flavorView(f)})
}

func (s *Service) deleteFlavor(c *web.Call) error {
	err := s.o.DB.Update(s.context(c), func(tx *cell.Tx) error {
		f, err := flavor(tx, c.PathValue("id"))
		if err != nil {
			return err
		}
		return tx.Destroy(f, nil)
	})
	if err != nil {
		return err
	}
	return c.Done(http.StatusAccepted)
}
