package agent

import (
	"context"
	"encoding/json"
	"fmt"

	"bolide/rpc/nova"
)

// opResizeInstance stops a guest that is to move, or to come up again in another size, and brings its disks to where it
// will be. The destination asks for it when it has set aside what the guest will take.
func opResizeInstance(*Agent) operation {
	return operation{
		method: "resize_instance", event: "compute_resize_instance",
		queued: true, interruptible: true, clearsTask: true, keepsFault: true,
		do: func(ctx context.Context, t *task) (any, error) {
			m, err := t.coldMove()
			if err != nil {
				return nil, err
			}
			s := &sending{coldMove: m, flavor: m.args.Flavor("flavor"), shutdown: m.args.Shutdown("clean_shutdown")}
			if err := m.args.Err(); err != nil {
				return nil, err
			}
			return nil, s.send(ctx)
		},
	}
}

// sending is the source's part of a move: the guest goes.
type sending struct {
	*coldMove
	flavor   nova.Flavor
	shutdown nova.Shutdown

	files   *diskMove
	records []diskRecord // of the disks, for the destination
	ran     bool         // the guest ran when the move began
	stopped bool
	over    bool // the record names the destination
}

// send brings the guest's disks over and hands its record to the destination. What fails on the way is undone: the
// guest runs here again.
func (s *sending) send(ctx context.Context) error {
	failure := s.run(ctx, s.steps())
	if failure == nil {
		s.inform(ctx, newsResize, phaseEnd, detail{ports: s.vifs})
		return nil
	}
	s.returnAllocation(ctx)
	if s.sameHost() { // another host sees in its next audit that nobody comes
		s.resources.Track(s.inst, nil)
	}
	return s.rollBack(ctx, failure)
}

// steps of a move at the source. That the destination can be reached is tried before the guest is stopped. The record
// goes over only when all of the guest's data has.
func (s *sending) steps() []step {
	return []step{
		{name: "read instance", do: s.begin},
		{name: "check sizes", do: s.checkSizes},
		{name: "reach the destination", do: func(ctx context.Context) error { return s.files.reach(ctx) },
			undo: func(ctx context.Context) error { return s.files.retreat(ctx) }},
		{name: "stop the guest", do: s.stop, undo: s.startAgain},
		{name: "unplug", do: func(ctx context.Context) error { return s.unplug(ctx, s.vifs) }, undo: s.plugAgain},
		{name: "set disks aside", do: s.setAside, undo: func(ctx context.Context) error { return s.files.putBack(ctx) }},
		{name: "copy disks", do: func(ctx context.Context) error { return s.files.copyFiles(ctx, s.records) }},
		{name: "TPM", do: s.sendTPM, undo: s.keepTPM},
		{name: "hand over", do: s.handOver, undo: s.takeBack},
	}
}

// begin takes the instance into the move's second state.
func (s *sending) begin(ctx context.Context) error {
	if err := s.read(ctx); err != nil {
		return err
	}
	if err := s.renewPorts(ctx); err != nil {
		return err
	}
	if err := s.mark(ctx, nova.MigrationMigrating); err != nil {
		return err
	}
	if err := s.move(ctx, resizeMigrating); err != nil {
		return err
	}
	s.inform(ctx, newsResize, phaseStart, detail{ports: s.vifs})
	r, err := s.request(ctx)
	if err != nil {
		return err
	}
	if err := s.planDisks(r); err != nil {
		return err
	}
	s.files = s.newDiskMove()
	return nil
}

// checkSizes refuses disks that would have to shrink: no file system survives it.
func (s *sending) checkSizes(context.Context) error {
	old, ephemeral := s.inst.Flavor(), int64(0)
	volume := false
	for _, b := range s.bdms {
		if b.IsEphemeral() {
			ephemeral += b.VolumeSize()
		}
		volume = volume || b.IsVolume() && b.IsRoot()
	}
	if ephemeral == 0 {
		ephemeral = old.EphemeralGB()
	}
	if s.flavor.RootGB() < old.RootGB() && !volume || s.flavor.EphemeralGB() < ephemeral {
		return nova.NewError("ResizeError", map[string]any{"reason": "Unable to resize disk down."})
	}
	return nil
}

func (s *sending) stop(ctx context.Context) error {
	power, err := s.powerNow(ctx)
	if err != nil {
		return err
	}
	ran := power == nova.PowerRunning || power == nova.PowerPaused
	if ran {
		if err := s.checkTPM(ctx); err != nil {
			return err
		}
	}
	s.ran, s.stopped = ran, true
	return s.task.powerOff(ctx, powerOffOptions{Clean: s.shutdown == nova.ShutdownClean})
}

// startAgain starts the guest that was stopped for nothing.
func (s *sending) startAgain(ctx context.Context) error {
	if !s.ran {
		return nil
	}
	return s.startPlugged(ctx)
}

func (s *sending) plugAgain(ctx context.Context) error {
	if !s.stopped {
		return nil
	}
	return s.plug(ctx, s.vifs)
}

func (s *sending) setAside(ctx context.Context) error {
	var err error
	if s.records, err = s.files.describe(); err != nil {
		return err
	}
	return s.files.setAside(ctx)
}

// handOver makes the destination the instance's host, on all records, and tells it.
func (s *sending) handOver(ctx context.Context) error {
	if err := s.ports.ActivateBindings(ctx, s.id, s.migration.DestCompute(), s.vifs); err != nil {
		return portError(err)
	}
	if err := s.mark(ctx, nova.MigrationPostMigrating); err != nil {
		return err
	}
	info, err := json.Marshal(s.records)
	if err != nil {
		return fmt.Errorf("describe the disks: %w", err)
	}
	s.over = true
	err = s.move(ctx, resizeMigrated, func(i *nova.Instance) {
		s.placeAt(i, s.migration.DestCompute(), s.migration.DestNode(), s.migration.Int("dest_compute_id"))
		i.Set("old_flavor", i.Flavor().Object.Clone())
	})
	if err != nil {
		return err
	}
	if err := s.peer().FinishResize(ctx, s.migration.DestCompute(), s.passOn(), string(info)); err != nil {
		return err
	}
	s.resources.Track(s.inst, s.migration)
	return nil
}

// placeAt puts a host on the instance's record.
func (t *task) placeAt(i *nova.Instance, host, node string, id int64) {
	i.SetHost(host)
	i.SetNode(node)
	if t.profile.ComputeIDs {
		i.SetComputeID(id)
	}
}

// takeBack puts this host on the record again.
func (s *sending) takeBack(ctx context.Context) error {
	if !s.over {
		return nil
	}
	return s.move(ctx, resizeTakenBack, func(i *nova.Instance) {
		s.placeAt(i, s.migration.SourceCompute(), s.migration.SourceNode(), s.resources.NodeID())
		i.Set("old_flavor", nil)
	})
}
