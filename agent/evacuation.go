package agent

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"bolide/agent/network"
	"bolide/agent/resources"
	"bolide/hypervisor"
	"bolide/rpc/nova"
)

// evacuation makes the guest of a host that died anew on this one.
type evacuation struct {
	*rebuild
	onDisk  bool // the guest's files are here: they lie on storage that the hosts share
	claimed bool
	refused bool // this host cannot have the guest, of which nothing has been touched
}

// perform evacuates the guest to this host. What fails is taken off this host; the instance is in error on the dead
// host, unless this one refused it before it did anything.
func (e *evacuation) perform(ctx context.Context) error {
	defer e.releaseBase()
	failure := e.run(ctx, e.steps())
	if failure == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordLimit)
	defer cancel()
	if err := e.mark(ctx, nova.MigrationFailed); err != nil {
		e.log.WithError(err).Warn("migration not marked as failed")
	}
	if interrupted(failure) {
		return nil // nobody wants the guest any more
	}
	e.inform(ctx, newsRebuild, phaseError, detail{fault: failure})
	if err := e.resources.LeaveAllocation(ctx, e.id, e.inst.UUID()); err != nil {
		e.log.WithError(err).Error("share of this host in the instance's allocation not deleted")
	}
	if e.refused {
		reason := nova.FaultMessage(failure)
		failure = nova.BuildAbort(e.inst.UUID(), reason).Because(failure)
		return errors.Join(failure, ignoreVanished(e.move(ctx, moveRolledBack, func(i *nova.Instance) { i.SetVMState(e.before) })))
	}
	return errors.Join(e.rebuildFailure(failure), ignoreVanished(e.move(ctx, rebuildFailed)))
}

// mark saves how far the evacuation has come.
func (e *evacuation) mark(ctx context.Context, s nova.MigrationStatus) error {
	if e.migration == nil {
		return nil
	}
	e.migration.SetStatus(s)
	if err := e.cond.SaveMigration(ctx, e.migration); err != nil {
		return fmt.Errorf("save migration %s: %w", e.migration.UUID(), err)
	}
	return nil
}

// steps of an evacuation.
func (e *evacuation) steps() []step {
	disks := step{name: "disks", do: e.makeDisks, undo: e.dropMade}
	if e.onDisk = e.filesHere(); e.onDisk {
		disks = step{name: "disks", do: e.checkDisks} // they hold the guest's data
	}
	steps := []step{
		{name: "claim", do: e.claim, undo: e.unclaim},
		{name: "check storage", do: e.checkStorage},
		{name: "image", do: e.bringImage},
		{name: "announce", do: e.announce},
		{name: "ports", do: e.bindPorts},
		{name: "prepare devices", do: e.prepareDevices},
		disks,
	}
	steps = append(steps, e.spawn.steps()...)
	return append(steps, step{name: "record", do: e.record}, step{name: "arrive", do: e.arrive})
}

// filesHere reports whether this host can write to the instance's directory.
func (e *evacuation) filesHere() bool {
	return unix.Access(e.instanceDir(e.inst.UUID()), unix.W_OK) == nil
}

// claim holds what the guest will take of this host.
func (e *evacuation) claim(ctx context.Context) error {
	e.refused = true
	if e.migration == nil {
		if err := e.newMigration(ctx); err != nil {
			return err
		}
	}
	m := e.asMove()
	if err := m.markDestination(ctx); err != nil {
		return err
	}
	e.claimed = true
	topology, err := e.resources.ClaimMove(e.inst, resources.Move{
		Migration: e.migration, Topology: m.topology(), Limits: numaLimits(e.args.Object("limits")),
	})
	if err != nil {
		return err
	}
	e.inst.Set("migration_context", m.task.moveContext(e.migration, topology))
	if err := e.cond.SaveInstance(ctx, e.inst, nova.Expect{}); err != nil {
		return err
	}
	if err := m.tell(ctx); err != nil {
		return err
	}
	if e.spec != nil {
		if err := e.checkGroupPolicy(ctx, *e.spec); err != nil {
			return err
		}
	}
	e.refused = false
	return nil
}

// asMove is the evacuation as the parts of moves see it.
func (e *evacuation) asMove() *coldMove {
	return &coldMove{spawn: e.spawn, args: e.args, migration: e.migration, spec: e.spec, before: e.before}
}

// newMigration makes the record of an evacuation for which its caller made none.
func (e *evacuation) newMigration(ctx context.Context) error {
	m := nova.As[nova.Migration](e.profile.New("Migration"))
	m.Set("instance_uuid", e.inst.UUID())
	m.Set("source_compute", e.inst.Host())
	m.Set("source_node", e.inst.Node())
	m.Set("old_instance_type_id", e.inst.Flavor().ID())
	m.Set("new_instance_type_id", e.inst.Flavor().ID())
	m.Set("migration_type", string(nova.MigrationEvacuation))
	m.Set("status", string(nova.MigrationPreMigrating))
	e.migration = m
	return e.cond.CreateMigration(ctx, m)
}

func (e *evacuation) unclaim(ctx context.Context) error {
	if !e.claimed {
		return nil
	}
	e.resources.Track(e.inst, nil)
	if err := e.asMove().tell(ctx); err != nil {
		return err
	}
	if e.inst.IsNull("migration_context") {
		return nil
	}
	return e.cond.DropMigrationContext(ctx, e.inst)
}

// checkStorage refuses a guest that is here already, and one whose files are not where the caller says: an administrator
// who believes that they are shared would lose the guest's data.
func (e *evacuation) checkStorage(ctx context.Context) error {
	_, err := e.hypervisor.Guest(ctx, e.inst.UUID())
	switch {
	case err == nil:
		return nova.NewError("InstanceExists", map[string]any{"name": e.inst.Name(e.cfg.Default.InstanceNameTemplate)})
	case !errors.Is(err, hypervisor.ErrNotFound):
		return err
	}
	if e.args.Has("on_shared_storage") && e.args.Bool("on_shared_storage") != e.onDisk {
		return nova.NewErrorText("InvalidSharedStorage", "Invalid state of instance files on shared storage")
	}
	return nil
}

// bringImage finds what the guest is made from; one whose files are here needs nothing.
func (e *evacuation) bringImage(ctx context.Context) error {
	if e.onDisk {
		return nil
	}
	if e.imageRef == "" {
		e.imageRef = e.inst.ImageRef()
	}
	return e.rebuild.bringImage(ctx)
}

// bindPorts brings the guest's ports to this host.
func (e *evacuation) bindPorts(ctx context.Context) error {
	err := e.ports.StartMigration(ctx, e.id, network.MigrationRequest{
		InstanceUUID: e.inst.UUID(), ProjectID: e.inst.ProjectID(), InstanceHost: e.inst.Host(), Host: e.cfg.Default.Host,
	})
	if err != nil {
		return portError(err)
	}
	m := e.asMove()
	return m.bindPorts(ctx, e.cfg.Default.Host, m.mapping())
}

// arrive puts this host on the record, and only then says that the evacuation is done.
func (e *evacuation) arrive(ctx context.Context) error {
	takeContext(e.inst, "new_")
	e.placeAt(e.inst, e.cfg.Default.Host, e.resources.NodeName(), e.resources.NodeID())
	if err := e.cond.SaveInstance(ctx, e.inst, nova.Expect{}); err != nil {
		return err
	}
	if err := e.cond.DropMigrationContext(ctx, e.inst); err != nil {
		return err
	}
	e.resources.Track(e.inst, nil)
	return e.mark(ctx, nova.MigrationDone)
}
