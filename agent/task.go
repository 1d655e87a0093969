package agent

import (
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/sirupsen/logrus"

	"bolide/agent/cloud"
	"bolide/agent/config"
	"bolide/agent/journal"
	"bolide/agent/status"
	"bolide/rpc"
	"bolide/rpc/nova"
)

// task is one operation at work on one instance: the agent it runs in, bound to the request that asked for it.
// One goroutine at a time uses it.
type task struct {
	*Agent
	cfg   *config.Config // as it was last read when the task began
	op    operation
	req   *rpc.Request
	rc    rpc.Context
	id    cloud.Identity
	cond  *nova.Conductor
	inst  *nova.Instance // nil for operations on the host
	log   *logrus.Entry
	entry *status.Entry
	page  *journal.Entry // of the journal; nil where nothing is to be remembered
	began time.Time
	told  *toldParts // read for notifications alone

	reopened bool // takes up an operation that was cut short: its action event is open
}

// newTask binds the operation to a request. A request without a well-formed instance is refused.
func (a *Agent) newTask(op operation, r *rpc.Request) (*task, error) {
	t := &task{Agent: a, cfg: a.live(), op: op, req: r, rc: r.Context, cond: a.conductor.With(r.Context), id: identity(r.Context), began: time.Now(), told: newToldParts()}
	t.log = a.log.WithFields(logrus.Fields{"op": op.method, "request_id": r.Context.RequestID()})
	if raw, ok := r.Args["instance"]; ok {
		o, err := nova.Decode(raw)
		if err != nil {
			return nil, fmt.Errorf("%s: argument instance: %w", op.method, err)
		}
		t.inst = nova.As[nova.Instance](o)
		if err := a.checkInstance(t.inst, op); err != nil {
			return nil, fmt.Errorf("%s: argument instance: %w", op.method, err)
		}
		t.log = t.log.WithField("instance", t.inst.UUID())
	} else if !op.hostwide {
		return nil, fmt.Errorf("%s: argument instance is missing", op.method)
	}
	return t, nil
}

// checkInstance refuses an instance that a request may not name: directories and domains are found by its id, which
// therefore must be one and nothing else; and what is on another host is that host's.
func (a *Agent) checkInstance(i *nova.Instance, op operation) error {
	id := i.UUID()
	if parsed, err := uuid.Parse(id); err != nil || parsed.String() != id {
		return fmt.Errorf("%q is not the id of an instance", shorten(id, 64))
	}
	if host := i.Host(); host != "" && host != a.cfg.Default.Host && !op.foreign {
		return fmt.Errorf("instance %s is on host %q, not on %q", id, shorten(host, 64), a.cfg.Default.Host)
	}
	return nil
}

// describe is what the status socket shows of the task.
func (t *task) describe() status.Operation {
	o := status.Operation{Name: t.op.method, RequestID: t.rc.RequestID(), Started: t.began}
	if t.inst != nil {
		o.Instance = t.inst.UUID()
	}
	return o
}

// identity is in whose name the HTTP services are called for a request.
func identity(rc rpc.Context) cloud.Identity {
	return cloud.Identity{
		Token:           rc.AuthToken(),
		UserID:          rc.UserID(),
		ProjectID:       rc.ProjectID(),
		RequestID:       rc.RequestID(),
		GlobalRequestID: rc.GlobalRequestID(),
	}
}
