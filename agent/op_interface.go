package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"libvirt.org/go/libvirtxml"

	"bolide/agent/guest"
	"bolide/agent/journal"
	"bolide/agent/network"
	"bolide/hypervisor"
	"bolide/hypervisor/domainxml"
	"bolide/rpc/nova"
)

// detachAgain is how often a guest that holds on to a device is asked again to let it go.
const detachAgain = 5 * time.Second

// opAttachInterface gives a guest one more port: POST /servers/{id}/os-interface.
func opAttachInterface(*Agent) operation {
	return operation{
		method: "attach_interface", event: "compute_attach_interface",
		queued: true, interruptible: true, keepsFault: true,
		do: func(ctx context.Context, t *task) (any, error) {
			var want struct{ network, port, address, tag *string }
			for name, into := range map[string]**string{
				"network_id": &want.network, "port_id": &want.port, "requested_ip": &want.address, "tag": &want.tag,
			} {
				if err := t.req.OptionalArg(name, into); err != nil {
					return nil, err
				}
			}
			s, err := t.existing(ctx)
			if err != nil {
				return nil, err
			}
			a := &attachment{spawn: s, want: network.Requested{
				NetworkID: orEmpty(want.network), PortID: orEmpty(want.port), Address: orEmpty(want.address), Tag: orEmpty(want.tag),
			}}
			t.inform(ctx, newsAttachPort, phaseStart, detail{})
			if err := t.run(ctx, a.steps()); err != nil {
				if a.vif.ID != "" { // it had a port, and the host failed
					t.inform(ctx, newsAttachPort, phaseError, detail{fault: err})
				}
				return nil, attachError(t.inst.UUID(), err)
			}
			t.inform(ctx, newsAttachPort, phaseEnd, detail{})
			return a.vif, nil
		},
	}
}

