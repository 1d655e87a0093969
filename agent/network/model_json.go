package network

import (
	"bytes"
	"encoding/json"
	"fmt"
	"unicode/utf16"
	"unicode/utf8"
)

// The JSON below has the members of nova.network.model in the order in which
// its classes set them.

// MarshalJSON writes the VIF as Nova does.
func (v VIF) MarshalJSON() ([]byte, error) {
	return object(
		field{"id", v.ID}, field{"address", v.Address}, field{"network", v.Network}, field{"type", orNull(v.Type)},
		field{"details", v.Details}, field{"devname", orNull(v.DevName)},
		field{"ovs_interfaceid", orNull(v.OVSInterfaceID)}, field{"qbh_params", v.QBHParams}, field{"qbg_params", v.QBGParams},
		field{"active", v.Active}, field{"vnic_type", v.VNICType}, field{"profile", v.Profile},
		field{"preserve_on_delete", v.PreserveOnDelete}, field{"delegate_create", v.DelegateCreate}, field{"meta", v.Meta},
	)
}

// UnmarshalJSON reads a VIF of any release.
func (v *VIF) UnmarshalJSON(data []byte) error {
	*v = VIF{VNICType: VNICNormal}
	return members(data, &v.Meta, map[string]any{
		"id": &v.ID, "address": &v.Address, "network": &v.Network, "type": &v.Type,
		"details": &v.Details, "devname": &v.DevName,
		"ovs_interfaceid": &v.OVSInterfaceID, "qbh_params": &v.QBHParams, "qbg_params": &v.QBGParams,
		"active": &v.Active, "vnic_type": &v.VNICType, "profile": &v.Profile,
		"preserve_on_delete": &v.PreserveOnDelete, "delegate_create": &v.DelegateCreate, "meta": &v.Meta,
	})
}

// MarshalJSON writes the network as Nova does.
func (n Network) MarshalJSON() ([]byte, error) {
	return object(
		field{"id", n.ID}, field{"bridge", orNull(n.Bridge)}, field{"label", n.Label},
		field{"subnets", notNull(n.Subnets)}, field{"meta", n.Meta},
	)
}

// UnmarshalJSON reads a network of any release.
func (n *Network) UnmarshalJSON(data []byte) error {
	*n = Network{}
	return members(data, &n.Meta, map[string]any{
		"id": &n.ID, "bridge": &n.Bridge, "label": &n.Label, "subnets": &n.Subnets, "meta": &n.Meta,
	})
}

// MarshalJSON writes the subnet as Nova does.
func (s Subnet) MarshalJSON() ([]byte, error) {
	return object(
		field{"cidr", orNull(s.CIDR)}, field{"dns", notNull(s.DNS)}, field{"gateway", s.Gateway}, field{"ips", notNull(s.IPs)},
		field{"routes", notNull(s.Routes)}, field{"version", orNull(s.Version)}, field{"meta", s.Meta},
	)
}

// UnmarshalJSON reads a subnet of any release.
func (s *Subnet) UnmarshalJSON(data []byte) error {
	*s = Subnet{}
	return members(data, &s.Meta, map[string]any{
		"cidr": &s.CIDR, "dns": &s.DNS, "gateway": &s.Gateway, "ips": &s.IPs,
		"routes": &s.Routes, "version": &s.Version, "meta": &s.Meta,
	})
}

func (ip IP) fields() []field {
	return []field{{"address", orNull(ip.Address)}, {"type", orNull(ip.Type)}, {"version", orNull(ip.Version)}, {"meta", ip.Meta}}
}

func (ip *IP) targets() map[string]any {
	return map[string]any{"address": &ip.Address, "type": &ip.Type, "version": &ip.Version, "meta": &ip.Meta}
}

// MarshalJSON writes the address as Nova does.
func (ip IP) MarshalJSON() ([]byte, error) { return object(ip.fields()...) }

// UnmarshalJSON reads an address of any release.
func (ip *IP) UnmarshalJSON(data []byte) error {
	*ip = IP{}
	return members(data, &ip.Meta, ip.targets())
}

// MarshalJSON writes the address as Nova does.
func (ip FixedIP) MarshalJSON() ([]byte, error) {
	return object(append(ip.fields(), field{"floating_ips", notNull(ip.FloatingIPs)})...)
}

// UnmarshalJSON reads an address of any release.
func (ip *FixedIP) UnmarshalJSON(data []byte) error {
	*ip = FixedIP{}
	targets := ip.targets()
	targets["floating_ips"] = &ip.FloatingIPs
	return members(data, &ip.Meta, targets)
}

// MarshalJSON writes the route as Nova does.
func (r Route) MarshalJSON() ([]byte, error) {
	return object(
		field{"cidr", orNull(r.CIDR)}, field{"gateway", r.Gateway}, field{"interface", orNull(r.Interface)}, field{"meta", r.Meta},
	)
}

// UnmarshalJSON reads a route of any release.
func (r *Route) UnmarshalJSON(data []byte) error {
	*r = Route{}
	return members(data, &r.Meta, map[string]any{
		"cidr": &r.CIDR, "gateway": &r.Gateway, "interface": &r.Interface, "meta": &r.Meta,
	})
}

type field struct {
	name  string
	value any
}

// object writes an object with its members in the given order.
func object(fields ...field) ([]byte, error) {
	var d Dict
	for _, f := range fields {
		raw, err := encode(f.value)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.name, err)
		}
		d.members = append(d.members, member{f.name, raw})
	}
	return d.MarshalJSON()
}

// members reads an object's known members into their targets and adds the rest
// to meta.
func members(data []byte, meta *Dict, targets map[string]any) error {
	var all Dict
	if err := all.UnmarshalJSON(data); err != nil {
		return err
	}
	var rest []member
	for _, m := range all.members {
		target, known := targets[m.name]
		if !known {
			rest = append(rest, m)
			continue
		}
		if err := json.Unmarshal(m.value, target); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
	}
	for _, m := range rest { // after meta itself, wherever that stood
		meta.put(m.name, m.value)
	}
	return nil
}

// orNull is null for a zero value.
func orNull[T comparable](v T) any {
	var zero T
	if v == zero {
		return nil
	}
	return v
}

// notNull is an empty list for none.
func notNull[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// encode is json.Marshal without the escapes that are meant for web pages.
func encode(v any) (json.RawMessage, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}

// pythonic writes compact JSON as Python's json.dumps would: a space after
// commas and colons, and nothing but ASCII.
func pythonic(raw []byte) string {
	var b bytes.Buffer
	inString := false
	for i := 0; i < len(raw); {
		c := raw[i]
		if c == 0x7f {
			b.WriteString(`\u007f`)
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRune(raw[i:])
			for _, unit := range utf16.Encode([]rune{r}) {
				fmt.Fprintf(&b, `\u%04x`, unit)
			}
			i += size
			continue
		}
		b.WriteByte(c)
		i++
		switch {
		case c == '\\' && inString:
			b.WriteByte(raw[i]) // an escaped character is never last
			i++
		case c == '"':
			inString = !inString
		case !inString && (c == ',' || c == ':'):
			b.WriteByte(' ')
		}
	}
	return b.String()
}
