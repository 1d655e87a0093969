package agent

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"bolide/agent/guest"
	"bolide/agent/network"
	"bolide/agent/resources"
	"bolide/hypervisor"
	"bolide/hypervisor/domainxml"
	"bolide/rpc/nova"
)

// eventPlugged is what Neutron says when its agent has connected a port.
const eventPlugged = "network-vif-plugged"

// spawn is what the operations share that bring a guest up from its image: build, unshelve, rebuild, resize.
type spawn struct {
	*task
	image    imageRecord                // the image the root disk is made from; no ID: none
	meta     nova.ImageMeta             // its description as the guest's machine follows it
	bdms     []*nova.BlockDeviceMapping //
	vifs     network.Info               //
	files    []guest.InjectedFile       // that the user put into the guest
	password string                     // of the administrator, for the config drive
	groups   []string                   // security groups of the ports, by name
	powerOff bool                       // the guest is defined but not started
	rescue   *guest.Rescue              // how the guest is rescued; nil: it is not

	claim      *resources.Claim // of what the guest takes; nil: it was claimed before
	madeSecret bool             // of the guest's TPM, to be taken back with the rest
	disksOf    guest.Disks
	devices    *nova.Object // the tagged devices; nil: none
	plugged    *expectation // of the ports that Neutron has yet to connect
}

// steps bring the guest up once its disks and ports are there. Events are expected before the ports are plugged,
// since Neutron's agent may be quick. The config drive comes after the definition, because it tells the guest at
// which addresses libvirt put its tagged devices.
func (s *spawn) steps() []step {
	return []step{
		{name: "TPM secret", do: s.makeTPMSecret, undo: s.unmakeTPMSecret},
		{name: "plug", do: s.plugPorts, undo: s.unplugPorts},
		{name: "define", do: s.define, undo: s.removeDomain},
		{name: "config drive", do: s.writeConfigDrive},
		{name: "start", do: s.start},
		{name: "wait for ports", do: s.awaitPorts},
	}
}

// request is everything that the guest's description depends on.
func (s *spawn) request(ctx context.Context) (guest.Request, error) {
	facts, err := s.hypervisor.Facts(ctx)
	if err != nil {
		return guest.Request{}, err
	}
	online, err := s.hypervisor.OnlineCPUs(ctx)
	if err != nil {
		return guest.Request{}, err
	}
	sets, err := readCPUSets(s.cfg, online)
	if err != nil {
		return guest.Request{}, err
	}
	return guest.Request{
		Settings: s.guestSettings(), Host: s.guestHost(facts, sets),
		Name:     s.inst.Name(s.cfg.Default.InstanceNameTemplate),
		Instance: *s.inst, Image: s.meta, BlockDevices: s.bdms, Network: s.vifs, Rescue: s.rescue,
		Formats: s.diskFormats(), Created: time.Now(),
	}, nil
}

// nameDevices gives every block device its name and bus, and saves those rows that changed.
func (s *spawn) nameDevices(ctx context.Context) error {
	r, err := s.request(ctx)
	if err != nil {
		return err
	}
	if err := guest.AssignDeviceNames(r); err != nil {
		return err
	}
	for _, b := range s.bdms {
		if len(b.Changes()) == 0 {
			continue
		}
		if err := s.cond.SaveBlockDevice(ctx, b); err != nil {
			return fmt.Errorf("save block device %s: %w", b.UUID(), err)
		}
	}
	return s.planDisks(r)
}

func (s *spawn) planDisks(r guest.Request) error {
	disks, err := guest.PlanDisks(r)
	if err != nil {
		return err
	}
	guest.RecordDefaultDevices(*s.inst, disks)
	s.disksOf = disks
	return nil
}

// writeConfigDrive writes the disk that tells the guest who it is, if it is to have one. One that is there stays: the
// password and the files that the user put into it are nowhere else.
func (s *spawn) writeConfigDrive(ctx context.Context) error {
	r, err := s.request(ctx)
	if err != nil {
		return err
	}
	if !guest.NeedsConfigDrive(r) {
		return nil
	}
	if err := s.findTags(ctx); err != nil {
		return err
	}
	if there(filepath.Join(s.instanceDir(s.inst.UUID()), guest.ConfigDisk)) {
		return nil
	}
	return s.writeDrive(r, guest.ConfigDisk)
}

func (s *spawn) plugPorts(ctx context.Context) error {
	var keys []eventKey
	if s.cfg.Default.VIFPluggingTimeout > 0 && !s.powerOff {
		for _, v := range s.vifs {
			if !v.Active {
				keys = append(keys, eventKey{Instance: s.inst.UUID(), Name: eventPlugged, Tag: v.ID})
			}
		}
	}
	s.plugged = s.waiters.expect(keys...)
	return s.plug(ctx, s.vifs)
}

// unplugPorts takes the ports off the host; that Neutron connects them is no longer waited for.
func (s *spawn) unplugPorts(ctx context.Context) error {
	if s.plugged != nil {
		s.plugged.forget()
	}
	return s.unplug(ctx, s.vifs)
}

