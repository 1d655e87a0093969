package network

import (
	"fmt"
	"net/http"
	"net/netip"

	"bolide/test/controller/store"
	"bolide/test/controller/web"
)

// NetworkOptions describe a network with one subnet, for the networks that a
// cloud begins with.
type NetworkOptions struct {
	Name    string
	Project string // id of the owner
	CIDR    string // of IPv4
	MTU     int    // default 1500
	// Connection is how its ports are connected on all hosts. Default Bridged.
	Connection Connection
}

// AddNetwork makes a shared network with a subnet, unless there is one of that
// name, and returns its id. Guests get their addresses from the config drive:
// there is no DHCP.
func (s *Service) AddNetwork(o NetworkOptions) (string, error) {
	existing, err := s.find(networks, map[string][]string{"name": {o.Name}})
	if err != nil || len(existing) > 0 {
		if len(existing) > 0 {
			return existing[0].text("id"), err
		}
		return "", err
	}
	if o.MTU == 0 {
		o.MTU = 1500
	}
	n, err := s.addNetwork(o.Project, record{
		"name": o.Name, "shared": true, "port_security_enabled": false, "mtu": o.MTU, "connection": o.Connection,
	})
	if err != nil {
		return "", err
	}
	_, err = s.addSubnet(o.Project, record{"name": o.Name, "network_id": n.text("id"), "cidr": o.CIDR, "ip_version": 4, "enable_dhcp": false})
	return n.text("id"), err
}

func (s *Service) createNetwork(c *web.Call) error {
	var in struct{ Network record }
	if err := c.Read(&in); err != nil {
		return err
	}
	if err := allowed(c.Who, in.Network, "create", networks); err != nil {
		return err
	}
	n, err := s.addNetwork(c.Who.ProjectID, in.Network)
	if err != nil {
		return err
	}
	return answer(c, http.StatusCreated, networks, n)
}

func (s *Service) addNetwork(project string, wanted record) (record, error) {
	n := stamped(project)
	n.merge(record{
		"admin_state_up": true, "status": "ACTIVE", "shared": false, "router:external": false, "mtu": 1500, "subnets": []any{},
		"port_security_enabled": true, "availability_zone_hints": []any{}, "availability_zones": []any{"nova"},
		"ipv4_address_scope": nil, "ipv6_address_scope": nil,
		"provider:network_type": "flat", "provider:physical_network": "physnet1", "provider:segmentation_id": nil,
	})
	n.merge(wanted)
	err := s.o.Store.Update(func(tx *store.Tx) error { return insert(tx, networks, n) })
	return n, err
}

func (s *Service) deleteNetwork(c *web.Call) error {
	id := c.PathValue("id")
	err := s.o.Store.Update(func(tx *store.Tx) error {
		if _, err := get(tx, networks, id); err != nil {
			return err
		}
		used, err := store.All(tx, ports.path, func(p record) bool { return p.text("network_id") == id })
		if err != nil {
			return err
		}
		if len(used) > 0 {
			return web.Refuse(http.StatusConflict, "NetworkInUse", "Unable to complete operation on network %s. There are one or more ports still in use on the network.", id)
		}
		below, err := store.All(tx, subnets.path, func(r record) bool { return r.text("network_id") == id })
		if err != nil {
			return err
		}
		for _, r := range below {
			if err := tx.Delete(subnets.path, r.text("id")); err != nil {
				return err
			}
		}
		return tx.Delete(networks.path, id)
	})
	if err != nil {
		return err
	}
	return c.Done(http.StatusNoContent)
}

func (s *Service) createSubnet(c *web.Call) error {
	var in struct{ Subnet record }
	if err := c.Read(&in); err != nil {
		return err
	}
	r, err := s.addSubnet(c.Who.ProjectID, in.Subnet)
	if err != nil {
		return err
	}
	return answer(c, http.StatusCreated, subnets, r)
}

func (s *Service) addSubnet(project string, wanted record) (record, error) {
	r := stamped(project)
	r.merge(record{
		"ip_version": 4, "enable_dhcp": true, "dns_nameservers": []any{}, "host_routes": []any{}, "service_types": []any{},
		"ipv6_address_mode": nil, "ipv6_ra_mode": nil, "subnetpool_id": nil,
	})
	r.merge(wanted)
	cidr, err := netip.ParsePrefix(r.text("cidr"))
	if err != nil {
		return nil, web.Refuse(http.StatusBadRequest, "HTTPBadRequest", "Invalid input for cidr: %s", err)
	}
	gateway := cidr.Masked().Addr().Next()
	if _, given := wanted["gateway_ip"]; !given {
		r["gateway_ip"] = gateway.String()
	}
	r["allocation_pools"] = []any{map[string]any{"start": gateway.Next().String(), "end": last(cidr).String()}}
	err = s.o.Store.Update(func(tx *store.Tx) error {
		n, err := get(tx, networks, r.text("network_id"))
		if err != nil {
			return err
		}
		list, _ := n["subnets"].([]any)
		n["subnets"] = append(list, r.text("id"))
		n.changed()
		if err := put(tx, networks, n); err != nil {
			return err
		}
		return insert(tx, subnets, r)
	})
	if err != nil {
		return nil, err
	}
	return r, s.prepare(r.text("network_id"))
}

// prepare tells the wire of a network.
func (s *Service) prepare(networkID string) error {
	below, err := s.find(subnets, map[string][]string{"network_id": {networkID}, "ip_version": {"4"}})
	if err != nil {
		return err
	}
	gateway := ""
	for _, r := range below {
		cidr, err := netip.ParsePrefix(r.text("cidr"))
		if err == nil && r.text("gateway_ip") != "" {
			gateway = fmt.Sprintf("%s/%d", r.text("gateway_ip"), cidr.Bits())
			break
		}
	}
	return s.o.Wire.Prepare(networkID, gateway)
}

// last is the last address of a network that a port may have.
func last(cidr netip.Prefix) netip.Addr {
	b := cidr.Masked().Addr().AsSlice()
	for bit := cidr.Bits(); bit < len(b)*8; bit++ {
		b[bit/8] |= 1 << (7 - bit%8)
	}
	a, _ := netip.AddrFromSlice(b)
	if a.Is4() {
		return a.Prev() // the broadcast address
	}
	return a
}
