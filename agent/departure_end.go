package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"bolide/agent/handover"
	"bolide/agent/network"
	"bolide/rpc"
	"bolide/rpc/nova"
)

const (
	// settleLimit bounds one part of what follows when a guest has left.
	settleLimit = 10 * time.Minute
	// askAgain is how often a destination that does not answer is asked whether a guest that is not here is there.
	askAgain = 15 * time.Second
)

// arrived settles a departure whose guest runs at the destination. Nothing that fails here may bring it back: every
// part is tried, what fails is said, and the record names the destination in the end.
func (d *departure) arrived(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	told := detail{ports: d.vifs}
	d.inform(ctx, newsLivePost, phaseStart, told)
	defer func() { d.inform(ctx, newsLivePost, phaseEnd, told) }()
	var errs []error
	for i, s := range d.arrivalSteps() {
		d.entry.Step(s.name, i+1, len(d.arrivalSteps()))
		bounded, cancel := context.WithTimeout(ctx, settleLimit)
		if err := s.perform(bounded); err != nil {
			errs = append(errs, err)
		}
		cancel()
	}
	return errors.Join(errs...)
}

// arrivalSteps: the ports go first, since the guest waits for them. What is left here is removed while the destination
// takes the guest over.
func (d *departure) arrivalSteps() []step {
	clear := []step{{name: "unplug", do: d.unplugHere}, {name: "remove files", do: d.removeMoved}}
	steps := []step{
		{name: "bind ports", do: func(ctx context.Context) error { d.bindThere(ctx); return nil }},
		{name: "hand over", do: d.handOver, beside: clear},
	}
	if !d.certain {
		// nobody has said that the guest is there, only that it is not here
		steps[1].beside = nil
		steps = append(steps, clear...)
	}
	return append(steps, []step{
		{name: "release", do: d.releaseHere},
		{name: "complete", do: d.complete},
		{name: "forget", do: d.forget},
	}...)
}

// handOver tells the destination that the guest is its own. If it does not answer, this host writes on the record where
// the guest is.
func (d *departure) handOver(ctx context.Context) error {
	if d.taken {
		return nil
	}
	d.inst.Set("availability_zone", d.zone)
	err := d.tellDestination(ctx)
	d.taken = err == nil
	switch {
	case err == nil:
		return nil
	case vanished(err):
		return d.endDeleted(ctx)
	}
	d.log.WithError(err).Warn("the destination does not take the guest over; this host writes where it is")
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordLimit)
	defer cancel()
	return errors.Join(err, d.recordThere(bounded))
}

// tellDestination waits for the destination's answer. Where it alone knows whether the guest is there, it is asked until
// ctx ends.
func (d *departure) tellDestination(ctx context.Context) error {
	for {
		err := d.peer().PostLiveMigrationAtDestination(ctx, d.dest, d.inst, d.block)
		if d.certain || !errors.Is(err, rpc.ErrTimeout) {
			return err
		}
		d.log.WithError(err).Warn("the destination does not say whether the guest is there; asking again")
		select {
		case <-time.After(askAgain):
		case <-ctx.Done():
			return err
		}
	}
}

// endDeleted ends the guest of an instance that was deleted while it moved: the delete comes to this host, which the
// record names, and the guest is at the other.
func (d *departure) endDeleted(ctx context.Context) error {
	d.log.Info("instance was deleted while it moved; its guest is removed at the destination")
	return d.peer().RollbackLiveMigrationAtDestination(ctx, d.dest, d.inst, nova.RollbackOptions{
		DestroyDisks: !d.data.SharedDisks(), MigrateData: d.data,
	})
}

// recordThere does what of the destination's part can be done from here, unless it was done there.
func (d *departure) recordThere(ctx context.Context) error {
	if err := d.load(ctx, "migration_context", "resources"); err != nil {
		return ignoreVanished(err)
	}
	if d.inst.Host() != d.cfg.Default.Host {
		return nil
	}
	node, err := d.cond.FirstComputeNode(ctx, d.dest)
	if err != nil {
		return fmt.Errorf("read the record of host %s: %w", d.dest, err)
	}
	takeContext(d.inst, "new_")
	if err := d.cond.DropMigrationContext(ctx, d.inst); err != nil {
		return fmt.Errorf("drop the migration context: %w", err)
	}
	err = d.move(ctx, liveArrived, func(i *nova.Instance) {
		i.SetHost(d.dest)
		i.SetNode(node.Str("hypervisor_hostname"))
		if d.profile.ComputeIDs {
			i.Set("compute_id", node.Int("id"))
		}
		i.Set("availability_zone", d.zone)
		i.Set("progress", 0)
	})
	if err != nil {
		return ignoreVanished(err)
	}
	err = d.ports.BindHost(ctx, d.id, network.HostRequest{
		InstanceUUID: d.inst.UUID(), ProjectID: d.inst.ProjectID(), AvailabilityZone: d.inst.AvailabilityZone(), Host: d.dest, LiveMigration: true,
	})
	return errors.Join(err, d.ports.CancelMigration(ctx, d.id, network.MigrationRequest{
		InstanceUUID: d.inst.UUID(), ProjectID: d.inst.ProjectID(), InstanceHost: d.dest, Host: d.cfg.Default.Host,
	}))
}

