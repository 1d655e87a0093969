package cloud

import (
	"context"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// Network is the Neutron v2.0 client.
type Network struct {
	svc        *service
	extensions extensionCache
}

// Filter selects records by equality: several values of one name are
// alternatives, several names must all match.
type Filter = url.Values

// Attributes is a partial record for a create or an update, by Neutron's names;
// a nil value is sent as null.
type Attributes map[string]any

// NetworkRecord is Neutron's record of a network. The provider attributes and
// Segments are shown to administrators only.
type NetworkRecord struct {
	ID                  string    `json:"id"`
	Name                string    `json:"name"`
	TenantID            string    `json:"tenant_id"`
	AdminStateUp        bool      `json:"admin_state_up"`
	Shared              bool      `json:"shared"`
	External            bool      `json:"router:external"`
	MTU                 *int      `json:"mtu"`
	Subnets             []string  `json:"subnets"`
	PortSecurityEnabled *bool     `json:"port_security_enabled"`
	DNSDomain           string    `json:"dns_domain"`
	NetworkType         string    `json:"provider:network_type"`
	PhysicalNetwork     *string   `json:"provider:physical_network"`
	Segments            []Segment `json:"segments"`
}

// Segment is one layer-2 part of a network made of several.
type Segment struct {
	NetworkType     string  `json:"provider:network_type"`
	PhysicalNetwork *string `json:"provider:physical_network"`
}

// Subnet is Neutron's record of a subnet.
type Subnet struct {
	ID              string      `json:"id"`
	NetworkID       string      `json:"network_id"`
	CIDR            string      `json:"cidr"`
	GatewayIP       *string     `json:"gateway_ip"`
	EnableDHCP      bool        `json:"enable_dhcp"`
	IPv6AddressMode string      `json:"ipv6_address_mode"`
	DNSNameservers  []string    `json:"dns_nameservers"`
	HostRoutes      []HostRoute `json:"host_routes"`
	SegmentID       string      `json:"segment_id"`
}

// HostRoute is a route that guests on a subnet are given.
type HostRoute struct {
	Destination string `json:"destination"`
	Nexthop     string `json:"nexthop"`
}

// FloatingIP is an external address that leads to a port's fixed one.
type FloatingIP struct {
	ID       string `json:"id"`
	Floating string `json:"floating_ip_address"`
	Fixed    string `json:"fixed_ip_address"`
	PortID   string `json:"port_id"`
}

// SecurityGroup is a name for a set of filtering rules.
type SecurityGroup struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// ListNetworks reads the networks that match, as far as the identity may see
// them.
func (c *Network) ListNetworks(ctx context.Context, id Identity, f Filter) ([]NetworkRecord, error) {
	return list[NetworkRecord](ctx, c.svc, id, "networks", f)
}

// ShowNetwork reads one network.
func (c *Network) ShowNetwork(ctx context.Context, id Identity, networkID string) (*NetworkRecord, error) {
	var out struct{ Network *NetworkRecord }
	err := c.call(ctx, id, http.MethodGet, "/networks/"+url.PathEscape(networkID), nil, &out)
	return out.Network, err
}

// ListSubnets reads the subnets that match.
func (c *Network) ListSubnets(ctx context.Context, id Identity, f Filter) ([]Subnet, error) {
	return list[Subnet](ctx, c.svc, id, "subnets", f)
}

// ListFloatingIPs reads the floating addresses that match. A Neutron without
// layer 3 has none.
func (c *Network) ListFloatingIPs(ctx context.Context, id Identity, f Filter) ([]FloatingIP, error) {
	ips, err := list[FloatingIP](ctx, c.svc, id, "floatingips", f)
	if IsNotFound(err) {
		return nil, nil
	}
	return ips, err
}

// ListSecurityGroups reads id and name of the groups that match, without their
// rules, which Neutron would have to gather. A Neutron without them has none.
func (c *Network) ListSecurityGroups(ctx context.Context, id Identity, f Filter) ([]SecurityGroup, error) {
	query := url.Values{"fields": {"id", "name"}}
	for name, values := range f {
		query[name] = values
	}
	groups, err := list[SecurityGroup](ctx, c.svc, id, "security-groups", query)
	if IsNotFound(err) {
		return nil, nil
	}
	return groups, err
}

// AutoAllocatedNetwork asks Neutron for the project's automatic network, which
// it makes where there is none, and returns its id.
func (c *Network) AutoAllocatedNetwork(ctx context.Context, id Identity, projectID string) (string, error) {
	var out struct {
		Topology struct {
			ID string `json:"id"`
		} `json:"auto_allocated_topology"`
	}
	err := c.call(ctx, id, http.MethodGet, "/auto-allocated-topology/"+url.PathEscape(projectID), nil, &out)
	return out.Topology.ID, err
}

// call is one request for one record.
func (c *Network) call(ctx context.Context, id Identity, method, path string, in, out any) error {
	err := c.svc.do(ctx, id, request{
		method: method, path: "/v2.0" + path, in: in, out: out,
		ok: []int{http.StatusOK, http.StatusCreated, http.StatusNoContent},
	})
	return err
}

// Extension aliases that change what a node does.
const (
	ExtDNS            = "dns-integration"
	ExtMultiProvider  = "multi-provider"
	ExtBindings       = "binding-extended"
	ExtResourceGroups = "port-resource-request-groups"
	ExtSegments       = "segment"
	ExtVNICIndex      = "vnic-index"
	ExtSecurityGroups = "security-group"
	ExtRouter         = "router"
)

// Extensions is the set of aliases that Neutron has loaded.
type Extensions map[string]bool

// Has reports whether the extension is there; a nil set has none.
func (e Extensions) Has(alias string) bool { return e[alias] }

type extensionCache struct {
	keep time.Duration
	now  func() time.Time

	mu   sync.Mutex
	read time.Time
	set  Extensions
}

func (c *extensionCache) get() (Extensions, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.set, c.set != nil && c.now().Sub(c.read) < c.keep
}

func (c *extensionCache) put(set Extensions) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.set, c.read = set, c.now()
}

func newNetwork(s *service, keep time.Duration, now func() time.Time) *Network {
	return &Network{svc: s, extensions: extensionCache{keep: keep, now: now}}
}

// Extensions reads which extensions are loaded, from memory while the last
// reading is recent. The set must not be changed.
func (c *Network) Extensions(ctx context.Context, id Identity) (Extensions, error) {
	if set, ok := c.extensions.get(); ok {
		return set, nil
	}
	aliases, err := list[struct {
		Alias string `json:"alias"`
	}](ctx, c.svc, id, "extensions", nil)
	if err != nil {
		return nil, err
	}
	set := Extensions{}
	for _, e := range aliases {
		set[e.Alias] = true
	}
	c.extensions.put(set)
	return set, nil
}
