package nova

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// timeLayout is how Nova writes times in objects.
const timeLayout = "2006-01-02T15:04:05Z"

var errNotObject = errors.New("not a versioned object")

// Decode reads one object primitive. JSON null gives nil and no error.
func Decode(raw json.RawMessage) (*Object, error) {
	v, err := decodeValue(raw)
	if err != nil {
		return nil, fmt.Errorf("decode object: %w", err)
	}
	if v == nil {
		return nil, nil
	}
	o, ok := v.(*Object)
	if !ok {
		return nil, fmt.Errorf("decode object: %w", errNotObject)
	}
	return o, nil
}

// DecodeList reads a list object or a plain array of objects. JSON null gives nil and no error.
func DecodeList(raw json.RawMessage) ([]*Object, error) {
	v, err := decodeValue(raw)
	if err != nil {
		return nil, fmt.Errorf("decode object list: %w", err)
	}
	switch v := v.(type) {
	case nil:
		return nil, nil
	case []any:
		return objectsOf(v), nil
	case *Object:
		if v.Has("objects") {
			return v.Objects(), nil
		}
	}
	return nil, fmt.Errorf("decode object list: %w", errNotObject)
}

// DecodeValue reads any RPC value: objects nested in lists and dictionaries
// become *Object, numbers stay json.Number.
func DecodeValue(raw json.RawMessage) (any, error) { return decodeValue(raw) }

// MarshalJSON gives the primitive that goes on the wire.
func (o *Object) MarshalJSON() ([]byte, error) {
	if o == nil {
		return []byte("null"), nil
	}
	p := map[string]any{
		o.prefix + "name":      o.name,
		o.prefix + "namespace": o.namespace,
		o.prefix + "version":   o.version,
		o.prefix + "data":      o.data,
	}
	if changes := o.Changes(); len(changes) > 0 {
		p[o.prefix+"changes"] = changes
	}
	b, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", o.name, err)
	}
	return b, nil
}

// UnmarshalJSON reads a primitive into o. It refuses null; use Decode where null may come.
func (o *Object) UnmarshalJSON(raw []byte) error {
	if o == nil {
		return errors.New("decode object: no object to decode into")
	}
	decoded, err := Decode(raw)
	if err != nil {
		return err
	}
	if decoded == nil {
		return fmt.Errorf("decode object: %w", errNotObject)
	}
	*o = *decoded
	return nil
}

// apply takes over the updates of an object_action reply and the change set it
// names. Nested objects come back whole and replace those held before.
func (o *Object) apply(updates map[string]json.RawMessage) error {
	fresh := make(map[string]any, len(updates))
	var changed []string
	for field, raw := range updates {
		if field == "obj_what_changed" {
			if err := json.Unmarshal(raw, &changed); err != nil {
				return fmt.Errorf("read changes of %s: %w", o.name, err)
			}
			continue
		}
		v, err := decodeValue(raw)
		if err != nil {
			return fmt.Errorf("read %s of %s: %w", field, o.name, err)
		}
		fresh[field] = v
	}
	for field, v := range fresh {
		o.put(field, v)
	}
	o.ClearChanges()
	for _, field := range changed {
		o.mark(field)
	}
	return nil
}

func decodeValue(raw []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if d.More() {
		return nil, errors.New("more than one JSON value")
	}
	return adopt(v), nil
}

// adopt turns every primitive inside v into an *Object.
func adopt(v any) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = adopt(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = adopt(v[k])
		}
		if o := objectFrom(v, novaPrefix); o != nil {
			return o
		}
		if o := objectFrom(v, osloPrefix); o != nil {
			return o
		}
	}
	return v
}

// objectFrom recognises a primitive by its shape, not by its name key alone:
// users may give their metadata any keys they like, but only string values.
func objectFrom(m map[string]any, prefix string) *Object {
	name, ok := m[prefix+"name"].(string)
	if !ok || name == "" {
		return nil
	}
	data, ok := m[prefix+"data"].(map[string]any)
	if !ok {
		return nil
	}
	version, ok := m[prefix+"version"].(string)
	if !ok {
		return nil
	}
	namespace, _ := m[prefix+"namespace"].(string)
	o := &Object{name: name, namespace: namespace, version: version, prefix: prefix, data: data, changed: map[string]struct{}{}}
	changes, _ := m[prefix+"changes"].([]any)
	for _, c := range changes {
		if field, ok := c.(string); ok {
			o.mark(field)
		}
	}
	return o
}

// normalise turns a Go value into the stored form. A value without a JSON form
// is kept as it is and makes the encoding of the object fail.
func normalise(v any) any {
	switch v := v.(type) {
	case nil, bool, string, json.Number:
		return v
	case interface{ object() *Object }:
		if o := v.object(); o != nil {
			return o
		}
		return nil
	case time.Time:
		if v.IsZero() {
			return nil
		}
		return v.UTC().Format(timeLayout)
	case int:
		return json.Number(strconv.Itoa(v))
	case int64:
		return json.Number(strconv.FormatInt(v, 10))
	case float64:
		return floatNumber(v)
	case []*Object:
		return listValue(v)
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return v
	}
	value, err := decodeValue(raw)
	if err != nil {
		return v
	}
	return value
}

// floatNumber keeps whole floats recognisable as floats ("16.0"), as Python does.
func floatNumber(f float64) any {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return f
	}
	s := strconv.FormatFloat(f, 'g', -1, 64)
	if !strings.ContainsAny(s, ".e") {
		s += ".0"
	}
	return json.Number(s)
}

func listValue(items []*Object) []any {
	list := make([]any, len(items))
	for i, item := range items {
		list[i] = item
	}
	return list
}

func cloneValue(v any) any {
	switch v := v.(type) {
	case *Object:
		return v.Clone()
	case []any:
		c := slices.Clone(v)
		for i := range c {
			c[i] = cloneValue(c[i])
		}
		return c
	case map[string]any:
		c := maps.Clone(v)
		for k := range c {
			c[k] = cloneValue(c[k])
		}
		return c
	}
	return v
}

// parseTime reads the forms of time Nova and its database layer write. Times without a zone are UTC.
func parseTime(s string) (time.Time, bool) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02 15:04:05"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), true
		}
	}
	return time.Time{}, false
}
