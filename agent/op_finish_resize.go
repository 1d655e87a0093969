package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"bolide/agent/network"
	"bolide/rpc/nova"
)

// opFinishResize starts a guest whose disks have come here, in its new size. The source asks for it.
func opFinishResize(*Agent) operation {
	return operation{
		method: "finish_resize", foreign: true, event: "compute_finish_resize",
		queued: true, interruptible: true, clearsTask: true, keepsFault: true,
		do: func(ctx context.Context, t *task) (any, error) {
			m, err := t.coldMove()
			if err != nil {
				return nil, err
			}
			a := &arrival{coldMove: m}
			if err := json.Unmarshal([]byte(m.args.Str("disk_info")), &a.records); err != nil {
				return nil, fmt.Errorf("argument disk_info: %w", err)
			}
			if err := m.args.Err(); err != nil {
				return nil, err
			}
			return nil, a.arrive(ctx)
		},
	}
}

// arrival is the destination's second part of a move: the guest comes.
type arrival struct {
	*coldMove
	records []diskRecord // of the disks that have come
	old     nova.Flavor
}

// arrive starts the guest here. The record names this host already, so a failure leaves the guest here, in error: its
// disks are here, and a hard reboot may bring it up. What the source held for its return is given back.
func (a *arrival) arrive(ctx context.Context) error {
	failure := a.run(ctx, []step{
		{name: "read instance", do: a.read},
		{name: "take over", do: a.takeOver},
		{name: "disks", do: a.fitDisks},
		{name: "TPM", do: a.fitTPM},
		{name: "plug", do: func(ctx context.Context) error { return a.plug(ctx, a.vifs) },
			undo: func(ctx context.Context) error { return a.unplug(ctx, a.vifs) }},
		{name: "define", do: a.define, undo: a.endGuest},
		{name: "config drive", do: a.writeConfigDrive},
		{name: "start", do: a.startArrived},
		{name: "record", do: a.record},
	})
	if failure == nil {
		a.tellScheduler(ctx)
		a.inform(ctx, newsFinishResize, phaseEnd, detail{ports: a.vifs})
		return nil
	}
	if a.old.Exists() {
		takeFlavor(a.inst, a.old)
	}
	failure = a.fail(ctx, failure)
	if err := a.forgetAllocation(ctx); err != nil {
		a.log.WithError(err).Error("allocation of the migration not deleted")
	}
	return failure
}

// resizes reports whether the guest comes up in another flavor than it had.
func (m *coldMove) resizes() bool {
	return m.migration.OldInstanceTypeID() != m.migration.NewInstanceTypeID()
}

// takeOver gives the instance what the move brings it, and binds its ports to this host.
func (a *arrival) takeOver(ctx context.Context) error {
	old, again := a.inst.Flavor(), a.inst.TaskState() == nova.TaskResizeFinish
	if again {
		old = a.inst.OldFlavor()
	}
	a.inst.Set("old_flavor", old.Object.Clone())
	if a.resizes() {
		fresh := a.inst.NewFlavor()
		if !fresh.Exists() {
			return errors.New("the instance's record has no new flavor")
		}
		a.old = nova.Flavor{Object: old.Object.Clone()}
		takeFlavor(a.inst, nova.Flavor{Object: fresh.Object.Clone()})
	}
	takeContext(a.inst, "new_")
	if err := a.bindPorts(ctx, a.migration.DestCompute(), a.mapping()); err != nil {
		return err
	}
	change := resizeFinishing
	if again {
		change = resizeResumed
	}
	if err := a.move(ctx, change); err != nil {
		return err
	}
	a.inform(ctx, newsFinishResize, phaseStart, detail{ports: a.vifs})
	a.resources.Track(a.inst, a.migration)
	return nil
}

// mapping says which resource provider fulfils what a port asks for.
func (m *coldMove) mapping() map[string][]string {
	if m.spec == nil {
		return nil
	}
	return m.spec.ProviderMapping()
}

// bindPorts binds the guest's ports to the host and reads them anew.
func (m *coldMove) bindPorts(ctx context.Context, host string, mapping map[string][]string) error {
	err := m.ports.BindHost(ctx, m.id, network.HostRequest{
		InstanceUUID: m.inst.UUID(), ProjectID: m.inst.ProjectID(), AvailabilityZone: m.inst.AvailabilityZone(),
		Host: host, ProviderMapping: mapping,
	})
	if err != nil {
		return portError(err)
	}
	return m.renewPorts(ctx)
}

// startArrived starts the guest unless it was off when its move began. Its ports are not waited for: Neutron may never
// have noticed that they were away.
func (a *arrival) startArrived(ctx context.Context) error {
	if a.goesOff() {
		return nil
	}
	if err := a.startPlugged(ctx); err != nil {
		return err
	}
	if err := a.hypervisor.SetTime(ctx, a.inst.UUID(), time.Now()); err != nil {
		a.log.WithError(err).Debug("guest's clock not set; it has no agent")
	}
	return nil
}

// record says that the user may now look and decide.
func (a *arrival) record(ctx context.Context) error {
	if err := a.mark(ctx, nova.MigrationFinished); err != nil {
		return err
	}
	err := a.moveTo(ctx, resizeDone, func(i *nova.Instance) { i.SetLaunchedAt(time.Now()) })
	if err != nil {
		return err
	}
	a.resources.Track(a.inst, a.migration)
	return nil
}
