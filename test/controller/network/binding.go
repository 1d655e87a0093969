package network

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"

	"bolide/test/controller/store"
	"bolide/test/controller/web"
)

// binding is one host's claim on a port; the ACTIVE one is what the port's own
// attributes show.
type binding struct {
	Host     string         `json:"host"`
	VNICType string         `json:"vnic_type"`
	VIFType  string         `json:"vif_type"`
	Details  map[string]any `json:"vif_details"`
	Profile  map[string]any `json:"profile"`
	Status   string         `json:"status"`
}

const (
	active   = "ACTIVE"
	inactive = "INACTIVE"
)

// bindings reads those of a port's record, by host.
func bindings(p record) map[string]binding {
	raw, err := json.Marshal(p["bindings"])
	out := map[string]binding{}
	if err == nil {
		_ = json.Unmarshal(raw, &out) // what is not there is empty
	}
	return out
}

// Connection is how the ports of a network are connected on a host.
type Connection string

// Connections.
const (
	Bridged  Connection = ""           // to a Linux bridge
	Switched Connection = "ovs"        // to Open vSwitch
	Hybrid   Connection = "ovs-hybrid" // to Open vSwitch, through a Linux bridge of the port's own
)

// way is how a port is bound on any host.
func (p record) way() (vifType string, details map[string]any) {
	c := Connection(p.text("connection"))
	details = map[string]any{"connectivity": "l2", "port_filter": c != Bridged}
	if c == Bridged {
		return "bridge", details
	}
	details["ovs_hybrid_plug"] = c == Hybrid
	details["bridge_name"], details["datapath_type"] = integrationBridge, "netdev"
	return "ovs", details
}

// rebind makes the port's binding that of the host its record now names, and
// forgets all others.
func (p record) rebind() {
	all := map[string]binding{}
	host := p.text("binding:host_id")
	p["binding:vif_type"], p["binding:vif_details"], p["status"] = "unbound", map[string]any{}, "DOWN"
	if host != "" {
		profile, _ := p["binding:profile"].(map[string]any)
		vifType, details := p.way()
		all[host] = binding{host, p.text("binding:vnic_type"), vifType, details, profile, active}
		p.expose(all[host])
	}
	p["bindings"] = all
}

// expose makes a binding the one that the port's attributes show.
func (p record) expose(b binding) {
	p["binding:host_id"], p["binding:vif_type"], p["binding:vif_details"] = b.Host, b.VIFType, b.Details
	p["binding:profile"] = b.Profile
	if b.Profile == nil {
		p["binding:profile"] = map[string]any{}
	}
}

func (s *Service) port(id string) (record, error) {
	var p record
	err := s.o.Store.View(func(tx *store.Tx) (err error) {
		p, err = get(tx, ports, id)
		return err
	})
	return p, err
}

func (s *Service) listBindings(c *web.Call) error {
	p, err := s.port(c.PathValue("id"))
	if err != nil {
		return err
	}
	all := bindings(p)
	list := []binding{}
	for _, host := range slices.Sorted(maps.Keys(all)) {
		list = append(list, all[host])
	}
	return c.JSON(http.StatusOK, map[string]any{"bindings": list})
}

func (s *Service) showBinding(c *web.Call) error {
	p, err := s.port(c.PathValue("id"))
	if err != nil {
		return err
	}
	b, ok := bindings(p)[c.PathValue("host")]
	if !ok {
		return notBound(c)
	}
	return c.JSON(http.StatusOK, map[string]any{"binding": b})
}

func notBound(c *web.Call) error {
	return web.Refuse(http.StatusNotFound, "PortBindingNotFound", "Binding for port %s for host %s could not be found.", c.PathValue("id"), c.PathValue("host"))
}

func (s *Service) createBinding(c *web.Call) error {
	var in struct{ Binding binding }
	if err := c.Read(&in); err != nil {
		return err
	}
	b := in.Binding
	b.Status = inactive
	if b.VNICType == "" {
		b.VNICType = "normal"
	}
	err := s.changeBindings(c.PathValue("id"), func(p record, all map[string]binding) error {
		if _, ok := all[b.Host]; ok {
			return web.Refuse(http.StatusConflict, "PortBindingAlreadyExists", "Binding for port %s on host %s already exists.", p.text("id"), b.Host)
		}
		b.VIFType, b.Details = p.way()
		if len(all) == 0 {
			b.Status = active
			p.expose(b)
		}
		all[b.Host] = b
		return nil
	})
	if err != nil {
		return err
	}
	return c.JSON(http.StatusCreated, map[string]any{"binding": b})
}

// Binding is how a port is bound on a host.
type Binding struct {
	VNICType, VIFType string
	Details           map[string]any
}

// BindElsewhere adds an inactive binding of a port to one more host, as conductor
// does before a live migration.
func (s *Service) BindElsewhere(portID, host string) (Binding, error) {
	b := binding{Host: host, VNICType: "normal", Status: inactive}
	err := s.changeBindings(portID, func(p record, all map[string]binding) error {
		b.VIFType, b.Details = p.way()
		all[host] = b
		return nil
	})
	return Binding{VNICType: b.VNICType, VIFType: b.VIFType, Details: b.Details}, err
}

func (s *Service) activateBinding(c *web.Call) error {
	var b binding
	var bound record
	err := s.changeBindings(c.PathValue("id"), func(p record, all map[string]binding) error {
		var ok bool
		if b, ok = all[c.PathValue("host")]; !ok {
			return notBound(c)
		}
		if b.Status == active {
			return web.Refuse(http.StatusConflict, "PortBindingAlreadyActive", "Binding for port %s on host %s is already active.", p.text("id"), b.Host)
		}
		for host, other := range all {
			other.Status = inactive
			all[host] = other
		}
		b.Status = active
		all[b.Host] = b
		p.expose(b)
		p["status"] = "DOWN"
		bound = p
		return nil
	})
	if err != nil {
		return err
	}
	s.boundTo(bound)
	return c.JSON(http.StatusOK, map[string]any{"binding": b})
}

func (s *Service) deleteBinding(c *web.Call) error {
	err := s.changeBindings(c.PathValue("id"), func(p record, all map[string]binding) error {
		b, ok := all[c.PathValue("host")]
		if !ok {
			return notBound(c)
		}
		delete(all, b.Host)
		if b.Status == active {
			p["binding:host_id"] = ""
			p["binding:vif_type"], p["binding:vif_details"], p["status"] = "unbound", map[string]any{}, "DOWN"
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.Done(http.StatusNoContent)
}

func (s *Service) changeBindings(portID string, fn func(p record, all map[string]binding) error) error {
	return s.o.Store.Update(func(tx *store.Tx) error {
		p, err := get(tx, ports, portID)
		if err != nil {
			return err
		}
		all := bindings(p)
		if err := fn(p, all); err != nil {
			return err
		}
		p["bindings"] = all
		p.changed()
		return put(tx, ports, p)
	})
}
