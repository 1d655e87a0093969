package network

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// VIF types, as Neutron's binding gives them.
const (
	TypeBridge        = "bridge"
	TypeOVS           = "ovs"
	TypeAgilioOVS     = "agilio_ovs"
	TypeDVS           = "dvs"
	TypeTap           = "tap"
	TypeVHostUser     = "vhostuser"
	TypeMacvtap       = "macvtap"
	TypeHostdev       = "hostdev_physical"
	TypeHWVEB         = "hw_veb"
	TypeUnbound       = "unbound"
	TypeBindingFailed = "binding_failed"
)

// VNIC types: what kind of card the user asked for.
const (
	VNICNormal          = "normal"
	VNICDirect          = "direct"
	VNICMacvtap         = "macvtap"
	VNICDirectPhysical  = "direct-physical"
	VNICVirtioForwarder = "virtio-forwarder"
	VNICVDPA            = "vdpa"
	VNICRemoteManaged   = "remote-managed"
)

// nameLen is the length of tap and bridge names, one less than the kernel
// takes.
const nameLen = 14

// Info is the network information of one instance: its VIFs in the order of
// the guest's cards. Its JSON is what InstanceInfoCache.network_info holds.
type Info []VIF

// VIF is one port of an instance as the node sees it. What another writer put
// there that we do not know is in Meta, where Nova's model moves it too.
type VIF struct {
	ID      string // of the Neutron port
	Address string // MAC
	Network *Network
	Type    string
	// Details and Profile are the binding's, opaque but for the keys the
	// methods read.
	Details Dict
	DevName string
	// OVSInterfaceID is the external id iface-id; empty where no Open vSwitch is
	// involved.
	OVSInterfaceID string
	QBHParams      json.RawMessage
	QBGParams      json.RawMessage
	Active         bool
	VNICType       string
	Profile        Dict
	// PreserveOnDelete marks a port that existed before the instance and
	// outlives it.
	PreserveOnDelete bool
	// DelegateCreate lets os-vif create the port in the Open vSwitch bridge.
	DelegateCreate bool
	Meta           Dict
}

// Network is the network that a VIF is on.
type Network struct {
	ID     string
	Bridge string
	// Label is the network's name; nil if the network could not be read.
	Label   *string
	Subnets []Subnet
	Meta    Dict
}

// Subnet is a subnet with the addresses that the VIF has on it.
type Subnet struct {
	CIDR    string
	DNS     []IP
	Gateway *IP
	IPs     []FixedIP
	Routes  []Route
	Version int
	Meta    Dict
}

// IP is an address with its role: fixed, floating, gateway or dns.
type IP struct {
	Address string
	Type    string
	Version int
	Meta    Dict
}

// FixedIP is an address of the VIF, with the floating ones that lead to it.
type FixedIP struct {
	IP
	FloatingIPs []IP
}

// Route is one that the guest is given.
type Route struct {
	CIDR      string
	Gateway   *IP
	Interface string
	Meta      Dict
}

// ParseInfo reads network_info; an empty text is an instance without ports.
func ParseInfo(text string) (Info, error) {
	if text == "" {
		return Info{}, nil
	}
	var info Info
	if err := json.Unmarshal([]byte(text), &info); err != nil {
		return nil, fmt.Errorf("network info: %w", err)
	}
	return info, nil
}

// JSON is the text for network_info, written as Nova's node writes it.
func (i Info) JSON() string {
	if i == nil {
		i = Info{}
	}
	raw, err := encode(i)
	if err != nil { // only a raw value that is not JSON could do that, and none gets in
		return "[]"
	}
	return pythonic(raw)
}

// JSON is the VIF as one element of network_info, which is how it travels by itself.
func (v VIF) JSON() string {
	list := Info{v}.JSON()
	return list[1 : len(list)-1]
}

// Index finds a VIF by its port; -1 if there is none.
func (i Info) Index(portID string) int {
	for n := range i {
		if i[n].ID == portID {
			return n
		}
	}
	return -1
}

// Find returns the VIF of a port, or nil.
func (i Info) Find(portID string) *VIF {
	if n := i.Index(portID); n >= 0 {
		return &i[n]
	}
	return nil
}

