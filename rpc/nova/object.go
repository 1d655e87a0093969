package nova

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Object is one versioned object: a partial map of fields with a change set.
//
// A field that is not set is different from a field that is null, so nothing
// is ever filled in: what was not received is not sent. Fields this program
// knows nothing about are kept and passed back unharmed.
//
// All reading methods work on a nil *Object and then report nothing set, so
// chains such as inst.Flavor().MemoryMB() need no checks on the way.
// An Object is not safe for concurrent use; give each goroutine its Clone.
type Object struct {
	name      string
	namespace string
	version   string
	prefix    string         // "nova_object." or "versioned_object."
	data      map[string]any // nil, bool, string, json.Number, *Object, []any, map[string]any
	changed   map[string]struct{}
}

const (
	novaNamespace = "nova"
	novaPrefix    = "nova_object."
	osloPrefix    = "versioned_object." // used by os-vif and other libraries
)

// NewObject returns an empty object of Nova's namespace.
// Use Profile.New to get the version that the chosen release sends.
func NewObject(name, version string) *Object {
	return &Object{
		name:      name,
		namespace: novaNamespace,
		version:   version,
		prefix:    novaPrefix,
		data:      map[string]any{},
		changed:   map[string]struct{}{},
	}
}

// NewList returns a list object, for example InstanceList, that holds items.
func NewList(name, version string, items ...*Object) *Object {
	list := make([]any, len(items))
	for i, item := range items {
		list[i] = item
	}
	o := NewObject(name, version)
	o.put("objects", list)
	o.mark("objects")
	return o
}

// object makes an Object and every wrapper around one a versioned value.
func (o *Object) object() *Object { return o }

// Name is the class name, for example "Instance". It is "" for a nil object.
func (o *Object) Name() string {
	if o == nil {
		return ""
	}
	return o.name
}

// Namespace is "nova" for every object of Nova's own.
func (o *Object) Namespace() string {
	if o == nil {
		return ""
	}
	return o.namespace
}

// Version is the label the object was received or made with, for example "2.7".
func (o *Object) Version() string {
	if o == nil {
		return ""
	}
	return o.version
}

// Exists tells whether there is an object at all: false for nil.
func (o *Object) Exists() bool { return o != nil }

// Fields lists the names of all set fields in alphabetical order.
func (o *Object) Fields() []string {
	if o == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(o.data))
}

// Has tells whether the field is set; a null field is set.
func (o *Object) Has(field string) bool {
	if o == nil {
		return false
	}
	_, ok := o.data[field]
	return ok
}

// IsNull tells whether the field is null or not set.
func (o *Object) IsNull(field string) bool { return o.Raw(field) == nil }

// Raw returns the value as it is kept: nil, bool, string, json.Number,
// *Object, []any or map[string]any. The caller must not change it.
func (o *Object) Raw(field string) any {
	if o == nil {
		return nil
	}
	return o.data[field]
}

// Str returns a string field; numbers are given as their text. It is "" when unset, null or of another kind.
func (o *Object) Str(field string) string { return text(o.Raw(field)) }

// Int returns a number field, also one sent as text; 0 when unset, null or no number.
func (o *Object) Int(field string) int64 { return integer(o.Raw(field)) }

// Float returns a number field, also one sent as text; 0 when unset, null or no number.
func (o *Object) Float(field string) float64 {
	f, _ := strconv.ParseFloat(text(o.Raw(field)), 64)
	return f
}

// Bool returns a truth value; it also takes the texts Nova takes for true
// ("1", "t", "true", "on", "y", "yes" in any case) and numbers.
func (o *Object) Bool(field string) bool { return truth(o.Raw(field)) }

// Time returns a time in UTC, the zero time when unset, null or malformed.
func (o *Object) Time(field string) time.Time {
	s, _ := o.Raw(field).(string)
	t, _ := parseTime(s)
	return t
}

// Strings returns a list of strings, nil when unset or null.
func (o *Object) Strings(field string) []string {
	list, ok := o.Raw(field).([]any)
	if !ok {
		return nil
	}
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = text(v)
	}
	return out
}

// Ints returns a list or set of numbers, nil when unset or null.
func (o *Object) Ints(field string) []int64 {
	list, ok := o.Raw(field).([]any)
	if !ok {
		return nil
	}
	out := make([]int64, len(list))
	for i, v := range list {
		out[i] = integer(v)
	}
	return out
}

// Map returns a copy of a dictionary; null values become "". Nil when unset or null.
func (o *Object) Map(field string) map[string]string {
	dict, ok := o.Raw(field).(map[string]any)
	if !ok {
		return nil
	}
	out := make(map[string]string, len(dict))
	for k, v := range dict {
		out[k] = text(v)
	}
	return out
}

