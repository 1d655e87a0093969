package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"bolide/agent/guest"
	"bolide/agent/handover"
	"bolide/agent/network"
	"bolide/hypervisor"
	"bolide/rpc/nova"
)

// opPreLiveMigration makes this host ready for a running guest that comes from another.
func opPreLiveMigration(*Agent) operation {
	return operation{
		method: "pre_live_migration", foreign: true, event: "compute_pre_live_migration",
		queued: true, keepsFault: true,
		do: func(ctx context.Context, t *task) (any, error) {
			in, err := t.incoming(ctx)
			if err != nil {
				return nil, err
			}
			told := detail{ports: in.vifs}
			in.inform(ctx, newsLivePre, phaseStart, told)
			if err := t.run(ctx, in.steps()); err != nil {
				return nil, err
			}
			in.inform(ctx, newsLivePre, phaseEnd, told)
			return in.data, nil
		},
	}
}

// opPostLiveMigration takes a guest's record over when it has come.
func opPostLiveMigration(*Agent) operation {
	return operation{
		method: "post_live_migration_at_destination", foreign: true, event: "compute_post_live_migration_at_destination",
		queued: true, keepsFault: true,
		do: func(ctx context.Context, t *task) (any, error) { return nil, t.takeOver(ctx) },
	}
}

// opRollbackLive undoes what was prepared for a guest that did not come.
func opRollbackLive(*Agent) operation {
	return operation{
		method: "rollback_live_migration_at_destination", foreign: true, event: "compute_rollback_live_migration_at_destination",
		queued: true, keepsFault: true,
		do: func(ctx context.Context, t *task) (any, error) {
			data := nova.NewArgs(t.req.Args).LiveMigrateData("migrate_data")
			if data == nil {
				return nil, errors.New("argument migrate_data is missing")
			}
			return nil, t.clearArrival(ctx, data)
		},
	}
}

// opDropMoveClaim gives back what was claimed for a guest that did not come.
func opDropMoveClaim(*Agent) operation {
	return operation{
		method: "drop_move_claim_at_destination", foreign: true, queued: true, keepsFault: true,
		do: func(ctx context.Context, t *task) (any, error) {
			t.resources.Track(t.inst, nil)
			return nil, t.resources.Tell(ctx, t.cond.With(t.rc.Elevated()))
		},
	}
}

// incoming reads the guest that comes, and what its source says of it.
func (t *task) incoming(ctx context.Context) (*incoming, error) {
	args := nova.NewArgs(t.req.Args)
	data, list := args.LiveMigrateData("migrate_data"), args.Str("disk")
	if err := args.Err(); err != nil {
		return nil, err
	}
	if data == nil {
		return nil, errors.New("argument migrate_data is missing")
	}
	disks, err := decodeDisks(list)
	if err != nil {
		return nil, err
	}
	s, err := t.existing(ctx, "migration_context", "resources")
	if err != nil {
		return nil, err
	}
	in := &incoming{spawn: s, data: data, records: disks}
	if len(data.VIFs()) > 0 {
		in.vifs, err = handover.DestinationVIFs(*data)
	}
	return in, err
}

// steps of making ready. Each is undone if a later one fails; the source asks for the same again when it hears of it.
func (in *incoming) steps() []step {
	return []step{
		{name: "check group", do: in.checkGroup},
		{name: "disks", do: in.makeDirectory, undo: in.dropDirectory, beside: []step{
			{name: "plug", do: in.plugAgain, undo: func(ctx context.Context) error { return in.unplug(ctx, in.vifs) }},
			{name: "announce", do: in.announce, undo: in.callOff},
		}},
		{name: "answer", do: in.answer},
	}
}

