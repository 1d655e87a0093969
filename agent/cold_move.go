package agent

import (
	"context"
	"errors"
	"fmt"

	"bolide/rpc/nova"
)

// coldMove is a resize or a cold migration as one of its operations sees it. They take turns on two hosts, which are one
// when a guest changes its size where it is:
//
//	destination  prep_resize           holds what the guest will take
//	source       resize_instance       stops the guest and brings its disks over
//	destination  finish_resize         starts it; the user looks at it and decides:
//	source       confirm_resize        forgets what it kept, or
//	destination  revert_resize         gives the guest up, and
//	source       finish_revert_resize  starts it from what it kept
//
// From the end of resize_instance on the record names the destination. The source keeps the old disks in a directory of
// their own, <instance>_resize, until the decision.
type coldMove struct {
	*spawn
	args      *nova.Args
	migration *nova.Migration
	spec      *nova.RequestSpec // nil from callers of before
	before    nova.VMState      // of the instance when the operation began
}

// moveParts are what a move changes of the record beyond what every guest needs.
var moveParts = []string{"migration_context", "resources"}

// coldMove reads the arguments that all operations of a move share.
func (t *task) coldMove() (*coldMove, error) {
	args := nova.NewArgs(t.req.Args)
	m := &coldMove{
		spawn: &spawn{task: t}, args: args,
		migration: args.Migration("migration"), spec: args.RequestSpec("request_spec"), before: t.inst.VMState(),
	}
	if err := args.Err(); err != nil {
		return nil, err
	}
	if m.migration == nil {
		return nil, fmt.Errorf("argument migration is missing")
	}
	return m, m.readImage("image")
}

// moveNumber is the id of the move that the request is part of; 0: none. The journal has it from the beginning, since
// nothing else tells a move that was cut short before it was on the instance's record.
func (t *task) moveNumber() int64 {
	if m := nova.NewArgs(t.req.Args).Migration("migration"); m != nil {
		return m.ID()
	}
	return 0
}

// read reads the guest anew, with all that the move changes of it.
func (m *coldMove) read(ctx context.Context) error {
	s, err := m.existing(ctx, moveParts...)
	if err != nil {
		return err
	}
	if m.image.ID != "" {
		s.image, s.meta = m.image, m.meta
	}
	*m.spawn, m.before = *s, s.inst.VMState()
	return nil
}

// peer speaks to the services of other hosts, in the name of who asked.
func (t *task) peer() *nova.ComputeClient { return t.peers.With(t.rc) }

// passOn is what travels with the move from host to host.
func (m *coldMove) passOn() nova.Resize {
	return nova.Resize{Instance: m.inst, Migration: m.migration, Image: m.args.Raw("image"), RequestSpec: m.spec}
}

// sameHost reports whether the guest stays here.
func (m *coldMove) sameHost() bool {
	return m.migration.SourceCompute() == m.migration.DestCompute()
}

// mark saves how far the move has come.
func (m *coldMove) mark(ctx context.Context, s nova.MigrationStatus) error {
	return m.saveStatus(ctx, m.migration, s)
}

// saveStatus saves how far a move has come.
func (t *task) saveStatus(ctx context.Context, m *nova.Migration, s nova.MigrationStatus) error {
	m.SetStatus(s)
	if err := t.cond.SaveMigration(ctx, m); err != nil {
		return fmt.Errorf("save migration %s: %w", m.UUID(), err)
	}
	return nil
}

// goesOff reports whether the guest is to be left switched off: it was when the move began.
func (m *coldMove) goesOff() bool {
	return m.inst.SystemMetadata()[oldStateKey] == string(nova.VMStopped)
}

// rollBack ends an operation whose steps failed and were undone: the guest is at the host where it was, and its state is
// put back. Where the undoing failed too the instance is in error.
func (m *coldMove) rollBack(ctx context.Context, failure error) error {
	var stuck *undoError
	if errors.As(failure, &stuck) {
		return m.fail(ctx, failure)
	}
	return m.settleMove(ctx, failure, moveRolledBack, func(i *nova.Instance) { i.SetVMState(m.before) })
}

// fail ends an operation that failed: the instance is in error, on the host that its record names.
func (m *coldMove) fail(ctx context.Context, failure error) error {
	return m.settleMove(ctx, failure, moveFailed)
}

// settleMove records the failure on the migration and the instance. Nobody wants to know of an instance that is gone.
func (m *coldMove) settleMove(ctx context.Context, failure error, c change, set ...func(*nova.Instance)) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordLimit)
	defer cancel()
	if err := m.mark(ctx, nova.MigrationError); err != nil {
		m.log.WithError(err).Warn("migration not marked as failed")
	}
	if interrupted(failure) {
		return failure
	}
	if err := m.move(ctx, c, set...); ignoreVanished(err) != nil {
		m.log.WithError(err).Warn("instance's state after the failed move not saved")
	}
	return m.moveFailure(failure)
}

// moveFailure names what went wrong in a move as Nova does, so that the user can read why.
func (t *task) moveFailure(failure error) error {
	failure = imageError(failure)
	if nova.ClassOf(failure) != "" {
		return failure
	}
	return nova.NewError("ResizeError", map[string]any{"reason": t.explain(failure)}).Because(failure)
}

// returnAllocation gives the instance the share of the source that the move held for it. What Placement then still has
// is not worth more than telling the failure that led here.
func (m *coldMove) returnAllocation(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordLimit)
	defer cancel()
	if err := m.resources.MoveAllocation(ctx, m.id, m.migration.UUID(), m.inst.UUID()); err != nil {
		m.log.WithError(err).Error("allocation not returned to the instance")
	}
}

// forgetAllocation gives back the share of the source that the move held.
func (m *coldMove) forgetAllocation(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordLimit)
	defer cancel()
	return m.resources.DeleteAllocation(ctx, m.id, m.migration.UUID())
}

// tell tells the control plane what the host has left.
func (m *coldMove) tell(ctx context.Context) error {
	return m.resources.Tell(ctx, m.cond.With(m.rc.Elevated()))
}

// dropStash forgets the flavors and the state that the record kept for the decision.
func (m *coldMove) dropStash(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordLimit)
	defer cancel()
	m.inst.Set("old_flavor", nil)
	m.inst.Set("new_flavor", nil)
	m.inst.DropSystemMetadata(oldStateKey)
	return m.cond.SaveInstance(ctx, m.inst, nova.Expect{})
}

// takeFlavor makes the flavor the instance's.
func takeFlavor(i *nova.Instance, f nova.Flavor) {
	i.Set("instance_type_id", f.ID())
	i.Set("memory_mb", f.MemoryMB())
	i.Set("vcpus", f.VCPUs())
	i.Set("root_gb", f.RootGB())
	i.Set("ephemeral_gb", f.EphemeralGB())
	i.Set("flavor", f.Object)
}

// takeContext makes what the move's context holds for one of its ends ("old_" or "new_") the instance's.
func takeContext(i *nova.Instance, end string) {
	mc := i.MigrationContext()
	if !mc.Exists() {
		return
	}
	for _, part := range []string{"resources", "pci_requests", "pci_devices", "numa_topology"} {
		i.Set(part, mc.Raw(end+part))
	}
}
