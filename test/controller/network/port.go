package network

import (
	"crypto/rand"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"strings"

	"bolide/test/controller/store"
	"bolide/test/controller/web"
)

func (s *Service) createPort(c *web.Call) error {
	var in struct{ Port record }
	if err := c.Read(&in); err != nil {
		return err
	}
	if err := allowed(c.Who, in.Port, "create", ports); err != nil {
		return err
	}
	p := stamped(c.Who.ProjectID)
	p.merge(record{
		"admin_state_up": true, "status": "DOWN", "device_id": "", "device_owner": "", "mac_address": newMAC(),
		"extra_dhcp_opts": []any{}, "fixed_ips": []any{},
		"binding:host_id": "", "binding:profile": map[string]any{}, "binding:vnic_type": "normal",
	})
	err := s.o.Store.Update(func(tx *store.Tx) error {
		n, err := get(tx, networks, in.Port.text("network_id"))
		if err != nil {
			return err
		}
		p["port_security_enabled"], p["connection"] = n["port_security_enabled"], n["connection"]
		if err := s.change(tx, p, in.Port); err != nil {
			return err
		}
		return insert(tx, ports, p)
	})
	if err != nil {
		return err
	}
	if p.text("binding:host_id") != "" {
		s.boundTo(p)
	}
	return answer(c, http.StatusCreated, ports, p)
}

func (s *Service) updatePort(c *web.Call) error {
	var in struct{ Port record }
	if err := c.Read(&in); err != nil {
		return err
	}
	if err := allowed(c.Who, in.Port, "update", ports); err != nil {
		return err
	}
	var p, before record
	err := s.o.Store.Update(func(tx *store.Tx) (err error) {
		if p, err = get(tx, ports, c.PathValue("id")); err != nil {
			return err
		}
		before = maps.Clone(p)
		if err := s.change(tx, p, in.Port); err != nil {
			return err
		}
		p.changed()
		return put(tx, ports, p)
	})
	if err != nil {
		return err
	}
	switch {
	case p.text("binding:host_id") != before.text("binding:host_id") && p.text("binding:host_id") != "":
		s.boundTo(p)
	case !reflect.DeepEqual(fixedIPs(p), fixedIPs(before)):
		s.notify("network-changed", p)
	}
	return answer(c, http.StatusOK, ports, p)
}

// change applies what the caller wants to a port.
func (s *Service) change(tx *store.Tx, p, wanted record) error {
	wanted = maps.Clone(wanted)
	_, asked := wanted["fixed_ips"]
	fresh := p["bindings"] == nil
	if asked || fresh {
		networkID := p.text("network_id")
		if networkID == "" {
			networkID = wanted.text("network_id")
		}
		ips, err := addresses(tx, p.text("id"), networkID, fixedIPs(wanted), asked)
		if err != nil {
			return err
		}
		wanted["fixed_ips"] = ips
	}
	for _, name := range []string{"binding:host_id", "binding:profile"} {
		if value, given := wanted[name]; given && value == nil {
			wanted[name] = map[string]any{"binding:host_id": "", "binding:profile": map[string]any{}}[name]
		}
	}
	moved := wanted["binding:host_id"] != nil && wanted["binding:host_id"] != p["binding:host_id"]
	p.merge(wanted)
	if moved || fresh {
		p.rebind()
	}
	return nil
}

func (s *Service) deletePort(c *web.Call) error {
	id := c.PathValue("id")
	var p record
	err := s.o.Store.Update(func(tx *store.Tx) (err error) {
		if p, err = get(tx, ports, id); err != nil {
			return err
		}
		return tx.Delete(ports.path, id)
	})
	if err != nil {
		return err
	}
	s.notify("network-vif-deleted", p)
	return c.Done(http.StatusNoContent)
}