// PortIDs are the ports in order.
func (i Info) PortIDs() []string {
	ids := make([]string, len(i))
	for n := range i {
		ids[n] = i[n].ID
	}
	return ids
}

// FixedIPs are all addresses in order.
func (i Info) FixedIPs() []FixedIP {
	var ips []FixedIP
	for _, v := range i {
		ips = append(ips, v.FixedIPs()...)
	}
	return ips
}

// FixedIPs are the VIF's addresses in order.
func (v VIF) FixedIPs() []FixedIP {
	if v.Network == nil {
		return nil
	}
	var ips []FixedIP
	for _, s := range v.Network.Subnets {
		ips = append(ips, s.IPs...)
	}
	return ips
}

// HybridPlug asks for a Linux bridge between the tap and Open vSwitch, where
// Neutron filters with iptables.
func (v VIF) HybridPlug() bool { return v.Details.Bool("ovs_hybrid_plug") }

// HybridBridge is the name of that bridge.
func (v VIF) HybridBridge() string { return cut("qbr" + v.ID) }

// PortFilter is whether Neutron filters the port's traffic itself.
func (v VIF) PortFilter() bool { return v.Details.Bool("port_filter") }

// Datapath is Open vSwitch's datapath type, system or netdev; empty if not
// told.
func (v VIF) Datapath() string { return v.Details.Str("datapath_type") }

// PhysicalNetwork is the provider network behind the VIF, if any.
func (v VIF) PhysicalNetwork() string {
	if v.Network != nil {
		if name := v.Network.Meta.Str("physical_network"); name != "" {
			return name
		}
	}
	return v.Details.Str("physical_network")
}

// Trusted is whether the port's owner asked for a function that the card trusts.
func (v VIF) Trusted() bool {
	text := strings.ToLower(strings.TrimSpace(v.Profile.Str("trusted"))) // Neutron passes on what it was told
	return v.Profile.Bool("trusted") || slices.Contains([]string{"1", "t", "true", "on", "y", "yes"}, text)
}

// VLAN is the one that the port is on, where the host has to know it; 0 if none.
func (v VIF) VLAN() int {
	if id := v.Details.Int("vlan"); id != 0 {
		return id
	}
	id, err := strconv.Atoi(v.Details.Str("vlan")) // some mechanisms give it as text
	if err != nil {
		return 0
	}
	return id
}

// HasAllocation is whether the port's bandwidth is accounted in Placement.
func (v VIF) HasAllocation() bool { return v.Profile.Has("allocation") }

// MTU is in bytes; 0 if unknown.
func (n Network) MTU() int { return n.Meta.Int("mtu") }

// TenantID is the project that owns the network.
func (n Network) TenantID() string { return n.Meta.Str("tenant_id") }

// Injected is flat_injected: the guest's files are told of the network.
func (n Network) Injected() bool { return n.Meta.Bool("injected") }

// Tunneled is whether the network runs inside an overlay.
func (n Network) Tunneled() bool { return n.Meta.Bool("tunneled") }

// ShouldCreateBridge is whether plugging makes the bridge where it is missing.
func (n Network) ShouldCreateBridge() bool { return n.Meta.Bool("should_create_bridge") }

// DHCPServer is the address of the subnet's DHCP server; empty without DHCP.
func (s Subnet) DHCPServer() string { return s.Meta.Str("dhcp_server") }

// IPv6AddressMode is slaac, dhcpv6-stateful, dhcpv6-stateless or empty.
func (s Subnet) IPv6AddressMode() string { return s.Meta.Str("ipv6_address_mode") }

// Prefix is the subnet's CIDR; the zero value if it is none.
func (s Subnet) Prefix() netip.Prefix {
	p, err := netip.ParsePrefix(s.CIDR)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

// newIP fills in the version from the address.
func newIP(address, kind string) IP {
	ip := IP{Address: address, Type: kind}
	if a, err := netip.ParseAddr(address); err == nil {
		ip.Version = 6
		if a.Is4() {
			ip.Version = 4
		}
	}
	return ip
}

// cut shortens a device name to what Nova's names have.
func cut(name string) string {
	if len(name) > nameLen {
		return name[:nameLen]
	}
	return name
}
