package agent

import (
	"context"
	"errors"
	"fmt"

	"bolide/rpc"
	"bolide/rpc/nova"
)

// endLongRescues boots guests from their own disks again that have been rescued for longer than rescue_timeout.
func (a *Agent) endLongRescues(ctx context.Context) error {
	instances, err := a.freshConductor().FromReplica().InstancesByFilters(ctx, map[string]any{
		"vm_state": string(nova.VMRescued), "host": a.cfg.Default.Host,
	}, "system_metadata")
	if err != nil {
		return fmt.Errorf("list rescued instances: %w", err)
	}
	var errs []error
	for _, i := range instances {
		if !longAgo(i.LaunchedAt(), a.cfg.Default.RescueTimeout) {
			continue
		}
		errs = append(errs, a.inTurn(ctx, "end long rescue", i.UUID(), func(ctx context.Context, t *task) error {
			t.inst = i
			if err := t.move(ctx, unrescueDue); err != nil {
				return err
			}
			if err := t.cond.ActionStart(ctx, i.UUID(), "unrescue"); err != nil {
				return fmt.Errorf("open action: %w", err)
			}
			t.op = opUnrescue(a)
			_, err := t.recorded(ctx)
			return err
		}))
	}
	return errors.Join(errs...)
}

// confirmLongResizes confirms the moves to this host that have waited for their users for longer than
// resize_confirm_window.
func (a *Agent) confirmLongResizes(ctx context.Context) error {
	waiting, err := a.freshConductor().FromReplica().MigrationsUnconfirmed(ctx, a.cfg.Default.ResizeConfirmWindow, a.cfg.Default.Host)
	if err != nil {
		return fmt.Errorf("list unconfirmed moves: %w", err)
	}
	var errs []error
	for _, m := range waiting {
		t := a.ownTask("confirm long resize", m.InstanceUUID(), rpc.AdminContext())
		errs = append(errs, t.confirmFor(ctx, m))
	}
	return errors.Join(errs...)
}

// confirmFor asks the source to confirm the move, as its user would. A move whose instance is not waiting to be confirmed
// is in error, unless a moment more will show what it is.
func (t *task) confirmFor(ctx context.Context, m *nova.Migration) error {
	m = nova.As[nova.Migration](m.Object.Clone())
	inst, err := t.cond.Instance(ctx, m.InstanceUUID(), "metadata", "system_metadata")
	switch {
	case nova.Is(err, "InstanceNotFound"):
		return t.endUndecided(ctx, m, "its instance is gone")
	case err != nil:
		return fmt.Errorf("read instance %s: %w", m.InstanceUUID(), err)
	}
	t.inst = inst
	switch task := inst.TaskState(); {
	case inst.VMState() == nova.VMError:
		return t.endUndecided(ctx, m, "its instance is in error")
	case task == nova.TaskDeleting, task == nova.TaskSoftDeleting:
		return nil // the delete confirms it
	case task == nova.TaskResizeFinish:
		return nil // not recorded yet
	case inst.VMState() != nova.VMResized || task != nova.NoTask:
		return t.endUndecided(ctx, m, fmt.Sprintf("its instance is %s, not resized", inst.VMState()))
	}
	if err := t.confirmable(ctx, m); err != nil {
		t.log.WithError(err).Info("move not confirmed yet")
		return nil
	}
	t.log.WithField("host", m.SourceCompute()).Info("move is confirmed, its user did not decide")
	m.SetStatus(nova.MigrationConfirming)
	if err := t.cond.SaveMigration(ctx, m); err != nil {
		return fmt.Errorf("save migration %s: %w", m.UUID(), err)
	}
	if err := t.cond.ActionStart(ctx, inst.UUID(), "confirmResize"); err != nil {
		return fmt.Errorf("open action: %w", err)
	}
	return t.peers.With(t.rc).ConfirmResize(ctx, m.SourceCompute(), inst, m)
}

// confirmable looks whether the source is there: once the move is marked, nobody would ask it again.
func (t *task) confirmable(ctx context.Context, m *nova.Migration) error {
	service, err := t.cond.ServiceByComputeHost(ctx, m.SourceCompute())
	if err != nil {
		return fmt.Errorf("read the service of host %s: %w", m.SourceCompute(), err)
	}
	if service.ForcedDown() || longAgo(service.LastSeenUp(), t.cfg.Default.ServiceDownTime) {
		return fmt.Errorf("host %s is down", m.SourceCompute())
	}
	return nil
}

func (t *task) endUndecided(ctx context.Context, m *nova.Migration, why string) error {
	t.log.WithField("migration", m.UUID()).WithField("reason", why).Warn("move cannot be confirmed")
	m.SetStatus(nova.MigrationError)
	if err := t.cond.SaveMigration(ctx, m); err != nil {
		return fmt.Errorf("save migration %s: %w", m.UUID(), err)
	}
	return nil
}

// removeMoved removes what failed moves left on this host of instances that were deleted elsewhere meanwhile.
func (a *Agent) removeMoved(ctx context.Context) error {
	failed, err := a.freshConductor().MigrationsByFilters(ctx, map[string]any{"host": a.cfg.Default.Host, "status": string(nova.MigrationError)})
	if err != nil {
		return fmt.Errorf("list failed moves: %w", err)
	}
	if len(failed) == 0 {
		return nil
	}
	byInstance := map[string]*nova.Migration{}
	uuids := make([]string, 0, len(failed))
	for _, m := range failed {
		byInstance[m.InstanceUUID()] = m
		uuids = append(uuids, m.InstanceUUID())
	}
	rc := archived()
	gone, err := a.conductor.With(rc).FromReplica().InstancesByFilters(ctx, map[string]any{
		"deleted": true, "soft_deleted": false, "uuid": uuids,
	}, "system_metadata")
	if err != nil {
		return fmt.Errorf("list deleted instances of failed moves: %w", err)
	}
	var errs []error
	for _, i := range gone {
		if i.Host() == a.cfg.Default.Host {
			continue // its delete was this host's, and is looked after elsewhere
		}
		errs = append(errs, a.inTurn(ctx, "remove moved", i.UUID(), func(ctx context.Context, t *task) error {
			t.inst = i
			if err := t.removeDomain(ctx); err != nil {
				return err
			}
			if err := t.removeFiles(ctx); err != nil {
				return err
			}
			m := byInstance[i.UUID()]
			m.SetStatus(nova.MigrationFailed)
			err := t.cond.SaveMigration(ctx, m)
			if nova.Is(err, "MigrationNotFound") {
				return nil
			}
			return err
		}))
	}
	return errors.Join(errs...)
}
