// Package conductor is nova-conductor for the nodes of the embedded control
// plane: it serves the calls on objects from the cell's database, and the task
// interface to which nodes give builds and moves back.
//
// The methods stand in class.go (called on a class) and action.go (called on an
// object); they are those that compute nodes call. To add one, add a line there.
//
// It starts no goroutines of its own; the handlers run in those of rpc.Server.
package conductor

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"

	"bolide/rpc"
	"bolide/rpc/nova"
	"bolide/test/controller/cell"
)

// Topic is where conductors are found.
const Topic = "conductor"

// Conductor answers the calls.
type Conductor struct{ db *cell.DB }

// New makes a Conductor of a cell's database.
func New(db *cell.DB) *Conductor { return &Conductor{db} }

// Endpoint are the calls on objects, for Link.Serve.
func (c *Conductor) Endpoint() rpc.Endpoint {
	return rpc.Endpoint{Version: "3.0", Methods: map[string]rpc.Handler{
		"object_class_action_versions": c.class,
		"object_action":                c.action,
		"object_backport_versions":     c.backport,
	}}
}

// call is one call on a class or an object.
type call struct {
	tx     *cell.Tx
	args   []any
	kwargs map[string]any
}

// arg is the i-th argument, which may also be given by its name; nil if it is
// given in neither way.
func (k *call) arg(i int, name string) any {
	if i < len(k.args) {
		return k.args[i]
	}
	return k.kwargs[name]
}

func (k *call) str(i int, name string) string {
	s, _ := k.arg(i, name).(string)
	return s
}

func (k *call) int(i int, name string) int64 {
	n, _ := k.arg(i, name).(json.Number)
	v, _ := n.Int64()
	return v
}

func (k *call) strings(i int, name string) []string {
	list, _ := k.arg(i, name).([]any)
	var out []string
	for _, v := range list {
		if s, ok := v.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

// decode reads the arguments that both kinds of call have.
func decode(r *rpc.Request) (*call, error) {
	k := &call{kwargs: map[string]any{}}
	for _, name := range []string{"args", "kwargs"} {
		if !r.Has(name) {
			continue
		}
		v, err := nova.DecodeValue(r.Args[name])
		if err != nil {
			return nil, fmt.Errorf("%s of %s: %w", name, r.Method, err)
		}
		switch v := v.(type) {
		case []any:
			k.args = v
		case map[string]any:
			k.kwargs = v
		}
	}
	return k, nil
}

func (c *Conductor) class(_ context.Context, r *rpc.Request) (any, error) {
	var class, method string
	if err := r.Arg("objname", &class); err != nil {
		return nil, err
	}
	if err := r.Arg("objmethod", &method); err != nil {
		return nil, err
	}
	handle, known := classMethods[class+"."+method]
	if !known {
		return nil, unknown(class, method)
	}
	k, err := decode(r)
	if err != nil {
		return nil, err
	}
	var result any
	err = c.db.Update(r.Context, func(tx *cell.Tx) (err error) {
		k.tx = tx
		result, err = handle(k)
		return err
	})
	return result, err
}

func (c *Conductor) action(_ context.Context, r *rpc.Request) (any, error) {
	o, err := nova.Decode(r.Args["objinst"])
	if err != nil {
		return nil, err
	}
	var method string
	if err := r.Arg("objmethod", &method); err != nil {
		return nil, err
	}
	handle, known := actions[o.Name()+"."+method]
	if !known {
		return nil, unknown(o.Name(), method)
	}
	k, err := decode(r)
	if err != nil {
		return nil, err
	}
	before := o.Clone()
	var result any
	err = c.db.Update(r.Context, func(tx *cell.Tx) (err error) {
		k.tx = tx
		result, err = handle(k, o)
		return err
	})
	if err != nil {
		return nil, err
	}
	return []any{updates(before, o), result}, nil
}

// backport would downgrade an object to versions that the node knows; the
// objects here are those of the oldest release.
func (c *Conductor) backport(_ context.Context, r *rpc.Request) (any, error) {
	return nova.Decode(r.Args["objinst"])
}

// updates are the fields of an object that are not what they were, and which of
// them are still marked. Nova compares nested objects by identity, with a copy:
// so they always differ.
func updates(before, after *nova.Object) map[string]any {
	marked := after.Changes()
	if marked == nil {
		marked = []string{}
	}
	out := map[string]any{"obj_what_changed": marked}
	for _, field := range after.Fields() {
		was, is := before.Raw(field), after.Raw(field)
		if !before.Has(field) || holdsObject(is) || !reflect.DeepEqual(was, is) {
			out[field] = is
		}
	}
	return out
}

func holdsObject(v any) bool {
	switch v := v.(type) {
	case *nova.Object:
		return true
	case []any:
		for _, item := range v {
			if holdsObject(item) {
				return true
			}
		}
	}
	return false
}

func unknown(class, method string) error {
	return nova.NewErrorText("NovaException", fmt.Sprintf("This control plane has no %s.%s", class, method))
}
