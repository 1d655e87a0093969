package network

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
)

// Dict is a JSON object whose members keep their order and their values
// untouched: what Neutron says of a binding passes through the node and comes
// back as it was. The zero value is empty. A copy may be changed without
// changing the original.
type Dict struct{ members []member }

type member struct {
	name  string
	value json.RawMessage
}

// ParseDict reads a JSON object; null and nothing are empty.
func ParseDict(raw json.RawMessage) (Dict, error) {
	var d Dict
	if len(raw) == 0 {
		return d, nil
	}
	err := d.UnmarshalJSON(raw)
	return d, err
}

// Len is the number of members.
func (d Dict) Len() int { return len(d.members) }

// Names are the members' names in order.
func (d Dict) Names() []string {
	names := make([]string, len(d.members))
	for i, m := range d.members {
		names[i] = m.name
	}
	return names
}

// Raw is a member's JSON text; nil if there is none.
func (d Dict) Raw(name string) json.RawMessage {
	if i := d.index(name); i >= 0 {
		return d.members[i].value
	}
	return nil
}

// Has reports whether there is such a member and it is not null.
func (d Dict) Has(name string) bool {
	raw := d.Raw(name)
	return raw != nil && string(raw) != "null"
}

// Str is a member that is a string; empty otherwise.
func (d Dict) Str(name string) string {
	var s string
	d.get(name, &s)
	return s
}

// Int is a member that is an integer; 0 otherwise.
func (d Dict) Int(name string) int {
	var n int
	d.get(name, &n)
	return n
}

// Bool is a member that is true; false otherwise.
func (d Dict) Bool(name string) bool {
	var b bool
	d.get(name, &b)
	return b
}

// Decode reads a member into v, as json.Unmarshal does; an absent one leaves v
// alone.
func (d Dict) Decode(name string, v any) error {
	raw := d.Raw(name)
	if raw == nil {
		return nil
	}
	return json.Unmarshal(raw, v)
}

// Set changes a member in place or appends it. The value must be something
// that JSON can express.
func (d *Dict) Set(name string, value any) error {
	raw, err := encode(value)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	d.put(name, raw)
	return nil
}

// Delete removes members; they may be absent.
func (d *Dict) Delete(names ...string) {
	var kept []member
	for _, m := range d.members {
		if !slices.Contains(names, m.name) {
			kept = append(kept, m)
		}
	}
	d.members = kept
}

func (d *Dict) put(name string, raw json.RawMessage) {
	members := slices.Clone(d.members)
	if i := d.index(name); i >= 0 {
		members[i].value = raw
	} else {
		members = append(members, member{name, raw})
	}
	d.members = members
}

func (d Dict) index(name string) int {
	return slices.IndexFunc(d.members, func(m member) bool { return m.name == name })
}

// get leaves v zero where the member has another type.
func (d Dict) get(name string, v any) {
	if raw := d.Raw(name); raw != nil {
		_ = json.Unmarshal(raw, v) // another type reads as the zero value
	}
}

// MarshalJSON writes the members in their order.
func (d Dict) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range d.members {
		if i > 0 {
			b.WriteByte(',')
		}
		name, err := encode(m.name)
		if err != nil {
			return nil, err
		}
		b.Write(name)
		b.WriteByte(':')
		b.Write(m.value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// UnmarshalJSON reads an object; of a name that comes twice the last counts.
func (d *Dict) UnmarshalJSON(data []byte) error {
	d.members = nil
	if string(bytes.TrimSpace(data)) == "null" {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	start, err := dec.Token()
	if err != nil {
		return err
	}
	if start != json.Delim('{') {
		return fmt.Errorf("expected a JSON object, found %.20q", data)
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return err
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return err
		}
		d.put(name.(string), value)
	}
	_, err = dec.Token()
	return err
}
