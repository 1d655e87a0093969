package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sirupsen/logrus"

	"bolide/agent/handover"
	"bolide/hypervisor"
	"bolide/rpc/nova"
)

const (
	// steerEvery is how often a transfer is looked at.
	steerEvery = 500 * time.Millisecond
	// lookLimit bounds one look, and what is recorded of it: who waits for the end should not wait for records.
	lookLimit = 10 * time.Second
	// outgoingMigration is libvirt's word for the job of a guest that leaves.
	outgoingMigration = "outgoing migration"
)

// splitError says that a guest's memory is on two hosts, and neither can go on without the other.
type splitError struct{ reason string }

func (e *splitError) Error() string { return "the guest is neither here nor there: " + e.reason }

// transfer has libvirt move the guest, and returns nil when it runs at the destination. Every other outcome but a
// splitError leaves it here.
func (d *departure) transfer(ctx context.Context) error {
	if err := d.enter(stageRunning); err != nil {
		return err
	}
	if err := d.mark(ctx, nova.MigrationRunning); err != nil {
		return err
	}
	how, err := d.how(ctx)
	if err != nil {
		return err
	}
	lasting, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- d.hypervisor.Migrate(lasting, d.inst.UUID(), how) }() // ends with lasting, if not by itself
	return d.follow(ctx, done)
}

// follow steers the transfer until the guest is on one host for good. Once done is nil or has been heard, libvirt's job
// and the guest's state alone tell. A ctx that ends aborts the transfer, which is then waited for: how it ended must be
// known. When it ends because this service stops, libvirt is left to it, and the next start follows.
func (d *departure) follow(ctx context.Context, done <-chan error) error {
	events, leave := d.hypervisor.Subscribe()
	defer leave()
	tick := time.NewTicker(steerEvery)
	defer tick.Stop()
	s := &transfer{departure: d, began: time.Now(), size: d.sizeGiB(), ended: done == nil}
	cancelled, why := ctx.Done(), ctx
	ctx = context.WithoutCancel(ctx)
	for {
		if over, err := s.look(ctx); over {
			d.left = err == nil
			return err
		}
		select {
		case s.failure = <-done:
			s.ended, s.moved, done = true, s.failure == nil, nil
		case e := <-events:
			if e.UUID == d.inst.UUID() && e.Kind == hypervisor.EventSuspended && (e.Detail == "migrated" || e.Detail == "post-copy") {
				d.bindThere(ctx)
			}
		case <-d.notify:
		case <-cancelled:
			if stopping(why) {
				return errShutdown
			}
			s.stop, cancelled = true, nil
		case <-tick.C:
		}
	}
}

// transfer is a migration while libvirt is at it.
type transfer struct {
	*departure
	began    time.Time
	size     float64 // GiB
	downtime time.Duration

	ended   bool  // the call that began it has returned
	moved   bool  // and says that the guest is there
	failure error // or why not
	stop    bool  // the operation was cancelled
	aborted bool  // libvirt was asked to abort
	lost    bool  // libvirt does not answer, and the log says so
}

// look looks at the transfer once, steers it, and says whether it is over.
func (s *transfer) look(ctx context.Context) (over bool, err error) {
	if s.moved {
		s.certain = true
		return true, nil
	}
	bounded, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	job, err := s.hypervisor.Job(bounded, s.inst.UUID())
	switch {
	case err == nil && job.State == hypervisor.JobRunning && job.Operation == outgoingMigration:
		s.lost = false
		s.steer(bounded, job)
		return false, nil
	case !s.ended:
		return false, nil // it has not begun, or is about to return
	case err != nil && !errors.Is(err, hypervisor.ErrNotFound) && !errors.Is(err, hypervisor.ErrInvalidState): // it is off
		s.noteLost(err)
		return false, nil
	}
	return s.outcome(bounded)
}

// noteLost says once that libvirt is not there to ask. It is asked again until it is.
func (s *transfer) noteLost(err error) {
	if !s.lost {
		s.log.WithError(err).Warn("how the migration goes is not known until libvirt answers")
	}
	s.lost = true
}

// outcome is what became of the guest, by its state here.
func (s *transfer) outcome(ctx context.Context) (over bool, err error) {
	g, err := s.hypervisor.Guest(ctx, s.inst.UUID())
	switch {
	case errors.Is(err, hypervisor.ErrNotFound):
		return true, nil
	case err != nil:
		s.noteLost(err)
		return false, nil
	case g.State == hypervisor.Shutoff && g.Reason == "migrated":
		s.certain = true
		return true, nil
	case g.State == hypervisor.Paused && (g.Reason == "post-copy" || g.Reason == "post-copy failed"):
		return true, &splitError{reason: "its transfer broke off after it had begun to run at " + s.dest}
	}
	if s.halted && g.State == hypervisor.Paused {
		if err := s.hypervisor.Resume(ctx, s.inst.UUID()); err != nil {
			s.log.WithError(err).Error("guest stays paused: this host paused it for the migration and cannot resume it")
		}
	}
	return true, s.why()
}