// notify tells Nova of a port that is an instance's.
func (s *Service) notify(name string, p record) {
	if p.text("device_id") != "" && strings.HasPrefix(p.text("device_owner"), "compute:") {
		s.o.Notify(Event{name, p.text("device_id"), p.text("id")})
	}
}

// tapName is what the host calls a port: the kernel allows 15 letters.
func tapName(portID string) string { return "tap" + portID[:min(11, len(portID))] }

// report is told by the wire of a tap that appeared or went.
func (s *Service) report(tap string, up bool) {
	status, event := "DOWN", "network-vif-unplugged"
	if up {
		status, event = "ACTIVE", "network-vif-plugged"
	}
	var changed record
	err := s.o.Store.Update(func(tx *store.Tx) error {
		found, err := store.All(tx, ports.path, func(p record) bool { return tapName(p.text("id")) == tap })
		if err != nil || len(found) == 0 {
			return err
		}
		p := found[0]
		if p.text("binding:host_id") == "" || p.text("status") == status {
			return nil
		}
		p["status"] = status
		p.changed()
		changed = p
		return put(tx, ports, p)
	})
	if err == nil && changed != nil {
		s.notify(event, changed)
	}
}

// boundTo tells Nova that the information of a port has changed, and the wire that
// there is one to plug.
func (s *Service) boundTo(p record) {
	s.notify("network-changed", p)
	s.o.Wire.Bound(tapName(p.text("id")))
}

// newMAC is a random address with OpenStack's prefix.
func newMAC() string {
	var b [3]byte
	_, _ = rand.Read(b[:]) // never fails
	return fmt.Sprintf("fa:16:3e:%02x:%02x:%02x", b[0], b[1], b[2])
}

// Addresses of an instance by network name, as its ports say.
func (s *Service) Addresses(instance string) (map[string][]Address, error) {
	all, err := s.find(ports, map[string][]string{"device_id": {instance}})
	if err != nil {
		return nil, err
	}
	out := map[string][]Address{}
	for _, p := range all {
		n, err := s.find(networks, map[string][]string{"id": {p.text("network_id")}})
		if err != nil {
			return nil, err
		}
		for _, ip := range fixedIPs(p) {
			version := 4
			if strings.Contains(ip.IPAddress, ":") {
				version = 6
			}
			name := p.text("network_id")
			if len(n) > 0 {
				name = n[0].text("name")
			}
			out[name] = append(out[name], Address{ip.IPAddress, version, p.text("mac_address"), "fixed"})
		}
	}
	return out, nil
}

// Address of an instance, as Nova shows it.
type Address struct {
	Addr    string `json:"addr"`
	Version int    `json:"version"`
	MAC     string `json:"OS-EXT-IPS-MAC:mac_addr"`
	Type    string `json:"OS-EXT-IPS:type"`
}

// Attachment is a port of an instance, as Nova shows it.
type Attachment struct {
	PortID    string    `json:"port_id"`
	NetworkID string    `json:"net_id"`
	MAC       string    `json:"mac_addr"`
	State     string    `json:"port_state"`
	FixedIPs  []fixedIP `json:"fixed_ips"`
}

// Attachments lists the ports of an instance.
func (s *Service) Attachments(instance string) ([]Attachment, error) {
	all, err := s.find(ports, map[string][]string{"device_id": {instance}})
	out := []Attachment{}
	for _, p := range all {
		out = append(out, Attachment{p.text("id"), p.text("network_id"), p.text("mac_address"), p.text("status"), fixedIPs(p)})
	}
	return out, err
}

// Release deletes the ports of an instance that is on no host any more.
func (s *Service) Release(instance string) error {
	return s.o.Store.Update(func(tx *store.Tx) error {
		all, err := store.All(tx, ports.path, func(p record) bool { return p.text("device_id") == instance })
		if err != nil {
			return err
		}
		for _, p := range all {
			if err := tx.Delete(ports.path, p.text("id")); err != nil {
				return err
			}
		}
		return nil
	})
}