func orEmpty(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// attachment is what the steps of an attach share.
type attachment struct {
	*spawn
	want network.Requested
	vif  network.VIF
}

func (a *attachment) steps() []step {
	return []step{
		{name: "port", do: a.allocate, undo: a.release},
		{name: "plug", do: func(ctx context.Context) error { return a.plug(ctx, network.Info{a.vif}) },
			undo: func(ctx context.Context) error { return a.unplug(ctx, network.Info{a.vif}) }},
		{name: "attach", do: a.attach, undo: func(ctx context.Context) error { return a.detachVIF(ctx, a.vif) }},
		{name: "record", do: a.record},
	}
}

// allocate makes or takes the port and binds it to this host.
func (a *attachment) allocate(ctx context.Context) error {
	a.page.Note(func(r *journal.Record) {
		r.Ports = &journal.Ports{Before: a.vifs.PortIDs(), Foreign: foreignPorts([]network.Requested{a.want})}
	})
	out, err := a.ports.AllocatePort(ctx, a.id, network.AllocateRequest{
		InstanceUUID: a.inst.UUID(), ProjectID: a.inst.ProjectID(), Hostname: a.inst.Hostname(),
		AvailabilityZone: a.inst.AvailabilityZone(), Host: a.cfg.Default.Host,
		Requested: []network.Requested{a.want}, Current: a.vifs, Records: vifRecords{a.cond},
	})
	if err != nil {
		return portError(err)
	}
	if len(out.New) != 1 {
		return nova.NewError("InterfaceAttachFailed", map[string]any{"instance_uuid": a.inst.UUID()})
	}
	a.vif, a.vifs = out.New[0], out.All
	return a.cachePorts(ctx, a.vifs)
}

func (a *attachment) release(ctx context.Context) error {
	if a.vif.ID == "" {
		return nil
	}
	return a.givePortBack(ctx, a.vifs, a.vif.ID)
}

// attach plugs the card into the definition and, if the guest runs, into the guest.
func (a *attachment) attach(ctx context.Context) error {
	r, err := a.request(ctx)
	if err != nil {
		return err
	}
	nic, err := guest.Interface(r, a.vif)
	if err != nil {
		return err
	}
	xml, err := domainxml.InterfaceXML(nic)
	if err != nil {
		return fmt.Errorf("describe the card of port %s: %w", a.vif.ID, err)
	}
	power, err := a.powerNow(ctx)
	if err != nil {
		return err
	}
	live := power == nova.PowerRunning || power == nova.PowerPaused
	if err := a.hypervisor.AttachDevice(ctx, a.inst.UUID(), xml, hypervisor.DeviceOptions{Live: live, Config: true}); err != nil {
		return a.guestError(err)
	}
	return nil
}

// record saves what the new card changes of the instance.
func (a *attachment) record(ctx context.Context) error {
	if err := a.findTags(ctx); err != nil {
		return err
	}
	if err := a.cond.SaveInstance(ctx, a.inst, nova.Expect{}); err != nil {
		return err
	}
	a.showPorts(ctx, a.vifs)
	return nil
}

// showPorts renews the guest's metadata, in which operators' tools read which ports it has. Where that fails they are
// told at the next start.
func (t *task) showPorts(ctx context.Context, vifs network.Info) {
	if err := t.renewMetadata(ctx, vifs); err != nil {
		t.log.WithError(err).Warn("guest's metadata not renewed")
	}
}

func (t *task) renewMetadata(ctx context.Context, vifs network.Info) error {
	s := &spawn{task: t, meta: t.inst.Image(), vifs: vifs}
	r, err := s.request(ctx)
	if err != nil {
		return err
	}
	power, err := t.powerNow(ctx)
	if err != nil {
		return err
	}
	m := hypervisor.Metadata{Namespace: guest.MetadataNamespace, Key: guest.MetadataKey, XML: guest.Metadata(r)}
	return t.hypervisor.SetMetadata(ctx, t.inst.UUID(), m, hypervisor.DeviceOptions{Live: power == nova.PowerRunning || power == nova.PowerPaused, Config: true})
}

// attachError keeps the refusals of Neutron, which the API passes on to the user, and names everything else as
// Nova does.
func attachError(instance string, err error) error {
	if nova.ClassOf(err) != "" {
		return err
	}
	return nova.NewError("InterfaceAttachFailed", map[string]any{"instance_uuid": instance}).Because(err)
}

// opDetachInterface takes a port from a guest: DELETE /servers/{id}/os-interface/{port}.
func opDetachInterface(*Agent) operation {
	return operation{
		method: "detach_interface", event: "compute_detach_interface",
		queued: true, interruptible: true, keepsFault: true,
		do: func(ctx context.Context, t *task) (any, error) {
			var port string
			if err := t.req.Arg("port_id", &port); err != nil {
				return nil, err
			}
			if err := t.load(ctx); err != nil {
				return nil, err
			}
			vifs := t.cachedPorts()
			vif := vifs.Find(port)
			if vif == nil {
				return nil, nova.NewErrorText("PortNotFound", fmt.Sprintf("Port %s is not attached", port))
			}
			t.inform(ctx, newsDetachPort, phaseStart, detail{})
			t.page.Note(func(r *journal.Record) { r.Leaving = []string{port} })
			d := &detachment{task: t, vif: *vif, vifs: vifs}
			if err := t.run(ctx, d.steps()); err != nil {
				return nil, err
			}
			t.inform(ctx, newsDetachPort, phaseEnd, detail{})
			return nil, nil
		},
	}
}

// detachment is what the steps of a detach share.
type detachment struct {
	*task
	vif  network.VIF  // that goes
	vifs network.Info // all that the guest had
}

// steps of a detach. None is undone: it goes on where it stopped when it is asked for again.
func (d *detachment) steps() []step {
	return []step{
		{name: "detach", do: d.detach},
		{name: "give port back", do: func(ctx context.Context) error { return d.givePortBack(ctx, d.vifs, d.vif.ID) }},
		{name: "record", do: d.record},
	}
}

func (d *detachment) detach(ctx context.Context) error {
	if err := d.detachVIF(ctx, d.vif); err != nil {
		return nova.NewError("InterfaceDetachFailed", map[string]any{"instance_uuid": d.inst.UUID()}).Because(err)
	}
	return nil
}

func (d *detachment) record(ctx context.Context) error {
	if err := d.cond.SaveInstance(ctx, d.inst, nova.Expect{}); err != nil {
		return err
	}
	i := d.vifs.Index(d.vif.ID)
	d.showPorts(ctx, slices.Delete(d.vifs, i, i+1))
	return nil
}

// givePortBack deletes or frees one port and writes the others to the info cache.
func (t *task) givePortBack(ctx context.Context, vifs network.Info, port string) error {
	left, err := t.ports.DeallocatePort(ctx, t.id.Node(), network.DeallocatePortRequest{
		InstanceUUID: t.inst.UUID(), ProjectID: t.inst.ProjectID(), PortID: port, Current: vifs, Records: vifRecords{t.cond},
	})
	if err != nil {
		return portError(err)
	}
	return t.cachePorts(ctx, left.Info)
}

// detachVIF takes the port's card out of the guest and its definition, and the port off the host. A card that is not
// there is out. The port is unplugged whatever comes of the guest, as Nova's node does: what the guest then holds on to
// leads nowhere, but on a Linux bridge, until it is off.
func (t *task) detachVIF(ctx context.Context, v network.VIF) error {
	events, leave := t.hypervisor.Subscribe()
	defer leave()
	err := t.detachCard(ctx, v.Address, events)
	return errors.Join(err, t.unplug(ctx, network.Info{v}))
}

// detachCard asks the running guest to let the card go until its live definition no longer has it. libvirt's event
// tells at once when the guest has; but an event may be lost, and a guest that is booting does not hear the first
// question, so it is asked again every few seconds until its time is over.
func (t *task) detachCard(ctx context.Context, mac string, events <-chan hypervisor.Event) error {
	l := t.cfg.Libvirt
	ctx, cancel := context.WithTimeout(ctx, time.Duration(l.DeviceDetachAttempts)*l.DeviceDetachTimeout)
	defer cancel()
	_, err := t.dropCard(ctx, mac, hypervisor.XMLOptions{Inactive: true}, hypervisor.DeviceOptions{Config: true})
	if err != nil && !errors.Is(err, errNoCard) {
		return err
	}
	again := time.NewTicker(detachAgain)
	defer again.Stop()
	for {
		power, err := t.powerNow(ctx)
		if err != nil {
			return err
		}
		if power != nova.PowerRunning && power != nova.PowerPaused {
			return nil
		}
		alias, err := t.dropCard(ctx, mac, hypervisor.XMLOptions{}, hypervisor.DeviceOptions{Live: true})
		if errors.Is(err, errNoCard) {
			return nil
		}
		if err != nil && !errors.Is(err, hypervisor.ErrBusy) {
			return err
		}
		if err := t.awaitRemoval(ctx, alias, events, again.C); err != nil {
			return fmt.Errorf("guest does not let card %s go: %w", mac, err)
		}
	}
}

// errRefused says that the guest has refused to let a device go; asking again would not change its mind.
var errRefused = errors.New("the guest has refused")

// awaitRemoval waits for news of the guest's device with that alias, or until it is time to ask again.
func (t *task) awaitRemoval(ctx context.Context, alias string, events <-chan hypervisor.Event, again <-chan time.Time) error {
	for {
		select {
		case e := <-events:
			ours := e.UUID == t.inst.UUID()
			switch {
			case ours && e.Kind == hypervisor.EventDeviceRemovalFailed && e.Device == alias:
				return errRefused
			case e.Kind == hypervisor.EventResync, ours && (e.Kind == hypervisor.EventDeviceRemoved || e.Kind == hypervisor.EventStopped):
				return nil
			}
		case <-again:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// errNoCard says that a guest has no card of an address.
var errNoCard = errors.New("no such card")

// dropCard detaches the card from the live guest or its definition, whichever the options say; errNoCard when that one
// has it no longer. It returns the alias by which events name the card; "" for a definition.
func (t *task) dropCard(ctx context.Context, mac string, look hypervisor.XMLOptions, from hypervisor.DeviceOptions) (alias string, err error) {
	text, err := t.hypervisor.XML(ctx, t.inst.UUID(), look)
	if err != nil {
		return "", t.guestError(err)
	}
	d := &libvirtxml.Domain{Devices: &libvirtxml.DomainDeviceList{}}
	if err := d.Unmarshal(text); err != nil {
		return "", fmt.Errorf("read the domain of instance %s: %w", t.inst.UUID(), err)
	}
	for _, card := range d.Devices.Interfaces {
		if card.MAC == nil || card.MAC.Address != mac {
			continue
		}
		xml, err := card.Marshal()
		if err != nil {
			return "", fmt.Errorf("describe card %s: %w", mac, err)
		}
		if card.Alias != nil {
			alias = card.Alias.Name
		}
		err = t.hypervisor.DetachDevice(ctx, t.inst.UUID(), xml, from)
		if errors.Is(err, hypervisor.ErrDeviceNotFound) {
			err = errNoCard
		}
		return alias, err
	}
	return "", errNoCard
}
