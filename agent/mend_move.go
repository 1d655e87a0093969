package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"bolide/rpc/nova"
)

// This file ends resizes and cold migrations that were cut short. A guest that has not left yet stays; one whose disks
// have arrived is started there, since what the source still has may be older; a decision that its user has made is
// carried out.

// moveOperations are the parts of a move.
var moveOperations = []string{"prep_resize", "resize_instance", "finish_resize", "confirm_resize", "revert_resize", "finish_revert_resize"}

// pageOfMove is the part of a move that was cut short here and whose instance still waits for it; "": none.
func (t *task) pageOfMove(p pages) string {
	r := p.last()
	if !slices.Contains(moveOperations, r.Operation) {
		return ""
	}
	waits := map[string][]nova.TaskState{
		"prep_resize":          {nova.TaskResizePrep},
		"resize_instance":      {nova.TaskResizeMigrating, nova.TaskResizeMigrated},
		"finish_resize":        {nova.TaskResizeMigrated, nova.TaskResizeFinish},
		"confirm_resize":       {nova.NoTask, nova.TaskDeleting, nova.TaskSoftDeleting},
		"revert_resize":        {nova.TaskResizeReverting},
		"finish_revert_resize": {nova.TaskResizeReverting},
	}
	if !slices.Contains(waits[r.Operation], t.inst.TaskState()) || r.Operation == "confirm_resize" && t.inst.VMState() != nova.VMResized {
		return ""
	}
	return r.Operation
}

// endMove ends a part of a move. Without a journal the instance's task tells the part.
func (t *task) endMove(ctx context.Context, part string, p pages) error {
	m, err := t.cutMove(ctx, p)
	if err != nil {
		return err
	}
	switch part {
	case "confirm_resize":
		return m.confirmAgain(ctx, p)
	case "revert_resize", "finish_revert_resize":
		return t.revertAgain(ctx, m, p)
	}
	switch t.inst.TaskState() {
	case nova.TaskResizePrep:
		return m.withdraw(ctx, p)
	case nova.TaskResizeMigrating:
		return m.stay(ctx, p)
	case nova.TaskResizeMigrated:
		if part == "resize_instance" {
			return m.stay(ctx, p)
		}
		return m.finishAgain(ctx, p)
	case nova.TaskResizeFinish:
		return m.finishAgain(ctx, p)
	}
	return t.revertAgain(ctx, m, p)
}

// cutMove reads the move that was cut short, by the journal or else by the instance's record.
func (t *task) cutMove(ctx context.Context, p pages) (*coldMove, error) {
	m := &coldMove{spawn: &spawn{task: t}, args: nova.NewArgs(nil)}
	if err := m.read(ctx); err != nil {
		return nil, err
	}
	id := p.last().Migration
	if id == 0 {
		id = m.inst.MigrationContext().MigrationID()
	}
	if id == 0 { // it had not come so far
		m.migration = nil
		return m, nil
	}
	var err error
	if m.migration, err = t.cond.MigrationOfInstance(ctx, id, t.inst.UUID()); err != nil {
		return nil, fmt.Errorf("read migration %d: %w", id, err)
	}
	return m, nil
}

// withdraw takes back a move that was offered to this host and for which nothing has left yet.
func (m *coldMove) withdraw(ctx context.Context, p pages) error {
	reason := m.interruption(p, "the guest is as it was: ask again")
	if m.migration != nil {
		m.returnAllocation(ctx)
		m.resources.Track(m.inst, nil)
		if !m.inst.IsNull("migration_context") {
			if err := m.cond.DropMigrationContext(ctx, m.inst); err != nil {
				return err
			}
		}
	}
	return m.concludeMove(ctx, p, reason, taskGivenUp)
}

// stay makes a guest whole again that had begun to leave: its disks are put back, its ports bound here, and it runs if it
// ran before.
func (m *coldMove) stay(ctx context.Context, p pages) error {
	reason := m.interruption(p, "the guest is where and what it was: ask again")
	err := m.persist(ctx, func(ctx context.Context) error { return m.run(ctx, m.staySteps()) })
	if err != nil {
		return err
	}
	if m.migration != nil {
		m.returnAllocation(ctx)
	}
	back := nova.VMState(m.inst.SystemMetadata()[oldStateKey])
	return m.concludeMove(ctx, p, reason, moveRolledBack, func(i *nova.Instance) {
		if back == nova.VMActive || back == nova.VMStopped {
			i.SetVMState(back)
		}
	})
}

func (m *coldMove) staySteps() []step {
	away := m.migration != nil && !m.sameHost()
	steps := []step{}
	if away {
		steps = append(steps, step{name: "clear the destination", do: m.clearDestination})
	}
	if m.inst.Host() != m.cfg.Default.Host {
		steps = append(steps, step{name: "take back record", do: (&sending{coldMove: m, over: true}).takeBack})
	}
	steps = append(steps, step{name: "take back disks", do: func(context.Context) error { return restoreDisks(m.instanceDir(m.inst.UUID())) }},
		step{name: "take back TPM", do: func(context.Context) error { return m.restoreTPM(m.instanceDir(m.inst.UUID())) }})
	if away {
		steps = append(steps, step{name: "bind ports", do: func(ctx context.Context) error {
			return m.bindPorts(ctx, m.cfg.Default.Host, nil)
		}})
	}
	return append(steps, step{name: "start", do: m.startStayed})
}

