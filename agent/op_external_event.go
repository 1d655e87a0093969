package agent

import (
	"context"
	"fmt"

	"bolide/rpc"
	"bolide/rpc/nova"
)

// opExternalEvent takes the events that Neutron, Cinder and administrators send through Nova's API:
// POST /os-server-external-events. It wakes the operations that wait for them and refreshes what they change.
func opExternalEvent(*Agent) operation {
	return operation{
		method: "external_instance_event",
		do: func(ctx context.Context, t *task) (any, error) {
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
					t.about(inst).take(ctx, e)
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

// take deals with one event. What goes wrong is logged: nobody waits for an answer, and the periodic tasks mend
// what was missed.
func (t *task) take(ctx context.Context, e *nova.InstanceExternalEvent) {
	key := eventKey{Instance: e.InstanceUUID(), Name: e.EventName(), Tag: e.Tag()}
	log := t.log.WithField("event", e.EventName()).WithField("port", e.Tag())
	var err error
	switch e.EventName() {
	case "network-changed":
		err = t.refreshPorts(ctx, e.Tag())
	default:
		if !t.waiters.deliver(key, e.Status()) {
			log.Debug("event that nobody waits for")
		}
	}
	if err != nil && !vanished(err) {
		log.WithError(err).Warn("event not dealt with")
	}
}
