package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"bolide/agent/guest"
	"bolide/agent/network"
	"bolide/hypervisor"
	"bolide/rpc/nova"
)

// instanceParts are what the operations on an existing guest need of its record beyond its columns.
var instanceParts = []string{"flavor", "system_metadata", "metadata", "info_cache", "numa_topology", "pci_devices", "pci_requests", "keypairs", "ec2_ids"}

// load reads the instance anew with all that its guest's description depends on, and more parts if named: callers send
// it with as little as they have at hand.
func (t *task) load(ctx context.Context, more ...string) error {
	inst, err := t.cond.Instance(ctx, t.inst.UUID(), slices.Concat(instanceParts, more)...)
	if err != nil {
		return fmt.Errorf("read instance %s: %w", t.inst.UUID(), err)
	}
	t.inst = inst
	return nil
}

// existing is a guest that was built before, with what its next start needs, and more parts of its record if named.
func (t *task) existing(ctx context.Context, more ...string) (*spawn, error) {
	if err := t.load(ctx, more...); err != nil {
		return nil, err
	}
	s := &spawn{task: t, meta: t.inst.Image()}
	var err error
	if s.bdms, err = t.cond.BlockDevices(ctx, t.inst.UUID()); err != nil {
		return nil, fmt.Errorf("read block devices: %w", err)
	}
	s.vifs, err = t.currentPorts(ctx)
	return s, err
}

// powerNow is the guest's power state as the hypervisor has it; a guest without a domain has none.
func (t *task) powerNow(ctx context.Context) (nova.PowerState, error) {
	g, err := t.hypervisor.Guest(ctx, t.inst.UUID())
	if errors.Is(err, hypervisor.ErrNotFound) {
		return nova.PowerNoState, nil
	}
	if err != nil {
		return nova.PowerNoState, err
	}
	return powerState(g.State), nil
}

// restart is a hard reboot, and also how a stopped guest starts: whatever runs is ended, and the guest comes up from
// what Nova knows of it, not from what libvirt still has, so that damage to the domain or the ports is mended.
func (s *spawn) restart(ctx context.Context) error {
	if err := s.checkTPM(ctx); err != nil {
		return err
	}
	return s.run(ctx, s.restartSteps())
}

func (s *spawn) restartSteps() []step {
	return []step{
		{name: "end the running guest", do: s.endGuest},
		{name: "check disks", do: s.checkDisks},
		{name: "plug", do: s.plugForRestart},
		{name: "define", do: s.define},
		{name: "start", do: s.startPlugged},
	}
}

// plugForRestart plugs the ports of a guest that had them before. Those of the kinds that
// wait_for_vif_plugged_event_during_hard_reboot names are taken off first, so that Neutron connects them anew and says
// so: their guest does not run before it has.
func (s *spawn) plugForRestart(ctx context.Context) error {
	var anew network.Info
	var keys []eventKey
	for _, v := range s.vifs {
		if s.cfg.Default.VIFPluggingTimeout > 0 && slices.Contains(s.cfg.Workarounds.WaitForVIFPluggedEventDuringHardReboot, v.VNICType) {
			anew = append(anew, v)
			keys = append(keys, eventKey{Instance: s.inst.UUID(), Name: eventPlugged, Tag: v.ID})
		}
	}
	if err := s.unplug(ctx, anew); err != nil {
		return err
	}
	s.plugged = s.waiters.expect(keys...)
	return s.plug(ctx, s.vifs)
}

// startPlugged starts a guest whose ports Neutron has connected before, or says that it connects anew.
func (s *spawn) startPlugged(ctx context.Context) error {
	err := s.startGuest(ctx, hypervisor.StartOptions{ForceBoot: true, Paused: s.plugged.expected()})
	if err != nil && !errors.Is(err, hypervisor.ErrInvalidState) {
		return err
	}
	return s.awaitPorts(ctx)
}

