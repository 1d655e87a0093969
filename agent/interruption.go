package agent

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"bolide/agent/journal"
	"bolide/agent/recovery"
	"bolide/rpc/nova"
)

// pages are what the journal tells of an instance's operations that were cut short, oldest first.
type pages []*journal.Entry

// last is the operation that was cut short last; the zero record when the journal tells of none.
func (p pages) last() journal.Record {
	if len(p) == 0 {
		return journal.Record{}
	}
	return p[len(p)-1].Record()
}

// began reports whether one of the operations is that which the remedy does again: its request has come already. Others
// may have been all but done, and a new request be on its way.
func (p pages) began(remedy recovery.Remedy) bool {
	again, ok := repeats[remedy]
	if !ok {
		return len(p) > 0
	}
	method := again.operation(nil).method
	return slices.ContainsFunc(p, func(e *journal.Entry) bool { return e.Record().Operation == method })
}

// handedOn is the step of a build that is the conductor's again.
const handedOn = "handed on"

// built returns the build among the operations that was this node's to finish.
func (p pages) built() (journal.Record, bool) {
	for _, e := range p {
		r := e.Record()
		if r.Operation == "build_and_run_instance" && r.Step != handedOn {
			return r, true
		}
	}
	return journal.Record{}, false
}

// interruption is the error of an operation that a stop or a crash of this service cut short. The text is for the
// user: what happened, and what to do next.
func (t *task) interruption(p pages, next string) error {
	what, where := "what was being done", ""
	switch r := p.last(); {
	case r.Operation != "":
		what = strings.ReplaceAll(strings.TrimSuffix(r.Operation, "_instance"), "_", " ")
		if r.Step != "" {
			where = fmt.Sprintf(" at step %q", r.Step)
		}
	case t.inst.TaskState() != nova.NoTask:
		what = "task " + string(t.inst.TaskState())
	}
	return nova.NewErrorText("NovaException", fmt.Sprintf("%s was cut short%s by a restart of the compute service on %s; %s",
		what, where, t.cfg.Default.Host, next))
}

// concludeInterruption closes the action events of the operations that were cut short, with the reason, and stores the
// reason as the instance's fault.
func (t *task) concludeInterruption(ctx context.Context, p pages, reason error) {
	t.storeFault(ctx, reason)
	for _, e := range p {
		t.closeInterrupted(ctx, e, reason)
	}
}

// closeInterrupted closes the action event that an operation of the process before had opened.
func (t *task) closeInterrupted(ctx context.Context, e *journal.Entry, outcome error) {
	r := e.Record()
	rc := t.rc
	if r.RequestID != "" {
		rc = maps.Clone(rc)
		rc["request_id"] = r.RequestID
	}
	closing := &task{Agent: t.Agent, cfg: t.cfg, op: operation{event: r.Event}, rc: rc, cond: t.conductor.With(rc), inst: t.inst, log: t.log}
	closing.closeEvent(ctx, outcome)
}
