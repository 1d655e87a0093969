package agent

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"bolide/agent/journal"
	"bolide/agent/status"
	"bolide/rpc"
	"bolide/rpc/nova"
)

// recordLimit bounds the writes that close an operation (fault, event, task state), which are made even when the
// operation itself was cancelled.
const recordLimit = 90 * time.Second

// operation is one RPC method of the compute manager together with the duties around it, which follow what Nova's
// own node does for the same method.
type operation struct {
	method string // as Nova's clients name it
	event  string // the instance action event it opens and closes; "": none
	news   news   // what its start and end are told as; none: nothing, or the operation tells more by itself

	queued        bool  // waits for its turn in the instance's queue; else runs at once
	interruptible bool  // a delete cancels it
	interrupts    error // cancels the instance's running operation, if that may be, with this cause
	clearsTask    bool  // a failure clears the task state, so that the user may try again
	keepsFault    bool  // a failure is stored as the instance's fault
	foreign       bool  // the instance may be another host's: it comes, or has left
	hostwide      bool  // concerns the host: it may name no instance

	do func(ctx context.Context, t *task) (any, error)
}

// handler serves the operation: it decodes the instance, queues the work, and for a call waits for its result.
func (a *Agent) handler(op operation) rpc.Handler {
	return func(ctx context.Context, r *rpc.Request) (any, error) {
		t, err := a.newTask(op, r)
		if err != nil {
			return nil, err
		}
		if !op.queued {
			return t.perform(ctx)
		}
		if op.interrupts != nil {
			if name, ok := a.queues.interrupt(t.inst.UUID(), op.interrupts); ok {
				t.log.WithField("interrupted", name).Info("running operation interrupted")
			}
		}
		var result any
		var failure error
		done, err := a.queues.add(t.inst.UUID(), &job{
			name:          op.method,
			interruptible: op.interruptible,
			requested:     true,
			run:           func(ctx context.Context) { result, failure = t.perform(ctx) },
		})
		if err != nil || !r.IsCall {
			return nil, err
		}
		select {
		case <-done:
			return result, failure
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// perform runs the operation and what belongs around it. It never panics: a panic in an operation becomes its
// error, so that one broken instance does not end the node.
func (t *task) perform(ctx context.Context) (result any, err error) {
	t.entry = t.board.Begin(t.describe())
	if t.op.queued {
		t.page = t.journal.Begin(journal.Record{
			Operation: t.op.method, Instance: t.inst.UUID(), RequestID: t.rc.RequestID(), Event: t.op.event, Began: t.began,
			Migration: t.moveNumber(),
		})
	}
	result, err = t.recorded(ctx)
	if !parked(err) {
		t.page.End()
		if err != nil {
			t.informFailure(err)
		}
	}
	t.entry.End(err)
	t.metrics.RPC(status.RPCIn, t.op.method, time.Since(t.began), err)
	return result, t.report(err)
}

// recorded runs the operation between the opening and the closing of its event.
func (t *task) recorded(ctx context.Context) (any, error) {
	if err := t.openEvent(ctx); err != nil {
		if stopping(ctx) { // nothing was done yet
			err = &parkedError{err}
		}
		return nil, err
	}
	t.inform(ctx, t.op.news, phaseStart, detail{})
	result, err := t.guarded(ctx)
	if err = t.park(ctx, err); parked(err) {
		return nil, err
	}
	if err == nil {
		t.inform(ctx, t.op.news, phaseEnd, detail{})
	}
	var told error
	if err != nil {
		told = t.faultOf(err)
		t.concludeFailure(ctx, told)
	}
	t.closeEvent(ctx, told)
	return result, err
}

// guarded runs the operation with panics turned into errors.
func (t *task) guarded(ctx context.Context) (result any, err error) {
	defer func() {
		if p := recover(); p != nil {
			t.log.WithField("stack", string(debug.Stack())).Error("operation panicked")
			err = fmt.Errorf("%s panicked: %v", t.op.method, p)
		}
	}()
	result, err = t.op.do(ctx, t)
	if err != nil {
		err = withCause(ctx, err)
	}
	return result, err
}

// report logs the outcome once, at the level it deserves, and returns err for the caller of the RPC. Operations
// without an event (queries) leave no line when they succeed.
func (t *task) report(err error) error {
	log := t.log.WithField("dur", time.Since(t.began).Round(time.Millisecond).String())
	switch {
	case err == nil && t.op.event != "":
		log.Info("operation done")
	case err == nil:
		log.Debug("operation done")
	case parked(err):
		log.Info("operation cut short; the next start takes it up")
	case interrupted(err):
		log.WithError(err).Info("instance was deleted meanwhile")
	case isRefusal(err):
		log.WithError(err).Warn("operation refused")
	default:
		log.WithError(err).Error("operation failed")
	}
	return err
}

// openEvent opens the instance action event. An action that is not there (an operation that the node began by
// itself, an old request) is no reason to fail.
func (t *task) openEvent(ctx context.Context) error {
	if t.op.event == "" || t.reopened {
		return nil
	}
	err := t.cond.ActionEventStart(ctx, t.inst.UUID(), t.op.event)
	if err != nil && !nova.Is(err, "InstanceActionNotFound") {
		return fmt.Errorf("open action event %s: %w", t.op.event, err)
	}
	return nil
}

// closeEvent closes the event with the operation's outcome.
func (t *task) closeEvent(ctx context.Context, outcome error) {
	if t.op.event == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordLimit)
	defer cancel()
	err := t.cond.ActionEventFinish(ctx, t.inst.UUID(), t.op.event, outcome)
	if err != nil && !nova.Is(err, "InstanceActionNotFound") && !nova.Is(err, "InstanceActionEventNotFound") {
		t.log.WithError(err).Warn("action event not closed")
	}
}

// concludeFailure stores the fault and clears the task state as the operation's policy says.
func (t *task) concludeFailure(ctx context.Context, failure error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordLimit)
	defer cancel()
	if errors.Is(failure, errDeleted) {
		return // what becomes of the instance is the delete's to say
	}
	if t.op.keepsFault && !nova.Is(failure, "InstanceNotFound") {
		t.storeFault(ctx, failure)
	}
	// who deletes the instance has a task of their own on its record
	if t.op.clearsTask && !nova.Is(failure, "UnexpectedTaskStateError") && !errors.Is(failure, errDeleted) {
		t.inst.Unset("task_state") // written even where this copy holds none
		t.inst.SetTaskState(nova.NoTask)
		err := t.cond.SaveInstance(ctx, t.inst, nova.Expect{})
		if err != nil && !nova.Is(err, "InstanceNotFound") {
			t.log.WithError(err).Warn("task state not cleared")
		}
	}
}

// storeFault records why the operation failed, for the user to read.
func (t *task) storeFault(ctx context.Context, failure error) {
	err := t.cond.CreateFault(ctx, t.inst.UUID(), failure)
	if err != nil && !nova.Is(err, "InstanceNotFound") {
		t.log.WithError(err).Warn("fault not stored")
	}
}

// vanished reports whether err says that the instance is gone or being deleted, which ends an operation without
// a trace rather than with a fault.
func vanished(err error) bool {
	return nova.Is(err, "InstanceNotFound") || nova.Is(err, "UnexpectedDeletingTaskStateError")
}

// isRefusal reports whether err is an answer that the caller's request deserved rather than a failure of this
// node: Nova's exceptions with a client's error code.
func isRefusal(err error) bool {
	code := nova.FaultCode(err)
	return code >= 400 && code < 500
}