// checkDisks plans the guest's disks and makes what can be made again: the config drive, the base under the root disk,
// the console log. The disks themselves hold the guest's data; one that is missing is an error.
func (s *spawn) checkDisks(ctx context.Context) error {
	r, err := s.request(ctx)
	if err != nil {
		return err
	}
	if err := s.planDisks(r); err != nil {
		return err
	}
	dir := s.instanceDir(s.inst.UUID())
	if err := touch(filepath.Join(dir, "console.log")); err != nil {
		return fmt.Errorf("make console log: %w", err)
	}
	for _, d := range s.disksOf.List {
		if d.Name == "" {
			continue // a volume
		}
		_, err := os.Stat(filepath.Join(dir, d.Name))
		switch {
		case errors.Is(err, os.ErrNotExist) && d.Name == guest.ConfigDisk:
			if err := s.writeConfigDrive(ctx); err != nil {
				return err
			}
		case errors.Is(err, os.ErrNotExist):
			return nova.NewError("DiskNotFound", map[string]any{"location": d.Name})
		case err != nil:
			return fmt.Errorf("look at disk %s: %w", d.Name, err)
		}
	}
	return s.ensureBase(ctx)
}

// shutdownKey is where an image says how long its guests take to shut down, in seconds.
const shutdownKey = "image_os_shutdown_timeout"

// shutdownPatience is how long the guest gets to shut itself down.
func (t *task) shutdownPatience() time.Duration {
	if v, ok := t.inst.SystemMetadata()[shutdownKey]; ok {
		if n, err := strconv.Atoi(v); err == nil && n >= 0 {
			return time.Duration(n) * time.Second
		}
	}
	return t.cfg.Default.ShutdownTimeout
}

// powerOffOptions says how a guest is switched off.
type powerOffOptions struct {
	Clean bool // the guest is asked first, and gets its time
}

// powerOff switches the guest off. A clean one is asked by the power button, and again every so often, and when its
// time is over the plug is pulled.
func (t *task) powerOff(ctx context.Context, o powerOffOptions) error {
	if o.Clean {
		if patience := t.shutdownPatience(); patience > 0 {
			if err := t.pressPower(ctx, pressOptions{Patience: patience, Again: t.cfg.Compute.ShutdownRetryInterval}); err != nil {
				return err
			}
		}
	}
	return t.stopGuest(ctx)
}

// pressOptions says how patiently a guest is asked to shut down.
type pressOptions struct {
	Patience time.Duration // how long it gets
	Again    time.Duration // how often the button is pressed
}

// pressPower presses the guest's power button until it is off or its time is over, whichever is first. It returns an
// error only when libvirt cannot be asked or ctx ends.
func (t *task) pressPower(ctx context.Context, o pressOptions) error {
	events, leave := t.hypervisor.Subscribe()
	defer leave()
	over := time.NewTimer(o.Patience)
	defer over.Stop()
	again := time.NewTicker(o.Again)
	defer again.Stop()
	for press := true; ; {
		g, err := t.hypervisor.Guest(ctx, t.inst.UUID())
		if errors.Is(err, hypervisor.ErrNotFound) || err == nil && powerState(g.State) != nova.PowerRunning && powerState(g.State) != nova.PowerPaused {
			return nil
		}
		if err != nil {
			return err
		}
		if press {
			if err := t.hypervisor.Shutdown(ctx, t.inst.UUID()); err != nil && !errors.Is(err, hypervisor.ErrInvalidState) {
				return err
			}
			press = false
		}
		for waiting := true; waiting; {
			select {
			case e := <-events:
				waiting = e.Kind != hypervisor.EventResync && (e.UUID != t.inst.UUID() || e.Kind != hypervisor.EventStopped)
			case <-again.C:
				press, waiting = true, false
			case <-over.C:
				t.log.WithField("dur", o.Patience.String()).Info("guest did not shut down in its time")
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	}
}
