package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"bolide/agent/network"
	"bolide/rpc"
	"bolide/rpc/nova"
)

// opExternalEvent takes the events that Neutron, Cinder and administrators send through Nova's API:
// POST /os-server-external-events. It wakes the operations that wait for them and refreshes what they change.
func opExternalEvent(*Agent) operation {
	return operation{
		method: "external_instance_event", hostwide: true,
		do: func(_ context.Context, t *task) (any, error) {
			instances, err := instancesByUUID(t.req)
			if err != nil {
				return nil, err
			}
			events, err := nova.DecodeList(t.req.Args["events"])
			if err != nil {
				return nil, fmt.Errorf("argument events: %w", err)
			}
			for _, e := range nova.AsList[nova.InstanceExternalEvent](events) {
				if inst := instances[e.InstanceUUID()]; inst != nil {
					t.about(inst).take(e)
				}
			}
			return nil, nil
		},
	}
}

func instancesByUUID(r *rpc.Request) (map[string]*nova.Instance, error) {
	list, err := nova.DecodeList(r.Args["instances"])
	if err != nil {
		return nil, fmt.Errorf("argument instances: %w", err)
	}
	out := make(map[string]*nova.Instance, len(list))
	for _, i := range nova.AsList[nova.Instance](list) {
		out[i.UUID()] = i
	}
	return out, nil
}

// about is the task for one of several instances that a request names.
func (t *task) about(inst *nova.Instance) *task {
	one := *t
	one.inst = inst
	one.log = t.log.WithField("instance", inst.UUID())
	return &one
}

// take deals with one event. Waiters hear of it at once; what changes the instance's ports waits for its turn in the
// instance's queue, since a running operation may be changing them too.
func (t *task) take(e *nova.InstanceExternalEvent) {
	t.log = t.log.WithField("event", e.EventName()).WithField("port", e.Tag())
	switch e.EventName() {
	case "network-changed":
		t.later(func(ctx context.Context) error { return t.refreshPorts(ctx, e.Tag()) })
	case "network-vif-deleted":
		t.later(func(ctx context.Context) error { return t.dropPort(ctx, e.Tag()) })
	default:
		if !t.waiters.deliver(eventKey{Instance: e.InstanceUUID(), Name: e.EventName(), Tag: e.Tag()}, e.Status()) {
			t.log.Debug("event that nobody waits for")
		}
	}
}

// eventLimit bounds the work that an event causes.
const eventLimit = 5 * time.Minute

// later puts work into the instance's queue. What goes wrong is logged: nobody waits for an answer, and the periodic
// tasks mend what was missed.
func (t *task) later(work func(context.Context) error) {
	_, err := t.queues.add(t.inst.UUID(), &job{name: t.op.method, interruptible: true, run: func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, eventLimit)
		defer cancel()
		if err := work(ctx); err != nil && !nova.Is(err, "NotFound") && !errors.Is(context.Cause(ctx), errDeleted) {
			t.log.WithError(err).Warn("event not dealt with")
		}
	}})
	if err != nil {
		t.log.WithError(err).Debug("event not dealt with")
	}
}

// dropPort takes a port that was deleted in Neutron from the info cache and from the guest.
func (t *task) dropPort(ctx context.Context, port string) error {
	cache, err := t.cond.InfoCache(ctx, t.inst.UUID())
	if err != nil {
		return fmt.Errorf("read the info cache: %w", err)
	}
	vifs, err := network.ParseInfo(cache.NetworkInfo())
	if err != nil {
		return err
	}
	i := vifs.Index(port)
	if i < 0 {
		return nil // an operation of ours has taken it away itself
	}
	gone := vifs[i]
	left := slices.Delete(slices.Clone(vifs), i, i+1)
	cache.SetNetworkInfo(left.JSON())
	if err := t.cond.SaveInfoCache(ctx, cache); err != nil {
		return fmt.Errorf("write the info cache: %w", err)
	}
	if err := t.detachVIF(ctx, gone); err != nil {
		return err
	}
	if err := t.load(ctx); err != nil {
		return err
	}
	t.showPorts(ctx, left)
	return nil
}
