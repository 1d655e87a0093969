package network

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sync/errgroup"

	"bolide/agent/cloud"
)

// facts are what Neutron says about everything around a set of ports.
type facts struct {
	networks map[string]cloud.NetworkRecord
	subnets  []cloud.Subnet // in Neutron's order
	dhcp     []cloud.Port   // the DHCP servers' own ports
	floating []cloud.FloatingIP
}

// surroundings are what to gather.
type surroundings struct {
	networkIDs []string
	// known networks, as shown to an administrator, need no reading.
	known []cloud.NetworkRecord
	// portIDs are the ports that may have floating addresses.
	portIDs []string
}

// and adds all that surrounds these ports.
func (s surroundings) and(ports []cloud.Port) surroundings {
	for _, p := range ports {
		s.networkIDs = append(s.networkIDs, p.NetworkID)
		s.portIDs = append(s.portIDs, p.ID)
	}
	return s
}

// gather reads networks with their subnets and DHCP servers, and the ports'
// floating addresses, all at once and in the node's name: only an administrator
// is shown what a network is made of.
func (s *Service) gather(ctx context.Context, id cloud.Identity, around surroundings) (*facts, error) {
	f := &facts{networks: map[string]cloud.NetworkRecord{}}
	for _, n := range around.known {
		f.networks[n.ID] = n
	}
	networkIDs := unique(around.networkIDs)
	if len(networkIDs) == 0 {
		return f, nil
	}
	unknown := slices.DeleteFunc(slices.Clone(networkIDs), func(networkID string) bool {
		_, known := f.networks[networkID]
		return known
	})
	id = id.Node()
	g, ctx := errgroup.WithContext(ctx)
	if len(unknown) > 0 {
		g.Go(func() error {
			networks, err := s.api.ListNetworks(ctx, id, cloud.Filter{"id": unknown})
			for _, n := range networks {
				f.networks[n.ID] = n
			}
			return err
		})
	}
	g.Go(func() (err error) {
		f.subnets, err = s.api.ListSubnets(ctx, id, cloud.Filter{"network_id": networkIDs})
		return err
	})
	g.Go(func() (err error) {
		f.dhcp, err = s.api.ListPorts(ctx, id, cloud.Filter{
			"network_id": networkIDs, "device_owner": {"network:dhcp"}, "fields": {"fixed_ips", "network_id"},
		})
		return err
	})
	if len(around.portIDs) > 0 {
		g.Go(func() (err error) {
			f.floating, err = s.floatingIPs(ctx, id, around.portIDs)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, nodeFailed(fmt.Errorf("read networks of ports: %w", err))
	}
	return f, nil
}

// floatingIPs asks only a Neutron that has layer 3.
func (s *Service) floatingIPs(ctx context.Context, id cloud.Identity, portIDs []string) ([]cloud.FloatingIP, error) {
	ext, err := s.api.Extensions(ctx, id)
	if err != nil || !ext.Has(cloud.ExtRouter) {
		return nil, err
	}
	return s.api.ListFloatingIPs(ctx, id, cloud.Filter{"port_id": portIDs})
}

// vif describes one port.
func (f *facts) vif(p cloud.Port, o Options) (VIF, error) {
	details, err := ParseDict(p.VIFDetails)
	if err != nil {
		return VIF{}, fmt.Errorf("port %s: binding details: %w", p.ID, err)
	}
	profile, err := ParseDict(p.Profile)
	if err != nil {
		return VIF{}, fmt.Errorf("port %s: binding profile: %w", p.ID, err)
	}
	v := VIF{
		ID: p.ID, Address: p.MACAddress, Type: p.VIFType, VNICType: p.VNICType,
		Details: details, Profile: profile, DevName: cut("tap" + p.ID),
		// A port that is administratively down will never become ACTIVE.
		Active:         !p.AdminStateUp || p.Status == "ACTIVE",
		DelegateCreate: true,
	}
	if v.VNICType == "" {
		v.VNICType = VNICNormal
	}
	v.Network, err = f.network(p, &v, o)
	return v, err
}

func (f *facts) network(p cloud.Port, v *VIF, o Options) (*Network, error) {
	n := &Network{ID: p.NetworkID, Subnets: f.subnetsOf(p)}
	record, known := f.networks[p.NetworkID]
	tenant := p.TenantID
	if known {
		n.Label, tenant = &record.Name, record.TenantID
	}
	physnet, tunneled, err := physicalNetwork(record)
	if err != nil {
		return nil, err
	}
	n.Bridge = bridge(p, v, o)
	meta := []field{
		{"injected", o.FlatInjected}, {"tenant_id", tenant}, {"mtu", record.MTU},
		{"physical_network", physnet}, {"tunneled", tunneled},
	}
	if v.Type == TypeBridge {
		meta = append(meta, field{"should_create_bridge", true})
	}
	for _, m := range meta {
		if err := n.Meta.Set(m.name, m.value); err != nil {
			return nil, err
		}
	}
	return n, nil
}

// bridge is the name of the bridge the VIF is plugged into; it also notes that
// Open vSwitch is involved.
func bridge(p cloud.Port, v *VIF, o Options) string {
	named := func(otherwise string) string {
		if name := v.Details.Str("bridge_name"); name != "" {
			return cut(name)
		}
		return cut(otherwise)
	}
	switch {
	case v.Type == TypeOVS, v.Type == TypeAgilioOVS, v.Type == TypeVHostUser && v.Details.Bool("vhostuser_ovs_plug"):
		v.OVSInterfaceID = p.ID
		return named(o.OVSBridge)
	case v.Type == TypeBridge, v.Type == TypeVHostUser && v.Details.Bool("vhostuser_fp_plug"):
		return named("brq" + p.NetworkID)
	case v.Type == TypeDVS:
		return p.NetworkID
	}
	return ""
}

// overlays are the network types that run inside a tunnel.
var overlays = []string{"vxlan", "gre", "geneve"}

// physicalNetwork is the provider network below; of several segments the first
// that has one.
func physicalNetwork(n cloud.NetworkRecord) (name *string, tunneled bool, err error) {
	for _, segment := range n.Segments {
		if segment.PhysicalNetwork != nil && *segment.PhysicalNetwork != "" {
			return segment.PhysicalNetwork, false, nil
		}
	}
	if len(n.Segments) > 0 {
		return nil, false, &Error{
			Class: Failure, Message: fmt.Sprintf("None of the segments of network %s provides a physical_network", n.ID),
		}
	}
	return n.PhysicalNetwork, slices.Contains(overlays, n.NetworkType), nil
}

// subnetsOf are the subnets that the port has addresses on.
func (f *facts) subnetsOf(p cloud.Port) []Subnet {
	fixed := f.fixedIPs(p)
	var subnets []Subnet
	for _, record := range f.subnets {
		if !slices.ContainsFunc(p.FixedIPs, func(ip cloud.FixedIP) bool { return ip.SubnetID == record.ID }) {
			continue
		}
		gateway := newIP(orEmpty(record.GatewayIP), "gateway")
		s := Subnet{CIDR: record.CIDR, Gateway: &gateway, Version: version(record.CIDR)}
		for _, address := range record.DNSNameservers {
			s.DNS = append(s.DNS, newIP(address, "dns"))
		}
		for _, r := range record.HostRoutes {
			next := newIP(r.Nexthop, "gateway")
			s.Routes = append(s.Routes, Route{CIDR: r.Destination, Gateway: &next})
		}
		for _, ip := range fixed {
			if inside(ip.Address, record.CIDR) {
				s.IPs = append(s.IPs, ip)
			}
		}
		f.describeDHCP(record, &s)
		subnets = append(subnets, s)
	}
	return subnets
}

func (f *facts) fixedIPs(p cloud.Port) []FixedIP {
	var ips []FixedIP
	for _, fixed := range p.FixedIPs {
		ip := FixedIP{IP: newIP(fixed.IPAddress, "fixed")}
		for _, floating := range f.floating {
			if floating.PortID == p.ID && floating.Fixed == fixed.IPAddress {
				ip.FloatingIPs = append(ip.FloatingIPs, newIP(floating.Floating, "floating"))
			}
		}
		ips = append(ips, ip)
	}
	return ips
}

// describeDHCP notes who answers DHCP on the subnet. Where Neutron has no port
// for that (yet), the gateway stands in: the guest's metadata needs an address.
func (f *facts) describeDHCP(record cloud.Subnet, s *Subnet) {
	if record.IPv6AddressMode != "" {
		s.Meta.put("ipv6_address_mode", quoted(record.IPv6AddressMode))
	}
	server := ""
	for _, p := range f.dhcp {
		for _, ip := range p.FixedIPs {
			if ip.SubnetID == record.ID {
				server = ip.IPAddress
				break
			}
		}
	}
	switch {
	case server != "":
		s.Meta.put("dhcp_server", quoted(server))
	case record.EnableDHCP && record.GatewayIP != nil:
		s.Meta.put("dhcp_server", quoted(*record.GatewayIP))
	case record.EnableDHCP:
		s.Meta.put("dhcp_server", json.RawMessage("null"))
	}
}

func quoted(s string) json.RawMessage {
	raw, _ := json.Marshal(s) // a string always can be
	return raw
}

func orEmpty(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func version(cidr string) int {
	p, err := netip.ParsePrefix(cidr)
	switch {
	case err != nil:
		return 0
	case p.Addr().Is4():
		return 4
	}
	return 6
}

func inside(address, cidr string) bool {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return false
	}
	p, err := netip.ParsePrefix(cidr)
	return err == nil && p.Contains(a)
}