// why is the reason for which the guest stayed.
func (s *transfer) why() error {
	switch abort, _ := s.wishes(); {
	case abort || errors.Is(s.failure, hypervisor.ErrAborted):
		return errors.Join(errAborted, s.failure)
	case s.failure != nil:
		return fmt.Errorf("migrate to %s: %w", s.dest, s.failure)
	}
	return fmt.Errorf("migrate to %s: the guest is still here", s.dest)
}

// steer does what the time, the options and the user ask for.
func (s *transfer) steer(ctx context.Context, job hypervisor.Job) {
	abort, force := s.wishes()
	elapsed := time.Since(s.began)
	l := s.cfg.Libvirt
	if limit := time.Duration(float64(l.LiveMigrationCompletionTimeout) * s.size); limit > 0 && elapsed > limit && !s.postcopy() {
		if l.LiveMigrationTimeoutAction == "force_complete" {
			force = force || !s.halted
		} else {
			abort = true
		}
	}
	if (abort || s.stop) && !s.aborted && !s.postcopy() {
		s.abortJob(ctx)
	}
	if force {
		s.hasten(ctx)
	}
	s.allowDowntime(ctx, elapsed)
	s.tell(ctx, job)
}

func (s *transfer) abortJob(ctx context.Context) {
	err := s.hypervisor.AbortJob(ctx, s.inst.UUID())
	s.aborted = err == nil
	if err != nil {
		s.log.WithError(err).Warn("migration not aborted; it will be tried again")
	}
}

// hasten ends the race between the guest and the copying of its memory: the guest runs on at the destination, or where
// that must not be it stands still until its memory is there.
func (s *transfer) hasten(ctx context.Context) {
	uuid := s.inst.UUID()
	switch {
	case s.postcopy() || s.halted:
		s.log.Warn("migration is as fast as it can be already")
	case s.mayPostcopy():
		if err := s.hypervisor.StartPostcopy(ctx, uuid); err != nil {
			s.log.WithError(err).Warn("post-copy not begun")
			return
		}
		_ = s.enter(stageAway) // only running is ever refused
		if err := s.mark(ctx, nova.MigrationPostCopy); err != nil {
			s.log.WithError(err).Warn("post-copy not recorded")
		}
		s.bindThere(ctx)
	default:
		if err := s.hypervisor.Suspend(ctx, uuid); err != nil {
			s.log.WithError(err).Warn("guest not paused to hasten its migration")
			return
		}
		s.halted = true
	}
}

func (s *transfer) postcopy() bool { return s.migration.Status() == nova.MigrationPostCopy }

// allowDowntime lets the guest stand still for longer at the end, the longer the end does not come.
func (s *transfer) allowDowntime(ctx context.Context, elapsed time.Duration) {
	l := s.cfg.Libvirt
	steps := handover.Downtimes{Longest: l.LiveMigrationDowntime, Steps: l.LiveMigrationDowntimeSteps, Delay: l.LiveMigrationDowntimeDelay}
	allowed := steps.At(elapsed, s.size)
	if allowed == s.downtime {
		return
	}
	s.downtime = allowed
	if err := s.hypervisor.SetMigrationDowntime(ctx, s.inst.UUID(), allowed); err != nil {
		s.log.WithError(err).Debug("downtime of the migration not set")
		return
	}
	s.log.WithField("downtime", allowed.String()).Info("guest may stand still for so long at the end of its migration")
}

// tell shows how far the transfer is: on the status socket always, on the records seldom.
func (s *transfer) tell(ctx context.Context, job hypervisor.Job) {
	s.entry.Progress(int64(job.Data.Processed), int64(job.Data.Total))
	percent := handover.Percent(job.Memory.Total, job.Memory.Remaining)
	if !s.reports.Due(time.Now(), percent) {
		return
	}
	for field, n := range map[string]uint64{
		"memory_total": job.Memory.Total, "memory_processed": job.Memory.Processed, "memory_remaining": job.Memory.Remaining,
		"disk_total": job.Disk.Total, "disk_processed": job.Disk.Processed, "disk_remaining": job.Disk.Remaining,
	} {
		s.migration.Set(field, int64(n))
	}
	s.inst.Set("progress", percent)
	err := s.cond.SaveMigration(ctx, s.migration)
	if err == nil {
		err = s.cond.SaveInstance(ctx, s.inst, nova.Expect{})
	}
	log := s.log.WithFields(logrus.Fields{"percent": percent, "iteration": job.Iteration, "remaining": job.Memory.Remaining})
	if err != nil && !vanished(err) {
		log.WithError(err).Debug("progress not recorded")
	}
	log.Info("migration under way")
}

// bindThere gives the guest's ports to the destination at the moment at which the guest is about to run there, so that
// the network follows it without delay.
func (d *departure) bindThere(ctx context.Context) {
	if d.activated {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, recordLimit)
	defer cancel()
	if err := d.ports.ActivateBindings(ctx, d.id, d.dest, d.vifs); err != nil {
		d.log.WithError(portError(err)).Warn("ports not bound to the destination; they will be when it takes over")
		return
	}
	d.activated = true
}