// unplugHere takes the ports off this host as they were plugged here.
func (d *departure) unplugHere(ctx context.Context) error {
	vifs, err := handover.SourceVIFs(*d.data)
	if err != nil || len(vifs) == 0 {
		vifs = d.vifs
	}
	return d.unplug(ctx, vifs)
}

// removeMoved removes the guest's files here. That the destination has its own is proved: it has made the directory of
// their name, which it could not have where it sees this one.
func (d *departure) removeMoved(ctx context.Context) error {
	if d.data.SharedDirectory() {
		return nil
	}
	if !d.certain && !d.taken {
		d.log.Error("the guest's files stay here: nobody has confirmed that the guest is at the destination")
		return nil
	}
	return d.removeFiles(ctx)
}

// releaseHere gives back what the guest held of this host.
func (d *departure) releaseHere(ctx context.Context) error {
	uuid := d.inst.UUID()
	d.waiters.drop(uuid)
	d.resources.Forget(uuid)
	if err := d.resources.Tell(ctx, d.cond.With(d.rc.Elevated())); err != nil {
		d.log.WithError(err).Warn("capacity not told; the next audit will")
	}
	d.tellSchedulerGone(ctx)
	if err := d.cond.CleanConsoleAuths(ctx, uuid); err != nil {
		return fmt.Errorf("clean console tokens: %w", err)
	}
	return nil
}

// complete ends the move's record, and with it the share of this host that it held.
func (d *departure) complete(ctx context.Context) error {
	return errors.Join(d.mark(ctx, nova.MigrationCompleted), d.resources.DeleteAllocation(ctx, d.id, d.migration.UUID()))
}

// stay settles a departure whose guest stayed here: the destination undoes what it did, and the records are put back.
func (d *departure) stay(ctx context.Context, failure error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoLimit)
	defer cancel()
	d.entry.Step("roll back", 0, 0)
	d.inform(ctx, newsLiveBack, phaseStart, detail{})
	errs := []error{d.returnAllocation(ctx), d.bindBack(ctx), d.clearDestination(ctx, failure)}
	if d.data.ClaimsNUMA() {
		if err := d.peer().DropMoveClaimAtDestination(ctx, d.dest, d.inst); err != nil {
			d.log.WithError(err).Warn("claim at the destination not dropped; its next audit will")
		}
	}
	recorded := d.recordStayed(ctx)
	if recorded == nil {
		d.inform(ctx, newsLiveBack, phaseEnd, detail{})
	}
	errs = append(errs, ignoreVanished(recorded))
	status := nova.MigrationFailed
	if errors.Is(failure, errAborted) {
		status = nova.MigrationCancelled
	}
	return errors.Join(append(errs, d.mark(ctx, status), d.forget(ctx))...)
}

// returnAllocation gives the instance the share of this host that the move held for it, in place of the destination's.
func (d *departure) returnAllocation(ctx context.Context) error {
	return d.resources.MoveAllocation(ctx, d.id, d.migration.UUID(), d.inst.UUID())
}

// bindBack binds the ports to this host again if they were the destination's already.
func (d *departure) bindBack(ctx context.Context) error {
	if !d.activated {
		return nil
	}
	d.activated = false
	return portError(d.ports.ActivateBindings(ctx, d.id, d.cfg.Default.Host, d.vifs))
}

// clearDestination has the destination remove what it prepared. A destination that refused because there is a directory
// of the guest's already is not asked to: it may be the guest's own.
func (d *departure) clearDestination(ctx context.Context, failure error) error {
	if d.prepared && !d.data.SharedDirectory() && !nova.Is(failure, "DestinationDiskExists") {
		return d.peer().RollbackLiveMigrationAtDestination(ctx, d.dest, d.inst, nova.RollbackOptions{
			DestroyDisks: !d.data.SharedDisks(), MigrateData: d.data,
		})
	}
	err := d.ports.CancelMigration(ctx, d.id, network.MigrationRequest{
		InstanceUUID: d.inst.UUID(), ProjectID: d.inst.ProjectID(), InstanceHost: d.cfg.Default.Host, Host: d.dest,
	})
	return portError(err)
}

// recordStayed clears the task; the host and the zone on the record never changed.
func (d *departure) recordStayed(ctx context.Context) error {
	if err := d.load(ctx, "migration_context", "resources"); err != nil {
		return err
	}
	if err := d.cond.DropMigrationContext(ctx, d.inst); err != nil {
		return fmt.Errorf("drop the migration context: %w", err)
	}
	if err := d.move(ctx, liveStayed, func(i *nova.Instance) { i.Set("progress", 0) }); err != nil {
		return err
	}
	d.resources.Track(d.inst, nil)
	return nil
}

// give leaves a guest that is on neither host alone for an administrator to look at.
func (d *departure) give(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordLimit)
	defer cancel()
	err := d.mark(ctx, nova.MigrationError)
	if lerr := d.load(ctx); lerr != nil {
		return errors.Join(err, ignoreVanished(lerr))
	}
	return errors.Join(err, ignoreVanished(d.move(ctx, liveBroken)))
}