// plugAgain plugs the ports, and again for as often as the configuration says where that fails.
func (in *incoming) plugAgain(ctx context.Context) error {
	for tries := 1; ; tries++ {
		err := in.plug(ctx, in.vifs)
		if err == nil || tries >= in.cfg.Default.LiveMigrationRetryCount {
			return err
		}
		in.log.WithError(err).Warn("ports not plugged; it will be tried again")
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// announce tells Neutron where the ports are about to go, for those of its parts that prepare.
func (in *incoming) announce(ctx context.Context) error {
	return portError(in.ports.StartMigration(ctx, in.id, in.portsMove()))
}

func (in *incoming) callOff(ctx context.Context) error {
	return portError(in.ports.CancelMigration(ctx, in.id, in.portsMove()))
}

func (t *task) portsMove() network.MigrationRequest {
	return network.MigrationRequest{
		InstanceUUID: t.inst.UUID(), ProjectID: t.inst.ProjectID(), InstanceHost: t.inst.Host(), Host: t.cfg.Default.Host,
	}
}

// answer adds to the data what the source needs.
func (in *incoming) answer(ctx context.Context) error {
	r, err := in.request(ctx)
	if err != nil {
		return err
	}
	if err := in.giveSerialPorts(&r); err != nil {
		return err
	}
	ready := handover.Readiness{
		PerfEvents: in.cfg.Libvirt.EnabledPerfEvents, SerialPorts: r.SerialPorts,
		WaitForVIFs: in.cfg.Compute.LiveMigrationWaitForVIFPlug && len(in.data.VIFs()) > 0,
	}
	if address := in.cfg.Libvirt.LiveMigrationInboundAddr; address != "" {
		ready.Address = &address
	}
	handover.Ready(in.data, ready)
	return nil
}

// takeOver puts this host on the record of a guest that has come. The guest runs here whatever else fails; so that is
// written in any case. It may be repeated, also when the source has written it.
func (t *task) takeOver(ctx context.Context) error {
	zone, source := t.inst.Raw("availability_zone"), t.inst.Host()
	s, err := t.existing(ctx, "migration_context", "resources")
	if err != nil {
		return err
	}
	t.inst.Set("availability_zone", zone)
	failure := s.settleIn(ctx)
	if t.inst.Host() != t.cfg.Default.Host {
		err = t.recordHere(ctx, failure)
	}
	t.resources.Track(t.inst, nil)
	if terr := t.resources.Tell(ctx, t.cond.With(t.rc.Elevated())); terr != nil {
		t.log.WithError(terr).Warn("capacity not told; the next audit will")
	}
	t.tellScheduler(ctx)
	request := t.portsMove()
	request.InstanceHost, request.Host = t.cfg.Default.Host, source
	if perr := t.ports.CancelMigration(ctx, t.id, request); perr != nil {
		t.log.WithError(perr).Warn("bindings of the ports to the source not removed")
	}
	if failure == nil && err == nil {
		t.inform(ctx, newsLivePostDest, phaseEnd, detail{ports: s.vifs})
	}
	return errors.Join(failure, err)
}

// settleIn binds the ports to this host, if they are not yet, and makes sure that the guest is one of this host's.
func (s *spawn) settleIn(ctx context.Context) error {
	err := s.ports.BindHost(ctx, s.id, network.HostRequest{
		InstanceUUID: s.inst.UUID(), ProjectID: s.inst.ProjectID(), AvailabilityZone: s.inst.AvailabilityZone(),
		Host: s.cfg.Default.Host, LiveMigration: true,
	})
	if err == nil {
		err = s.renewPorts(ctx)
	}
	s.inform(ctx, newsLivePostDest, phaseStart, detail{ports: s.vifs})
	if merr := os.Remove(filepath.Join(s.instanceDir(s.inst.UUID()), incomingMark)); merr != nil && !errors.Is(merr, os.ErrNotExist) {
		s.log.WithError(merr).Warn("mark of an incoming guest not removed")
	}
	return errors.Join(portError(err), s.keepDomain(ctx))
}

// keepDomain makes the guest's definition last beyond its run, if libvirt was not told so by the source.
func (s *spawn) keepDomain(ctx context.Context) error {
	g, err := s.hypervisor.Guest(ctx, s.inst.UUID())
	if err != nil {
		return s.guestError(err)
	}
	if s.cfg.Workarounds.EnableQEMUMonitorAnnounceSelf {
		if err := s.hypervisor.AnnounceSelf(ctx, s.inst.UUID()); err != nil {
			s.log.WithError(err).Warn("guest does not announce itself to the switches")
		}
	}
	if g.Persistent {
		return nil
	}
	xml, err := s.hypervisor.XML(ctx, s.inst.UUID(), hypervisor.XMLOptions{Migratable: true, Secure: true})
	if err != nil {
		return s.guestError(err)
	}
	return s.hypervisor.Define(ctx, xml)
}

// recordHere is the write with which the guest is this host's. What failed leaves the instance in error, here.
func (t *task) recordHere(ctx context.Context, failure error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordLimit)
	defer cancel()
	power, err := t.powerNow(ctx)
	if err != nil {
		t.log.WithError(err).Warn("power state not known")
		power = t.inst.PowerState()
	}
	takeContext(t.inst, "new_")
	if err := t.cond.DropMigrationContext(ctx, t.inst); err != nil {
		return fmt.Errorf("drop the migration context: %w", err)
	}
	change := liveArrived
	if failure != nil && power == nova.PowerNoState {
		change = liveBroken
	}
	return t.move(ctx, change, func(i *nova.Instance) {
		i.SetHost(t.cfg.Default.Host)
		i.SetNode(t.resources.NodeName())
		if t.profile.ComputeIDs {
			i.Set("compute_id", t.resources.NodeID())
		}
		i.SetPowerState(power)
		i.Set("progress", 0)
	})
}

// clearArrival removes what was made for a guest that did not come. It looks anew where the guest is: the source may
// have asked long ago, and the guest have come since by another move.
func (t *task) clearArrival(ctx context.Context, data *nova.LiveMigrateData) error {
	s, err := t.existing(ctx, "migration_context")
	gone := nova.Is(err, "InstanceNotFound")
	if gone {
		s, err = &spawn{task: t}, nil
	}
	if err != nil {
		return err
	}
	gone = gone || t.inst.TaskState() == nova.TaskDeleting
	if !gone && t.inst.Host() == t.cfg.Default.Host {
		t.log.Warn("told to remove what is left of a guest that did not come, but it is here; nothing removed")
		return nil
	}
	g, err := t.hypervisor.Guest(ctx, t.inst.UUID())
	if err == nil && g.State == hypervisor.Running && !gone {
		return fmt.Errorf("the guest runs here though host %s says that it stayed there; nothing removed", t.inst.Host())
	}
	if err != nil && !errors.Is(err, hypervisor.ErrNotFound) {
		return err
	}
	in := &incoming{spawn: s, data: data}
	if len(data.VIFs()) > 0 {
		if in.vifs, err = handover.DestinationVIFs(*data); err != nil {
			return err
		}
	}
	t.serials.drop(t.inst.UUID())
	t.resources.Track(t.inst, nil)
	told := detail{ports: s.vifs}
	t.inform(ctx, newsLiveBackDest, phaseStart, told)
	if err := errors.Join(in.callOff(ctx), in.removeDomain(ctx), in.unplug(ctx, in.vifs), in.dropDirectory(ctx)); err != nil {
		return err
	}
	t.inform(ctx, newsLiveBackDest, phaseEnd, told)
	return nil
}

// pinning tells the source where the guest's CPUs and memory cells go here, by the topology fitted to this host.
func (t *task) pinning(ctx context.Context, fitted *nova.Object) (*nova.Object, error) {
	s := &spawn{task: t, meta: t.inst.Image()}
	r, err := s.request(ctx)
	if err != nil {
		return nil, err
	}
	r.Instance = *nova.As[nova.Instance](t.inst.Object.Clone())
	r.Instance.Set("numa_topology", fitted)
	cpus, cells, err := guest.Pinning(r)
	if err != nil {
		return nil, err
	}
	return handover.Pins(t.profile, cpus, cells)
}
