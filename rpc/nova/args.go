package nova

import (
	"encoding/json"
	"errors"
	"fmt"
)

// Args reads the arguments of a request to the compute service. Problems are
// gathered: read all arguments first, then look at Err.
//
//	a := nova.NewArgs(r.Args)
//	inst, image := a.Instance("instance"), a.Dict("image")
//	if err := a.Err(); err != nil {
//		return nil, err
//	}
type Args struct {
	raw  map[string]json.RawMessage
	errs []error
}

// NewArgs reads from the arguments of a request.
func NewArgs(raw map[string]json.RawMessage) *Args { return &Args{raw: raw} }

// Err reports all missing and malformed arguments as Python's TypeError.
func (a *Args) Err() error {
	if len(a.errs) == 0 {
		return nil
	}
	return &Error{Class: "TypeError", Module: builtinModule, Code: 500, Message: errors.Join(a.errs...).Error()}
}

// Has tells whether an argument was given and is not null.
func (a *Args) Has(name string) bool {
	raw, ok := a.raw[name]
	return ok && string(raw) != "null"
}

// Raw is an argument as it came, to be passed on; null if it was not given.
func (a *Args) Raw(name string) json.RawMessage {
	if raw, ok := a.raw[name]; ok {
		return raw
	}
	return json.RawMessage("null")
}

// Str reads a text; "" if it is null or was not given.
func (a *Args) Str(name string) string { return optional[string](a, name) }

// Bool reads a truth value; false if it is null or was not given.
func (a *Args) Bool(name string) bool { return optional[bool](a, name) }

// Int reads a number; 0 if it is null or was not given.
func (a *Args) Int(name string) int64 { return optional[int64](a, name) }

// Strings reads a list of texts; nil if it is null or was not given.
func (a *Args) Strings(name string) []string { return optional[[]string](a, name) }

// Shutdown reads clean_shutdown; a clean one if it was not given.
func (a *Args) Shutdown(name string) Shutdown {
	if a.Has(name) && !a.Bool(name) {
		return ShutdownForce
	}
	return ShutdownClean
}

// Files reads injected files, pairs of a path and base64 text; nil if null.
func (a *Args) Files(name string) [][2]string { return optional[[][2]string](a, name) }

// Dict reads a dictionary; nested objects become *Object and numbers
// json.Number. Nil if it is null or was not given.
func (a *Args) Dict(name string) map[string]any {
	v := a.value(name)
	dict, ok := v.(map[string]any)
	if v != nil && !ok {
		a.fail(name, errors.New("not a dictionary"))
	}
	return dict
}

// Object reads any object; nil if it is null or was not given.
func (a *Args) Object(name string) *Object {
	v := a.value(name)
	o, ok := v.(*Object)
	if v != nil && !ok {
		a.fail(name, errNotObject)
	}
	return o
}

// Objects reads a list object or a list of objects.
func (a *Args) Objects(name string) []*Object {
	if !a.Has(name) {
		return nil
	}
	list, err := DecodeList(a.raw[name])
	if err != nil {
		a.fail(name, err)
	}
	return list
}

// Instance reads an instance, which must be given.
func (a *Args) Instance(name string) *Instance {
	return As[Instance](a.required("Instance", name))
}

// Instances reads a list of instances.
func (a *Args) Instances(name string) []*Instance { return AsList[Instance](a.Objects(name)) }

// Flavor reads a flavor, which must be given, under the first of the names that
// is there: clients of version 5 call it instance_type.
func (a *Args) Flavor(names ...string) Flavor { return Flavor{a.required("Flavor", names...)} }

// Migration reads a migration; nil if it is null or was not given.
func (a *Args) Migration(name string) *Migration { return As[Migration](a.Object(name)) }

// RequestSpec reads a request spec; nil if it is null or was not given.
func (a *Args) RequestSpec(name string) *RequestSpec { return As[RequestSpec](a.Object(name)) }

// LiveMigrateData reads what two hosts agreed on; nil if it is null or was not given.
func (a *Args) LiveMigrateData(name string) *LiveMigrateData {
	return As[LiveMigrateData](a.Object(name))
}

// BlockDevice reads one disk, which must be given.
func (a *Args) BlockDevice(name string) *BlockDeviceMapping {
	return As[BlockDeviceMapping](a.required("BlockDeviceMapping", name))
}

// BlockDevices reads the disks of an instance; nil if null or not given.
func (a *Args) BlockDevices(name string) []*BlockDeviceMapping {
	return AsList[BlockDeviceMapping](a.Objects(name))
}

// NetworkRequests reads the networks asked for; nil if null or not given.
func (a *Args) NetworkRequests(name string) []*NetworkRequest {
	return AsList[NetworkRequest](a.Objects(name))
}

// Events reads external events.
func (a *Args) Events(name string) []*InstanceExternalEvent {
	return AsList[InstanceExternalEvent](a.Objects(name))
}

// Selections reads the hosts left to try; nil if null or not given.
func (a *Args) Selections(name string) []*Selection { return AsList[Selection](a.Objects(name)) }

// required reads an object of a class that must be there.
func (a *Args) required(class string, names ...string) *Object {
	for _, name := range names {
		if !a.Has(name) {
			continue
		}
		o := a.Object(name)
		if o != nil && o.Name() != class {
			a.fail(name, fmt.Errorf("is a %s, not a %s", o.Name(), class))
			return nil
		}
		return o
	}
	a.fail(names[0], errors.New("missing"))
	return nil
}

func (a *Args) value(name string) any {
	if !a.Has(name) {
		return nil
	}
	v, err := decodeValue(a.raw[name])
	if err != nil {
		a.fail(name, err)
	}
	return v
}

func (a *Args) fail(name string, err error) {
	a.errs = append(a.errs, fmt.Errorf("argument %s: %w", name, err))
}

func optional[T any](a *Args, name string) T {
	var v T
	if !a.Has(name) {
		return v
	}
	if err := json.Unmarshal(a.raw[name], &v); err != nil {
		var zero T
		a.fail(name, err)
		return zero
	}
	return v
}
