package netplug

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/sirupsen/logrus"
)

const (
	// DatapathSystem is the kernel's datapath, DatapathNetdev the one in userspace.
	DatapathSystem = "system"
	DatapathNetdev = "netdev"

	// deadVLAN is what Neutron's agent takes to mean "not connected yet".
	deadVLAN = 4095
	// trunkBridge begins the name of a bridge that Neutron's agent makes for
	// the VLANs of one port.
	trunkBridge = "tbr-"
)

// openVSwitch connects ports to Open vSwitch.
//
// The switch's port is made before the guest starts and says whose it is
// (iface-id). Neutron's agent, or OVN, sees it, gives it its VLAN or its flows,
// and reports the port active. The tap itself is libvirt's, as with Linux
// bridges, and Open vSwitch takes it once it appears.
type openVSwitch struct {
	links   links
	vswitch vswitch
	sys     sysfs
	options OVSOptions
	log     *logrus.Entry
}

// OVSOptions says how ports of Open vSwitch are made on this host.
type OVSOptions struct {
	// Connection is where the switch's database answers: "unix:PATH",
	// "tcp:HOST:PORT" or "ssl:HOST:PORT".
	Connection string
	TLS        TLSFiles
	// Timeout bounds one change of the database, with the waiting for a database
	// that is just restarting; 0 leaves it to the context.
	Timeout time.Duration
	// MTU in bytes, for a network that has none of its own.
	MTU int
	// Isolate keeps a new port on a VLAN that leads nowhere until Neutron's
	// agent gives it its own. OVN does not know of that VLAN.
	Isolate bool
	// PerPortBridge gives each port a bridge of its own that is patched to the
	// integration bridge, where it stays while the guest's tap comes and goes.
	PerPortBridge bool
}

var _ Plugger = (*openVSwitch)(nil)

// Ensure makes the switch's port of p, and what is between it and the tap.
func (o *openVSwitch) Ensure(ctx context.Context, p Port) error {
	if p.Elsewhere {
		return nil
	}
	if p.Bridge == "" {
		return errNoBridge
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	switch {
	case p.hybrid():
		if err := o.ensureHybrid(p); err != nil {
			return err
		}
	case p.offloaded():
		var err error
		if p.Device, err = o.ensureRepresentor(p); err != nil {
			return err
		}
	}
	return o.vswitch.Ensure(ctx, o.state(p))
}

// state is what Open vSwitch should have of p.
func (o *openVSwitch) state(p Port) switchState {
	bridge := switchBridge{Name: p.Bridge, Datapath: p.Switch.Datapath}
	if bridge.Datapath == "" {
		bridge.Datapath = DatapathSystem
	}
	port := switchPort{Name: p.Device, Bridge: p.Bridge, IDs: p.externalIDs()}
	if o.options.Isolate {
		port.Tag = deadVLAN
	}
	switch {
	case p.VIFType == VIFVHostUser:
		if p.Switch.Datapath == "" {
			bridge.Datapath = DatapathNetdev // no other knows vhost-user
		}
		port.Name, port.MTU = deviceName("vhu", p.ID), o.mtu(p)
		port.Type = "dpdkvhostuserclient"
		if p.Socket.Client {
			port.Type = "dpdkvhostuser"
		} else {
			port.Options = map[string]string{"vhost-server-path": p.Socket.Path}
		}
	case p.offloaded(): // the kernel's datapath is what cards are offered
		bridge.Datapath = DatapathSystem
	case p.hybrid():
		port.Name = deviceName("qvo", p.ID)
	case o.options.PerPortBridge:
		return perPortBridge(p, bridge, port)
	case p.Switch.ByLibvirt:
		return switchState{Bridges: []switchBridge{bridge}}
	}
	return switchState{Bridges: []switchBridge{bridge}, Ports: []switchPort{port}}
}

// perPortBridge puts the tap on a bridge of p's own. Neutron's agent is to see
// the patch that leads there from the integration bridge.
func perPortBridge(p Port, bridge switchBridge, port switchPort) switchState {
	own := switchBridge{Name: deviceName("pb", p.ID), Datapath: bridge.Datapath}
	here, there := patchNames(p)
	tap := switchPort{Name: p.Device, Bridge: own.Name}
	port.Name, port.Type, port.Options = there, "patch", map[string]string{"peer": here}
	patch := switchPort{Name: here, Bridge: own.Name, Type: "patch", Options: map[string]string{"peer": there}}
	return switchState{Bridges: []switchBridge{bridge, own}, Ports: []switchPort{tap, port, patch}}
}

// patchNames are the two ends of the patch between p's own bridge and the
// integration bridge. They are no links, so their names may be long.
func patchNames(p Port) (own, integration string) { return "pbp" + p.ID, "ibp" + p.ID }

func (p Port) externalIDs() map[string]string {
	return map[string]string{idInterface: p.interfaceID(), idStatus: "active", idMAC: p.MAC, idInstance: p.InstanceUUID}
}

func (o *openVSwitch) mtu(p Port) int {
	if p.MTU == 0 {
		return o.options.MTU
	}
	return p.MTU
}

// Remove takes away all that a port can have had on the switch, in whatever way
// it was connected: that may have changed while the guest ran.
func (o *openVSwitch) Remove(ctx context.Context, p Port) error {
	if p.Elsewhere {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	_, patch := patchNames(p)
	gone := switchRemoval{
		Owner:   p.interfaceID(),
		Ports:   []string{p.Device, deviceName("qvo", p.ID), deviceName("vhu", p.ID), patch},
		Bridges: []string{deviceName("pb", p.ID)},
	}
	if strings.HasPrefix(p.Bridge, trunkBridge) {
		gone.Bridges = append(gone.Bridges, p.Bridge)
	}
	representor, err := o.findRepresentor(p)
	if err != nil {
		return err
	}
	if representor != "" {
		gone.Ports = append(gone.Ports, representor)
	}
	// The links go in any case: an unreachable database must not keep them. The
	// port goes first, or the switch would look for the link that vanished.
	return errors.Join(
		o.vswitch.Remove(ctx, gone), o.removeHybrid(p), removeTap(o.links, p, o.log), o.setDown(representor))
}
