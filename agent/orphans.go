package agent

import (
	"context"
	"errors"
	"fmt"

	"bolide/rpc/nova"
)

// endDeletedGuests looks for guests on this host whose instances Nova has deleted, and deals with them as
// running_deleted_instance_action says.
func (a *Agent) endDeletedGuests(ctx context.Context) error {
	orphans, err := a.deletedGuests(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, i := range orphans {
		switch log := a.log.WithField("instance", i.UUID()); a.cfg.Default.RunningDeletedInstanceAction {
		case "log":
			log.Warn("guest of a deleted instance is still here")
		case "shutdown":
			log.Warn("guest of a deleted instance is still here; switching it off")
			errs = append(errs, a.inTurn(ctx, "stop orphan", i.UUID(), func(ctx context.Context, t *task) error {
				return t.stopGuest(ctx)
			}))
		case "reap":
			log.Warn("guest of a deleted instance is still here; removing it")
			errs = append(errs, a.inTurn(ctx, "reap orphan", i.UUID(), func(ctx context.Context, t *task) error {
				return t.reap(ctx, i)
			}))
		}
	}
	return errors.Join(errs...)
}

// deletedGuests are the instances that libvirt still has and whose delete is longer than
// running_deleted_instance_timeout ago. A guest that Nova never heard of is nobody's to touch.
func (a *Agent) deletedGuests(ctx context.Context) ([]*nova.Instance, error) {
	guests, err := a.hypervisor.Guests(ctx)
	if err != nil || len(guests) == 0 {
		return nil, err
	}
	uuids := make([]string, len(guests))
	for n, g := range guests {
		uuids[n] = g.UUID
	}
	instances, err := a.conductor.With(archived()).FromReplica().InstancesByFilters(ctx, map[string]any{
		"deleted": true, "soft_deleted": false, "uuid": uuids,
	}, "system_metadata", "info_cache")
	if err != nil {
		return nil, fmt.Errorf("look for deleted instances among the guests: %w", err)
	}
	var due []*nova.Instance
	for _, i := range instances {
		if longAgo(i.DeletedAt(), a.cfg.Default.RunningDeletedInstanceTimeout) {
			due = append(due, i)
		}
	}
	return due, nil
}

// reap removes all that the deleted instance has on this host.
func (t *task) reap(ctx context.Context, inst *nova.Instance) error {
	t.rc = archived()
	t.cond, t.inst = t.conductor.With(t.rc), inst
	bdms, err := t.cond.BlockDevices(ctx, inst.UUID())
	if err != nil {
		return fmt.Errorf("read block devices: %w", err)
	}
	d := &deletion{task: t, bdms: bdms}
	if err := t.run(ctx, d.teardown()); err != nil {
		return err
	}
	t.noteCleaning(d.uncleaned)
	return t.cond.SaveInstance(ctx, t.inst, nova.Expect{})
}