// clearDestination removes what was copied. A destination that cannot be reached keeps a directory that nothing refers
// to.
func (m *coldMove) clearDestination(ctx context.Context) error {
	d := m.newDiskMove()
	err := d.reach(ctx)
	if err == nil {
		err = d.retreat(ctx)
	}
	if err != nil {
		m.log.WithError(err).WithField("destination", m.migration.DestCompute()).Warn("what was copied to the destination is left there")
	}
	return nil
}

func (m *coldMove) startStayed(ctx context.Context) error {
	power, err := m.powerNow(ctx)
	if err != nil || power == nova.PowerRunning || power == nova.PowerPaused || m.goesOff() {
		return err
	}
	return m.restart(ctx)
}

// finishAgain starts a guest once more whose disks have come here. One that runs was started by the process before, and
// only has to be recorded.
func (m *coldMove) finishAgain(ctx context.Context, p pages) error {
	if m.migration == nil {
		return m.strand(ctx, p)
	}
	power, err := m.powerNow(ctx)
	if err != nil {
		return err
	}
	if power != nova.PowerRunning || m.inst.TaskState() != nova.TaskResizeFinish {
		if err := m.persist(ctx, m.endGuest); err != nil {
			return err
		}
		return m.repeatMove(ctx, opFinishResize, p)
	}
	if err := (&arrival{coldMove: m}).record(ctx); err != nil {
		return ignoreVanished(err)
	}
	for _, e := range p {
		m.closeInterrupted(ctx, e, nil)
	}
	m.tellScheduler(ctx)
	return nil
}

// strand leaves a guest here in error whose disks have arrived but of whose move nothing is known.
func (m *coldMove) strand(ctx context.Context, p pages) error {
	reason := m.interruption(p, "its disks are here: try a hard reboot")
	err := m.persist(ctx, func(ctx context.Context) error {
		return m.run(ctx, []step{
			{name: "end the guest", do: m.endGuest},
			{name: "unplug", do: func(ctx context.Context) error { return m.unplug(ctx, m.vifs) }},
		})
	})
	if err != nil {
		return err
	}
	if old := m.inst.OldFlavor(); old.Exists() {
		takeFlavor(m.inst, nova.Flavor{Object: old.Object.Clone()})
	}
	if m.migration != nil {
		if err := m.forgetAllocation(ctx); err != nil {
			m.log.WithError(err).Error("allocation of the migration not deleted")
		}
	}
	return m.concludeMove(ctx, p, reason, cutShort)
}

// concludeMove records that the move failed, and why.
func (m *coldMove) concludeMove(ctx context.Context, p pages, reason error, c change, set ...func(*nova.Instance)) error {
	if m.migration != nil {
		if err := m.mark(ctx, nova.MigrationError); err != nil {
			m.log.WithError(err).Warn("migration not marked as failed")
		}
	}
	m.concludeInterruption(ctx, p, reason)
	if err := ignoreVanished(m.moveTo(ctx, c, set...)); err != nil {
		return err
	}
	m.resources.Track(m.inst, nil)
	return nil
}

// confirmAgain carries out a confirmation. One that had got as far as the move's own record has only the instance's
// left.
func (m *coldMove) confirmAgain(ctx context.Context, p pages) error {
	if m.migration == nil {
		return fmt.Errorf("instance %s is resized, and its record names no move", m.inst.UUID())
	}
	if m.migration.Status() != nova.MigrationConfirmed {
		return m.repeatMove(ctx, opConfirmResize, p)
	}
	if err := m.recordConfirmed(ctx); err != nil {
		return ignoreVanished(err)
	}
	for _, e := range p {
		m.closeInterrupted(ctx, e, nil)
	}
	return errors.Join(m.forgetAllocation(ctx), m.dropStash(ctx))
}

// revertAgain carries out a revert: the destination gives the guest up, and then the source starts it.
func (t *task) revertAgain(ctx context.Context, m *coldMove, p pages) error {
	if m.migration == nil {
		return t.fail(ctx, p)
	}
	reverted := m.migration.Status() == nova.MigrationReverted
	switch {
	case !reverted:
		return m.repeatMove(ctx, opRevertResize, p)
	case m.migration.SourceCompute() == t.cfg.Default.Host:
		return m.repeatMove(ctx, opFinishRevertResize, p)
	}
	return m.askBack(ctx)
}

// repeatMove does a part of the move again.
func (m *coldMove) repeatMove(ctx context.Context, op func(*Agent) operation, p pages) error {
	raw, err := json.Marshal(m.migration)
	if err != nil {
		return fmt.Errorf("migration %s: %w", m.migration.UUID(), err)
	}
	return m.repeat(ctx, repetition{operation: op, arguments: map[string]any{
		"migration": json.RawMessage(raw), "disk_info": "[]", // the formats of disks that have come are beside them
	}}, p)
}
