package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"bolide/agent/network"
	"bolide/rpc/nova"
)

// errDeleted is why a running operation is interrupted when the user deletes its instance.
var errDeleted = errors.New("the instance is being deleted")

// opTerminate deletes an instance: DELETE /servers. It may be repeated, also for an instance of which only traces
// are left.
func opTerminate(*Agent) operation {
	return operation{
		method: "terminate_instance", event: "compute_terminate_instance",
		queued: true, interrupts: errDeleted, clearsTask: true, keepsFault: true,
		do: func(ctx context.Context, t *task) (any, error) { return nil, t.terminate(ctx) },
	}
}

func (t *task) terminate(ctx context.Context) error {
	bdms, err := t.bdmArgument("bdms")
	if err != nil {
		return err
	}
	if slices.ContainsFunc(bdms, func(b *nova.BlockDeviceMapping) bool { return b.IsVolume() && b.VolumeID() == "" }) {
		// the instance was still being built when the list was made: the volume may have its id by now
		if bdms, err = t.cond.BlockDevices(ctx, t.inst.UUID()); err != nil {
			return fmt.Errorf("read block devices: %w", err)
		}
	}
	d := &deletion{task: t, bdms: bdms}
	err = d.carryOut(ctx)
	switch {
	case nova.Is(err, "InstanceNotFound"):
		t.log.Info("instance disappeared during its delete")
		return nil
	case err != nil && !stopping(ctx):
		// what is left can be deleted again; until then the record must not look healthy
		return errors.Join(err, t.move(context.WithoutCancel(ctx), deleteFailed))
	}
	return err
}

// deletion is what the steps of a delete share.
type deletion struct {
	*task
	bdms      []*nova.BlockDeviceMapping
	vifs      network.Info
	kept      []network.Requested // ports that are their user's, where the info cache may not know it
	uncleaned error               // why files were left behind
}

// carryOut deletes, and tells whom it concerns.
func (d *deletion) carryOut(ctx context.Context) error {
	d.inform(ctx, newsDelete, phaseStart, detail{})
	d.inform(ctx, newsShutdown, phaseStart, detail{})
	if err := d.run(ctx, d.steps()); err != nil {
		return err
	}
	d.inform(ctx, newsDelete, phaseEnd, detail{})
	return nil
}

// steps of a delete. None is undone: a delete that fails goes on where it stopped when it is asked for again.
func (d *deletion) steps() []step {
	return append(d.teardown(),
		step{name: "record", do: d.record},
		step{name: "release claim", do: d.release, beside: []step{
			{name: "release allocation", do: d.releaseAllocation},
			{name: "clean console tokens", do: d.cleanTokens},
		}},
		step{name: "destroy record", do: d.destroyRecord})
}

// teardown takes the guest off the host. It is off before its addresses are given back, so that no two guests ever
// answer for one; and so are its ports, since nobody knows of one any more that was given back.
func (d *deletion) teardown() []step {
	return []step{
		{name: "read ports", do: d.findPorts},
		{name: "remove domain", do: d.removeDomain},
		{name: "unplug", do: func(ctx context.Context) error { return d.unplug(ctx, d.vifs) },
			beside: []step{
				{name: "remove files", do: d.clean},
				{name: "detach volumes", do: d.releaseVolumes},
			}},
		{name: "give ports back", do: d.deallocate},
		{name: "delete TPM secret", do: d.deleteTPMSecret},
	}
}

func (d *deletion) findPorts(ctx context.Context) error {
	d.waiters.drop(d.inst.UUID())
	// an empty cache may be a cache that was lost; better to ask than to leave a tap behind
	vifs, err := d.currentPorts(ctx)
	d.vifs = vifs
	return err
}

// clean removes the files. What cannot be removed now keeps nobody from deleting the instance.
func (d *deletion) clean(ctx context.Context) error {
	d.uncleaned = d.removeFiles(ctx)
	return nil
}

func (d *deletion) deallocate(ctx context.Context) error {
	return d.givePortsBack(ctx, d.vifs, d.kept)
}

func (d *deletion) record(ctx context.Context) error {
	d.inform(ctx, newsShutdown, phaseEnd, detail{})
	return d.move(ctx, deleteDone, func(i *nova.Instance) {
		d.noteCleaning(d.uncleaned)
		i.SetPowerState(nova.PowerNoState)
		i.SetTerminatedAt(time.Now())
	})
}

func (d *deletion) release(ctx context.Context) error {
	d.resources.Forget(d.inst.UUID())
	if err := d.resources.Tell(ctx, d.cond.With(d.rc.Elevated())); err != nil {
		d.log.WithError(err).Warn("capacity not told; the next audit will")
	}
	return nil
}

func (d *deletion) releaseAllocation(ctx context.Context) error {
	return d.resources.DeleteAllocation(ctx, d.id, d.inst.UUID())
}

func (d *deletion) cleanTokens(ctx context.Context) error {
	return d.cond.CleanConsoleAuths(ctx, d.inst.UUID())
}

func (d *deletion) destroyRecord(ctx context.Context) error {
	d.tellSchedulerGone(ctx)
	return d.cond.DestroyInstance(ctx, d.inst)
}
