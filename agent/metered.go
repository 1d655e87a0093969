package agent

import (
	"context"
	"encoding/json"
	"time"

	"bolide/agent/status"
	"bolide/rpc"
	"bolide/rpc/nova"
)

// meteredCaller counts what this node asks of others, and how long the answers take.
type meteredCaller struct {
	nova.Caller
	metrics *status.Metrics
}

// Call implements [nova.Caller].
func (m meteredCaller) Call(ctx context.Context, rc rpc.Context, t rpc.Target, method string, args map[string]any, opts ...rpc.CallOption) (json.RawMessage, error) {
	began := time.Now()
	answer, err := m.Caller.Call(ctx, rc, t, method, args, opts...)
	m.metrics.RPC(status.RPCOut, outgoingName(method, args), time.Since(began), err)
	return answer, err
}

// Cast implements [nova.Caller].
func (m meteredCaller) Cast(ctx context.Context, rc rpc.Context, t rpc.Target, method string, args map[string]any) error {
	began := time.Now()
	err := m.Caller.Cast(ctx, rc, t, method, args)
	m.metrics.RPC(status.RPCOut, outgoingName(method, args), time.Since(began), err)
	return err
}

// outgoingName tells the conductor's object calls, which all have one method, from one another: "Instance.save".
func outgoingName(method string, args map[string]any) string {
	name, _ := args["objname"].(string)
	if o, ok := args["objinst"].(*nova.Object); ok {
		name = o.Name()
	}
	called, _ := args["objmethod"].(string)
	if name == "" || called == "" {
		return method
	}
	return name + "." + called
}
