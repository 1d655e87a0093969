package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"bolide/rpc"
)

// errShutdown is why work that did not finish in time was cancelled.
var errShutdown = errors.New("the compute service is stopping")

// Hurry makes a stop that was begun cut running operations short at once, rather than when their time is over. It may be
// called at any time and again.
func (a *Agent) Hurry() { a.hurry() }

// windDown stops consuming and gives running work its time. Then it cancels what is left: that is undone, or left to the
// next start where that does it again.
func (a *Agent) windDown(ctx context.Context, server *rpc.Server) error {
	a.deafen()
	patience := a.live().Default.GracefulShutdownTimeout
	if patience <= 0 {
		patience = unlimited * time.Second
	}
	bounded, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	defer context.AfterFunc(a.hurried, cancel)()
	if n := a.queues.depth(); n > 0 {
		a.log.WithField("operations", n).WithField("limit", patience.String()).Info("stopping; waiting for running operations")
	}
	if errors.Join(server.Stop(bounded), a.queues.stop(bounded)) == nil {
		return nil
	}
	a.log.WithField("operations", a.queues.depth()).Warn("stopping; cutting running operations short")
	a.stopJobs(errShutdown)
	undoing, cancel := context.WithTimeout(ctx, undoLimit)
	defer cancel()
	if err := a.queues.stop(undoing); err != nil {
		return fmt.Errorf("%d operations do not end; the next start sees to them: %w", a.queues.depth(), err)
	}
	return nil
}

// parkedError ends an operation that a stop cut short and that the next start takes up: the record stays in its task,
// the action event open, and the journal keeps its page.
type parkedError struct{ error }

func (e *parkedError) Unwrap() error { return e.error }

// stopping reports whether ctx has ended because this service stops.
func stopping(ctx context.Context) bool { return errors.Is(context.Cause(ctx), errShutdown) }

// park makes of the failure of an operation that a stop cut short one that the next start sees to, if it does. Others
// are undone by now, and fail.
func (t *task) park(ctx context.Context, failure error) error {
	if failure == nil || !stopping(ctx) || !slices.Contains(repeatable, t.op.method) {
		return failure
	}
	return &parkedError{failure}
}

func parked(err error) bool {
	var p *parkedError
	return errors.As(err, &p)
}

// repeatable are the methods that a start does again where they were cut short.
var repeatable = []string{
	"terminate_instance", "soft_delete_instance", "restore_instance", "start_instance", "stop_instance", "pause_instance",
	"unpause_instance", "suspend_instance", "resume_instance", "reboot_instance", "shelve_offload_instance",
	"unrescue_instance",
}