// define describes the guest to libvirt and records what its description rests on, so that a later start gives the
// same machine.
func (s *spawn) define(ctx context.Context) error {
	r, err := s.request(ctx)
	if err != nil {
		return err
	}
	if s.disksOf.List == nil {
		if err := s.planDisks(r); err != nil {
			return err
		}
	}
	if err := s.giveSerialPorts(&r); err != nil {
		return err
	}
	described, err := guest.Describe(r, s.disksOf)
	if err != nil {
		return err
	}
	domain, err := domainxml.Build(described)
	if err != nil {
		return fmt.Errorf("describe the domain: %w", err)
	}
	xml, err := domain.Marshal()
	if err != nil {
		return fmt.Errorf("describe the domain: %w", err)
	}
	s.log.WithField("xml", xml).Debug("domain described")
	if err := s.hypervisor.Define(ctx, xml); err != nil {
		return err
	}
	if s.rescue == nil {
		s.recordDefaults(r)
	}
	s.inst.Set("vcpu_model", guest.VCPUModel(s.profile, described.CPU))
	return nil
}

// findTags notes on the instance which of its devices the user tagged and where the guest finds them.
func (s *spawn) findTags(ctx context.Context) error {
	rows, err := s.cond.VirtualInterfaces(ctx, s.inst.UUID())
	if err != nil {
		return fmt.Errorf("read virtual interfaces: %w", err)
	}
	tags := map[string]string{}
	for _, r := range rows {
		if r.Tag() != "" {
			tags[r.UUID()] = r.Tag()
		}
	}
	domain, err := s.domain(ctx)
	if err != nil {
		return err
	}
	s.devices = guest.DeviceMetadata(guest.TagRequest{
		Profile: s.profile, Domain: domain, Network: s.vifs, BlockDevices: s.bdms, PortTags: tags,
	})
	s.inst.Set("device_metadata", s.devices)
	return nil
}

// recordDefaults notes on the instance which devices it got without asking for them, so that no later default
// changes its machine. The operation's last write saves them.
func (s *spawn) recordDefaults(r guest.Request) {
	defaults := guest.Defaults(r, s.disksOf)
	if len(defaults) == 0 {
		return
	}
	all := map[string]any{}
	for k, v := range s.inst.SystemMetadata() {
		all[k] = v
	}
	for k, v := range defaults {
		all[k] = nil
		if v != nil {
			all[k] = *v
		}
	}
	s.inst.Set("system_metadata", all)
}

// start starts the guest, its CPUs standing still while ports are waited for: a guest that boots before its
// network would give up on DHCP.
func (s *spawn) start(ctx context.Context) error {
	if s.powerOff {
		return nil
	}
	err := s.startGuest(ctx, hypervisor.StartOptions{Paused: s.plugged.expected()})
	if errors.Is(err, hypervisor.ErrInvalidState) {
		return nil // runs already: the step is repeated
	}
	return err
}

// awaitPorts lets the guest go once Neutron has connected its ports, or when it has not in time and that is not
// fatal here.
func (s *spawn) awaitPorts(ctx context.Context) error {
	if s.powerOff || !s.plugged.expected() {
		return nil
	}
	bounded, cancel := context.WithTimeout(ctx, s.cfg.Default.VIFPluggingTimeout)
	defer cancel()
	err := s.connected(bounded)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil && s.cfg.Default.VIFPluggingIsFatal:
		return nova.NewError("VirtualInterfaceCreateException", nil).Because(err)
	case err != nil:
		s.log.WithError(err).Warn("ports not connected in time; the guest starts without them")
	}
	return s.letGo(ctx)
}

// errDeaf is why events are no longer waited for: the service stops, and hears of none.
var errDeaf = errors.New("the compute service no longer hears of events")

// askPortsAgain is how often Neutron is asked about ports of which it can tell no more.
const askPortsAgain = time.Second

// connected waits until Neutron has connected the guest's ports. It says so by events; once this service has stopped to
// take requests it has to be asked.
func (s *spawn) connected(ctx context.Context) error {
	hearing, deafen := context.WithCancelCause(ctx)
	defer deafen(nil)
	defer context.AfterFunc(s.deaf, func() { deafen(errDeaf) })()
	err := s.plugged.wait(hearing)
	if !errors.Is(err, errDeaf) {
		return err
	}
	for {
		vifs, err := s.readPorts(ctx, network.RefreshRequest{Current: s.vifs})
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(vifs, func(v network.VIF) bool { return !v.Active }) {
			return nil
		}
		select {
		case <-time.After(askPortsAgain):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// letGo resumes a guest that was started with its CPUs standing still.
func (s *spawn) letGo(ctx context.Context) error {
	err := s.hypervisor.Resume(ctx, s.inst.UUID())
	if errors.Is(err, hypervisor.ErrInvalidState) {
		return nil
	}
	return err
}
