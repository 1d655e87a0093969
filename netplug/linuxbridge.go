package netplug

import (
	"context"

	"github.com/sirupsen/logrus"
)

// linuxBridge connects ports to one Linux bridge per network, as Neutron's
// linuxbridge agent expects it.
//
// The work is shared among four parties. Nova's node (here: Ensure) makes sure
// that the bridge is there, because libvirt refuses to start a guest without
// it. libvirt makes the tap, gives it the MTU of the domain XML, puts it on the
// bridge, and removes it with the guest. Neutron's agent sees the tap, connects
// the bridge to the physical network and reports the port active. And it is
// Neutron's agent that removes the bridge when the network is deleted: a bridge
// belongs to its network, never to a port.
//
// The bridge's MTU is left to the kernel, which keeps it at the smallest of the
// ports'; setting it would end that.
type linuxBridge struct {
	links      links
	forwarding *forwarding
	log        *logrus.Entry
}

var _ Plugger = (*linuxBridge)(nil)

// Ensure makes sure that p's bridge is there and up, and that the host's packet filter
// lets it forward where Neutron does not filter.
func (l *linuxBridge) Ensure(ctx context.Context, p Port) error {
	if p.Bridge == "" {
		return errNoBridge
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	added, err := ensureBridge(l.links, p.Bridge, bridgeOptions{})
	if added {
		l.log.WithFields(p.fields()).WithField("bridge", p.Bridge).Debug("bridge added")
	}
	if err != nil || !p.Unfiltered {
		return err
	}
	return l.forwarding.ensure(ctx, p.Bridge)
}

// Remove deletes the tap if its guest left one behind. A link of that name that
// is no tap is not ours, and one that a guest does not let go of is still its.
func (l *linuxBridge) Remove(ctx context.Context, p Port) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if tap, err := l.links.Get(p.Device); err == nil && tap.Kind == kindTap && tap.InUse {
		l.log.WithFields(p.fields()).WithField("device", p.Device).Warn("tap is in use and stays")
		return nil
	}
	return removeTap(l.links, p, l.log)
}
