package netplug

import (
	"context"
	"errors"
	"fmt"

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
	links links
	log   *logrus.Entry
}

var _ Plugger = (*linuxBridge)(nil)

// Ensure makes sure that p's bridge is there and up. A bridge that is up is
// left as it is, for then it is complete, or not ours. One that is down was not
// finished: its settings are made again before it is set up.
func (l *linuxBridge) Ensure(ctx context.Context, p Port) error {
	if p.Bridge == "" {
		return errors.New("port has no bridge")
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	br, err := l.bridge(p.Bridge)
	if errors.Is(err, errNoLink) {
		br, err = l.addBridge(p)
	}
	if err != nil {
		return err
	}
	if br.Up {
		return nil
	}
	// Before it is up, or the kernel gives it a link-local address at once.
	if err := l.links.Isolate(p.Bridge); err != nil {
		return fmt.Errorf("isolate bridge %s: %w", p.Bridge, err)
	}
	if err := l.links.Up(p.Bridge); err != nil {
		return fmt.Errorf("set bridge %s up: %w", p.Bridge, err)
	}
	return nil
}

// addBridge makes p's bridge, or takes the one that another build or Neutron's
// agent made in the meantime.
func (l *linuxBridge) addBridge(p Port) (link, error) {
	err := l.links.AddBridge(p.Bridge)
	if err != nil && !errors.Is(err, errLinkExists) {
		return link{}, fmt.Errorf("add bridge %s: %w", p.Bridge, err)
	}
	if err == nil {
		l.log.WithFields(logrus.Fields{"instance": p.InstanceUUID, "port": p.ID, "bridge": p.Bridge}).
			Debug("bridge added")
	}
	return l.bridge(p.Bridge)
}

// bridge returns the link of that name if it is a bridge.
func (l *linuxBridge) bridge(name string) (link, error) {
	br, err := l.links.Get(name)
	if err != nil {
		return link{}, fmt.Errorf("look up bridge %s: %w", name, err)
	}
	if br.Kind != "bridge" {
		return link{}, fmt.Errorf("look up bridge %s: it is a %s", name, br.Kind)
	}
	return br, nil
}

// Remove deletes the tap if its guest left one behind. libvirt removes the taps
// it makes, so there is one only after a crash, or when something made it last
// beyond its guest. A link of that name that is no tap is not ours.
func (l *linuxBridge) Remove(ctx context.Context, p Port) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	tap, err := l.links.Get(p.Device)
	if errors.Is(err, errNoLink) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look up %s: %w", p.Device, err)
	}
	if tap.Kind != "tun" {
		return nil
	}
	if err := l.links.Delete(p.Device); err != nil && !errors.Is(err, errNoLink) {
		return fmt.Errorf("delete tap %s: %w", p.Device, err)
	}
	l.log.WithFields(logrus.Fields{"instance": p.InstanceUUID, "port": p.ID, "device": p.Device}).
		Info("left-over tap deleted")
	return nil
}
