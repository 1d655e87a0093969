package cloud

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"
)

// Names of port attributes that are not plain words.
const (
	AttrHostID      = "binding:host_id"
	AttrProfile     = "binding:profile"
	AttrDeviceID    = "device_id"
	AttrDeviceOwner = "device_owner"
	AttrDNSName     = "dns_name"
)

// Port is Neutron's record of a port. The binding attributes other than the
// type of network card, and ResourceRequest, are shown to administrators only.
type Port struct {
	ID              string          `json:"id"`
	Name            string          `json:"name"`
	NetworkID       string          `json:"network_id"`
	TenantID        string          `json:"tenant_id"`
	DeviceID        string          `json:"device_id"`
	DeviceOwner     string          `json:"device_owner"`
	MACAddress      string          `json:"mac_address"`
	AdminStateUp    bool            `json:"admin_state_up"`
	Status          string          `json:"status"`
	FixedIPs        []FixedIP       `json:"fixed_ips"`
	SecurityGroups  []string        `json:"security_groups"`
	DNSName         string          `json:"dns_name"`
	HostID          string          `json:"binding:host_id"`
	VNICType        string          `json:"binding:vnic_type"`
	VIFType         string          `json:"binding:vif_type"`
	VIFDetails      json.RawMessage `json:"binding:vif_details"`
	Profile         json.RawMessage `json:"binding:profile"`
	ResourceRequest json.RawMessage `json:"resource_request"`
	RevisionNumber  int             `json:"revision_number"`
	CreatedAt       time.Time       `json:"created_at"` // to the second; zero where Neutron keeps no times
}

// FixedIP is an address of a port.
type FixedIP struct {
	SubnetID  string `json:"subnet_id,omitempty"`
	IPAddress string `json:"ip_address,omitempty"`
}

// ListPorts reads the ports that match. The filter name "fields" chooses what
// is read of each.
func (c *Network) ListPorts(ctx context.Context, id Identity, f Filter) ([]Port, error) {
	return list[Port](ctx, c.svc, id, "ports", f)
}

// ShowPort reads one port.
func (c *Network) ShowPort(ctx context.Context, id Identity, portID string) (*Port, error) {
	var out struct{ Port *Port }
	err := c.call(ctx, id, http.MethodGet, portPath(portID), nil, &out)
	return out.Port, err
}

// CreatePort makes a port. A create is not tried again once it was sent: look
// for the port by its device before asking anew.
func (c *Network) CreatePort(ctx context.Context, id Identity, a Attributes) (*Port, error) {
	var out struct{ Port *Port }
	err := c.call(ctx, id, http.MethodPost, "/ports", map[string]any{"port": a}, &out)
	return out.Port, err
}

// UpdatePort changes the named attributes of a port and returns it whole.
func (c *Network) UpdatePort(ctx context.Context, id Identity, portID string, a Attributes) (*Port, error) {
	var out struct{ Port *Port }
	err := c.call(ctx, id, http.MethodPut, portPath(portID), map[string]any{"port": a}, &out)
	return out.Port, err
}

// DeletePort removes a port.
func (c *Network) DeletePort(ctx context.Context, id Identity, portID string) error {
	return c.call(ctx, id, http.MethodDelete, portPath(portID), nil, nil)
}

// Binding is one host's claim on a port; at most one of a port is ACTIVE.
// Needs extension binding-extended.
type Binding struct {
	Host       string          `json:"host"`
	VNICType   string          `json:"vnic_type"`
	VIFType    string          `json:"vif_type"`
	VIFDetails json.RawMessage `json:"vif_details"`
	Profile    json.RawMessage `json:"profile"`
	Status     string          `json:"status"`
}

// BindingActive is the Status of the binding in force.
const BindingActive = "ACTIVE"

// ListBindings reads all bindings of a port.
func (c *Network) ListBindings(ctx context.Context, id Identity, portID string) ([]Binding, error) {
	var out struct{ Bindings []Binding }
	err := c.call(ctx, id, http.MethodGet, portPath(portID)+"/bindings", nil, &out)
	return out.Bindings, err
}

// ShowBinding reads the binding of a port to a host.
func (c *Network) ShowBinding(ctx context.Context, id Identity, portID, host string) (*Binding, error) {
	var out struct{ Binding *Binding }
	err := c.call(ctx, id, http.MethodGet, bindingPath(portID, host), nil, &out)
	return out.Binding, err
}

// CreateBinding binds a port to one more host; the binding is inactive while
// another host's is active. A has the keys host, vnic_type and profile.
func (c *Network) CreateBinding(ctx context.Context, id Identity, portID string, a Attributes) (*Binding, error) {
	var out struct{ Binding *Binding }
	err := c.call(ctx, id, http.MethodPost, portPath(portID)+"/bindings", map[string]any{"binding": a}, &out)
	return out.Binding, err
}

// ActivateBinding makes a host's binding the one in force. A conflict means
// that it already is.
func (c *Network) ActivateBinding(ctx context.Context, id Identity, portID, host string) error {
	return c.call(ctx, id, http.MethodPut, bindingPath(portID, host)+"/activate", nil, nil)
}

// DeleteBinding takes a host's binding away.
func (c *Network) DeleteBinding(ctx context.Context, id Identity, portID, host string) error {
	return c.call(ctx, id, http.MethodDelete, bindingPath(portID, host), nil, nil)
}

func portPath(portID string) string { return "/ports/" + url.PathEscape(portID) }

func bindingPath(portID, host string) string {
	return portPath(portID) + "/bindings/" + url.PathEscape(host)
}