// Obj returns a nested object, nil when unset or null. Changes made to it are changes of o.
func (o *Object) Obj(field string) *Object {
	nested, _ := o.Raw(field).(*Object)
	return nested
}

// List returns the objects of a list field or of a nested list object, nil when unset or null.
func (o *Object) List(field string) []*Object {
	switch v := o.Raw(field).(type) {
	case *Object:
		return v.Objects()
	case []any:
		return objectsOf(v)
	}
	return nil
}

// Objects returns what a list object, for example an InstanceList, holds.
func (o *Object) Objects() []*Object {
	list, _ := o.Raw("objects").([]any)
	return objectsOf(list)
}

// Set gives the field a value and marks it changed, unless it has that value
// already. Times are written as Nova writes them, in UTC without a fraction, and
// compared with it: two moments of one second differ, so that a guest resized in
// the second it was launched is launched anew. Structs, maps and slices go through
// their JSON form. o must not be nil: a view of a part that may be missing is asked
// with Exists first.
func (o *Object) Set(field string, v any) {
	value := normalise(v)
	moment, _ := v.(time.Time)
	if old, ok := o.data[field]; ok && same(old, value) && moment.Nanosecond() == 0 {
		return
	}
	o.put(field, value)
	o.mark(field)
}

// Unset forgets the field and its change mark.
func (o *Object) Unset(field string) {
	if o == nil {
		return
	}
	delete(o.data, field)
	delete(o.changed, field)
}

// Changes lists the changed fields in alphabetical order. A field that holds
// a changed object is changed itself.
func (o *Object) Changes() []string {
	if o == nil {
		return nil
	}
	out := slices.Collect(maps.Keys(o.changed))
	for field, v := range o.data {
		if _, marked := o.changed[field]; !marked && holdsChange(field, v) {
			out = append(out, field)
		}
	}
	slices.Sort(out)
	return out
}

// ClearChanges forgets the change marks of this object, not those of nested ones.
func (o *Object) ClearChanges() {
	if o != nil {
		clear(o.changed)
	}
}

// Clone returns a copy that shares nothing with o; nil for nil.
func (o *Object) Clone() *Object {
	if o == nil {
		return nil
	}
	c := *o
	c.data = make(map[string]any, len(o.data))
	for k, v := range o.data {
		c.data[k] = cloneValue(v)
	}
	c.changed = maps.Clone(o.changed)
	return &c
}

func (o *Object) put(field string, v any) {
	if o.data == nil {
		o.data = map[string]any{}
	}
	o.data[field] = v
}

func (o *Object) mark(field string) {
	if o.changed == nil {
		o.changed = map[string]struct{}{}
	}
	o.changed[field] = struct{}{}
}

// holdsChange tells whether a value makes its field changed. Of lists of
// objects only the members of list objects count, as in oslo.versionedobjects.
func holdsChange(field string, v any) bool {
	switch v := v.(type) {
	case *Object:
		return v.dirty()
	case []any:
		return field == "objects" && slices.ContainsFunc(v, func(item any) bool {
			o, ok := item.(*Object)
			return ok && o.dirty()
		})
	}
	return false
}

func (o *Object) dirty() bool {
	if o == nil {
		return false
	}
	if len(o.changed) > 0 {
		return true
	}
	for field, v := range o.data {
		if holdsChange(field, v) {
			return true
		}
	}
	return false
}

func objectsOf(list []any) []*Object {
	if list == nil {
		return nil
	}
	out := make([]*Object, 0, len(list))
	for _, v := range list {
		if o, ok := v.(*Object); ok && o != nil {
			out = append(out, o)
		}
	}
	return out
}

func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		return strconv.FormatBool(v)
	}
	return ""
}

func integer(v any) int64 {
	s := strings.TrimSpace(text(v))
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || f < -1<<62 || f > 1<<62 {
		return 0
	}
	return int64(f)
}

func truth(v any) bool {
	switch v := v.(type) {
	case bool:
		return v
	case json.Number:
		f, err := v.Float64()
		return err == nil && f != 0
	case string:
		switch strings.ToLower(strings.TrimSpace(v)) {
		case "1", "t", "true", "on", "y", "yes":
			return true
		}
	}
	return false
}

// same compares two stored values. Objects are the same only if they are one.
func same(a, b any) bool {
	if na, ok := a.(json.Number); ok {
		nb, ok := b.(json.Number)
		return ok && sameNumber(na, nb)
	}
	if _, ok := b.(*Object); ok {
		return a == b
	}
	return reflect.DeepEqual(a, b)
}

func sameNumber(a, b json.Number) bool {
	if a == b {
		return true
	}
	const exact = 1 << 53 // above it different integers share one float
	fa, errA := a.Float64()
	fb, errB := b.Float64()
	return errA == nil && errB == nil && fa == fb && fa > -exact && fa < exact
}
