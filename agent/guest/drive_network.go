package guest

import (
	"fmt"
	"net/netip"
	"slices"

	"bolide/agent/network"
)

// networkConfig is the content of network_data.json, from which guests set up their cards.
type networkConfig struct {
	Links    []networkLink    `json:"links"`
	Networks []networkAddress `json:"networks"`
	Services []networkService `json:"services"`
}

type networkLink struct {
	ID   string `json:"id"`
	VIF  string `json:"vif_id"`
	Type string `json:"type"`
	MTU  *int   `json:"mtu"` // null where DHCP tells it
	MAC  string `json:"ethernet_mac_address"`
}

type networkAddress struct {
	ID      string `json:"id"`
	Type    string `json:"type"`
	Link    string `json:"link"`
	Network string `json:"network_id"`
	*staticAddress
}

// staticAddress is what a guest cannot get from DHCP.
type staticAddress struct {
	Address  string           `json:"ip_address"`
	Netmask  string           `json:"netmask"`
	Routes   []networkRoute   `json:"routes"`
	Services []networkService `json:"services"`
}

type networkRoute struct {
	Network string `json:"network"`
	Netmask string `json:"netmask"`
	Gateway string `json:"gateway"`
}

type networkService struct {
	Type    string `json:"type"`
	Address string `json:"address"`
}

// exposedTypes are the VIF types that guests are told of; all others show as physical cards.
var exposedTypes = []string{"bridge", "dvs", "hw_veb", "hyperv", "ovs", "tap", "vhostuser", "vif"}

// networkData is what the guest is to set up: of each card the first IPv4 and the first IPv6 subnet.
func networkData(info network.Info) any {
	if len(info) == 0 {
		return struct{}{}
	}
	out := networkConfig{Links: []networkLink{}, Networks: []networkAddress{}, Services: []networkService{}}
	for _, vif := range info {
		if vif.Network == nil || len(vif.Network.Subnets) == 0 {
			continue
		}
		v4, v6 := firstSubnet(vif.Network, 4), firstSubnet(vif.Network, 6)
		if v4 == nil && v6 == nil {
			continue
		}
		link := linkOf(vif, len(out.Links))
		out.Links = append(out.Links, link)
		for _, subnet := range []*network.Subnet{v4, v6} {
			if subnet == nil || len(subnet.IPs) == 0 {
				continue
			}
			out.Networks = append(out.Networks, addressOf(vif, *subnet, len(out.Networks), link.ID))
			known := out.Services
			for _, service := range nameServers(*subnet) {
				if !slices.Contains(known, service) {
					out.Services = append(out.Services, service)
				}
			}
		}
	}
	return out
}

func firstSubnet(n *network.Network, version int) *network.Subnet {
	i := slices.IndexFunc(n.Subnets, func(s network.Subnet) bool { return s.Version == version })
	if i < 0 {
		return nil
	}
	return &n.Subnets[i]
}

func linkOf(vif network.VIF, number int) networkLink {
	link := networkLink{ID: vif.DevName, VIF: vif.ID, Type: "phy", MAC: vif.Address}
	if link.ID == "" {
		link.ID = fmt.Sprintf("interface%d", number)
	}
	if slices.Contains(exposedTypes, vif.Type) {
		link.Type = vif.Type
	}
	dhcp := slices.ContainsFunc(vif.Network.Subnets, func(s network.Subnet) bool { return s.DHCPServer() != "" })
	if vif.Network.Meta.Has("mtu") && !dhcp {
		link.MTU = new(vif.Network.MTU())
	}
	return link
}

func addressOf(vif network.VIF, subnet network.Subnet, number int, link string) networkAddress {
	out := networkAddress{
		ID: fmt.Sprintf("network%d", number), Type: fmt.Sprintf("ipv%d", subnet.Version), Link: link, Network: vif.Network.ID,
	}
	switch {
	case subnet.Meta.Has("ipv6_address_mode"):
		out.Type += "_" + subnet.IPv6AddressMode()
	case subnet.Meta.Has("dhcp_server"):
		out.Type += "_dhcp"
		return out
	}
	out.staticAddress = &staticAddress{
		Address: subnet.IPs[0].Address, Netmask: netmask(subnet.Prefix()), Routes: defaultRoute(subnet), Services: nameServers(subnet),
	}
	for _, route := range subnet.Routes {
		to, err := netip.ParsePrefix(route.CIDR)
		if err != nil || route.Gateway == nil {
			continue
		}
		out.Routes = append(out.Routes, networkRoute{to.Masked().Addr().String(), netmask(to), route.Gateway.Address})
	}
	return out
}

func defaultRoute(subnet network.Subnet) []networkRoute {
	if subnet.Gateway == nil || subnet.Gateway.Address == "" {
		return []networkRoute{}
	}
	everything := "0.0.0.0"
	if subnet.Version == 6 {
		everything = "::"
	}
	return []networkRoute{{everything, everything, subnet.Gateway.Address}}
}

func nameServers(subnet network.Subnet) []networkService {
	out := []networkService{}
	for _, ip := range subnet.DNS {
		out = append(out, networkService{"dns", ip.Address})
	}
	return out
}

// netmask writes the length of a prefix as an address of its family.
func netmask(p netip.Prefix) string {
	if !p.IsValid() {
		return ""
	}
	ones := make([]byte, p.Addr().BitLen()/8)
	for bit := range p.Bits() {
		ones[bit/8] |= 0x80 >> (bit % 8)
	}
	mask, _ := netip.AddrFromSlice(ones) // the length is that of an address
	return mask.String()
}
