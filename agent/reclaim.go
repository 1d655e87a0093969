package agent

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"bolide/hypervisor"
	"bolide/rpc"
	"bolide/rpc/nova"
)

// reclaimDeleted deletes instances for good that were deleted softly longer than reclaim_instance_interval ago.
func (a *Agent) reclaimDeleted(ctx context.Context) error {
	instances, err := a.freshConductor().FromReplica().InstancesByFilters(ctx, map[string]any{
		"vm_state": string(nova.VMSoftDeleted), "task_state": nil, "host": a.cfg.Default.Host,
	})
	if err != nil {
		return fmt.Errorf("list softly deleted instances: %w", err)
	}
	var errs []error
	for _, i := range instances {
		if !longAgo(i.DeletedAt(), a.cfg.Default.ReclaimInstanceInterval) {
			continue
		}
		errs = append(errs, a.inTurn(ctx, "reclaim", i.UUID(), func(ctx context.Context, t *task) error {
			if err := t.load(ctx); err != nil {
				return err
			}
			if t.inst.VMState() != nova.VMSoftDeleted || t.inst.TaskState() != nova.NoTask {
				return nil // its user is getting it back, or deletes it
			}
			t.log.Info("softly deleted instance is deleted for good")
			bdms, err := t.cond.BlockDevices(ctx, t.inst.UUID())
			if err != nil {
				return fmt.Errorf("read block devices: %w", err)
			}
			d := &deletion{task: t, bdms: bdms}
			return d.carryOut(ctx)
		}))
	}
	return errors.Join(errs...)
}

// longAgo reports whether something deleted then is due after the time it is to be kept. What has no time is.
func longAgo(deleted time.Time, keep time.Duration) bool {
	return deleted.IsZero() || time.Since(deleted) > keep
}

// archived is the context in which the conductor also shows and changes the records of deleted instances.
func archived() rpc.Context {
	rc := rpc.AdminContext()
	rc["read_deleted"] = "yes"
	return rc
}

// removeLeftFiles tries again to remove the files of deleted instances, which could not be removed when they were
// deleted: maximum_instance_delete_attempts times each.
func (a *Agent) removeLeftFiles(ctx context.Context) error {
	rc := archived()
	instances, err := a.conductor.With(rc).FromReplica().InstancesByFilters(ctx, map[string]any{
		"deleted": true, "soft_deleted": false, "host": a.cfg.Default.Host, "cleaned": false,
	}, "system_metadata")
	if err != nil {
		return fmt.Errorf("list deleted instances with files: %w", err)
	}
	var errs []error
	for _, i := range instances {
		attempts, _ := strconv.Atoi(i.SystemMetadata()["clean_attempts"])
		if attempts >= a.cfg.Default.MaximumInstanceDeleteAttempts {
			continue
		}
		errs = append(errs, a.inTurn(ctx, "remove left files", i.UUID(), func(ctx context.Context, t *task) error {
			t.rc, t.cond, t.inst = rc, a.conductor.With(rc), i
			if _, err := t.hypervisor.Guest(ctx, i.UUID()); !errors.Is(err, hypervisor.ErrNotFound) {
				return err // the guest is still there, and another task's to end
			}
			t.noteCleaning(t.removeFiles(ctx))
			return t.cond.SaveInstance(ctx, t.inst, nova.Expect{})
		}))
	}
	return errors.Join(errs...)
}
