package nova

import (
	"context"
	"encoding/json"
	"fmt"

	"bolide/rpc"
)

// Caller sends RPC messages; *rpc.Link is one.
type Caller interface {
	Call(ctx context.Context, rc rpc.Context, t rpc.Target, method string, args map[string]any, opts ...rpc.CallOption) (json.RawMessage, error)
	Cast(ctx context.Context, rc rpc.Context, t rpc.Target, method string, args map[string]any) error
}

// Conductor is the typed client of nova-conductor, bound to one request
// context. It has no state of its own and may be used concurrently; the
// objects given to it may not.
//
// Every call blocks until the reply, ctx's end or the response timeout of the
// caller. Errors wrap *rpc.RemoteError for exceptions raised by conductor (see
// Is) and rpc.ErrTimeout; Nova retries none of these calls.
type Conductor struct {
	caller  Caller
	profile Profile
	host    string
	rc      rpc.Context
	replica bool
}

// NewConductor makes a client that speaks as the compute service host, in a
// fresh admin context.
func NewConductor(caller Caller, p Profile, host string) *Conductor {
	return &Conductor{caller: caller, profile: p, host: host, rc: rpc.AdminContext()}
}

// With gives a client for another request context. Conductor finds the action
// that events belong to by the request id in it.
func (c *Conductor) With(rc rpc.Context) *Conductor {
	bound := *c
	bound.rc = rc
	return &bound
}

// FromReplica gives a client whose list calls may read from an asynchronous
// copy of the database, where the operator runs one. For periodic work only.
func (c *Conductor) FromReplica() *Conductor {
	bound := *c
	bound.replica = true
	return &bound
}

// Context is the request context the client is bound to.
func (c *Conductor) Context() rpc.Context { return c.rc }

// Profile is the release the client speaks as.
func (c *Conductor) Profile() Profile { return c.profile }

// Host is the compute service the client speaks as.
func (c *Conductor) Host() string { return c.host }

// objectTarget is where object calls go; their interface has kept its version in all releases.
func objectTarget() rpc.Target { return rpc.Target{Topic: "conductor", Version: "3.0"} }

// Ping asks conductor whether it is there.
func (c *Conductor) Ping(ctx context.Context) error {
	t := rpc.Target{Topic: "conductor", Namespace: "baseapi", Version: "1.0"}
	if _, err := c.caller.Call(ctx, c.rc, t, "ping", map[string]any{"arg": "bolide"}); err != nil {
		return fmt.Errorf("ping conductor: %w", err)
	}
	return nil
}

// Class calls a class method, for example InstanceList.get_by_host. The reply
// comes at the versions of the profile's manifest for the class.
func (c *Conductor) Class(ctx context.Context, class, method string, args []any, kwargs map[string]any) (json.RawMessage, error) {
	if args == nil {
		args = []any{}
	}
	if kwargs == nil {
		kwargs = map[string]any{}
	}
	raw, err := c.caller.Call(ctx, c.rc, objectTarget(), "object_class_action_versions", map[string]any{
		"objname":         class,
		"objmethod":       method,
		"object_versions": c.profile.Manifest(class),
		"args":            args,
		"kwargs":          kwargs,
	})
	if err != nil {
		return nil, fmt.Errorf("conductor %s.%s: %w", class, method, err)
	}
	return raw, nil
}

// Action calls a method of an object: it is sent whole with its changes, and
// what conductor changed is taken over into it, with the change set that
// conductor names. After an error the object is as it was.
func (c *Conductor) Action(ctx context.Context, o *Object, method string, args []any, kwargs map[string]any) (json.RawMessage, error) {
	if args == nil {
		args = []any{}
	}
	if kwargs == nil {
		kwargs = map[string]any{}
	}
	raw, err := c.caller.Call(ctx, c.rc, objectTarget(), "object_action", map[string]any{
		"objinst":   o,
		"objmethod": method,
		"args":      args,
		"kwargs":    kwargs,
	})
	if err != nil {
		return nil, fmt.Errorf("conductor %s.%s: %w", o.Name(), method, err)
	}
	var updates map[string]json.RawMessage
	var result json.RawMessage
	reply := []any{&updates, &result}
	if err := json.Unmarshal(raw, &reply); err != nil || len(reply) != 2 {
		return nil, fmt.Errorf("conductor %s.%s: reply is not updates and a result", o.Name(), method)
	}
	if err := o.apply(updates); err != nil {
		return nil, fmt.Errorf("conductor %s.%s: %w", o.Name(), method, err)
	}
	return result, nil
}

// Backport asks conductor to downgrade an object to this release's versions.
// Needed only where the major version differs (see Profile.Understands).
func (c *Conductor) Backport(ctx context.Context, o *Object) (*Object, error) {
	raw, err := c.caller.Call(ctx, c.rc, objectTarget(), "object_backport_versions", map[string]any{
		"objinst":         o,
		"object_versions": c.profile.Manifest(o.Name()),
	})
	if err != nil {
		return nil, fmt.Errorf("backport %s %s: %w", o.Name(), o.Version(), err)
	}
	return Decode(raw)
}

// get calls a class method that answers one object or null.
func get[T wrapper](ctx context.Context, c *Conductor, class, method string, args []any, kwargs map[string]any) (*T, error) {
	raw, err := c.Class(ctx, class, method, args, kwargs)
	if err != nil {
		return nil, err
	}
	t, err := decodeAs[T](raw)
	if err != nil {
		return nil, fmt.Errorf("conductor %s.%s: %w", class, method, err)
	}
	return t, nil
}

// list calls a class method that answers a list object.
func list[T wrapper](ctx context.Context, c *Conductor, class, method string, args []any, kwargs map[string]any) ([]*T, error) {
	raw, err := c.Class(ctx, class, method, args, kwargs)
	if err != nil {
		return nil, err
	}
	items, err := decodeListAs[T](raw)
	if err != nil {
		return nil, fmt.Errorf("conductor %s.%s: %w", class, method, err)
	}
	return items, nil
}

// act calls a method of an object whose result does not matter.
func (c *Conductor) act(ctx context.Context, o *Object, method string) error {
	_, err := c.Action(ctx, o, method, nil, nil)
	return err
}

// read are the keyword arguments of list calls that may read from a replica.
func (c *Conductor) read(kwargs map[string]any) map[string]any {
	if kwargs == nil {
		kwargs = map[string]any{}
	}
	if c.replica {
		kwargs["use_slave"] = true
	}
	return kwargs
}

// expect names the optional parts of instances to load; none loads none.
func expect(attrs []string) map[string]any {
	if attrs == nil {
		attrs = []string{}
	}
	return map[string]any{"expected_attrs": attrs}
}
