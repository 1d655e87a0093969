// Package netplug makes the ports of guests real on the host: it gives every
// port the bridge or switch port it needs before its guest starts, and takes
// away what is left of it when the guest is gone.
//
// It is declarative: Ensure compares a port with what the host has and changes
// only the difference, so it may be repeated at any time and picks up where a
// crash left off. What another program made (Neutron's agent, an administrator)
// is used as it is and never changed or removed.
//
// The package knows nothing of Nova or of messages; a Port is all it is told.
// It keeps no state besides the host's own and Open vSwitch's database, and no
// goroutine of it outlives a call; those of a connection to the database end
// soon after it is closed.
package netplug

import (
	"context"
	"fmt"

	"github.com/sirupsen/logrus"
)

// Plugger makes ports of one kind real.
//
// Both methods are safe for concurrent use, also for ports that share a bridge.
type Plugger interface {
	// Ensure brings the host to the state in which p's guest can start.
	// It is repeatable; calling it for a port in use does not disturb traffic.
	Ensure(ctx context.Context, p Port) error

	// Remove takes away what p alone needed. It is repeatable, succeeds when
	// nothing is left, and is called when no guest uses the port any more.
	Remove(ctx context.Context, p Port) error
}

// Options says how ports are made on this host.
type Options struct {
	OVS        OVSOptions
	Forwarding ForwardingOptions
	Log        *logrus.Entry // optional; where changes to the host are logged
}

// Net plugs ports of every kind that this host supports.
type Net struct {
	pluggers map[kindOfPort]Plugger
}

// kindOfPort is what decides how a port is made.
type kindOfPort struct {
	vif  VIFType
	vnic string
}

var _ Plugger = (*Net)(nil)

// New returns a Net for the network namespace of the calling thread.
func New(o Options) *Net {
	log := o.logger()
	return newNet(o, kernel{}, &database{options: o.OVS, letGo: letGo, log: log})
}

func newNet(o Options, links links, vswitch vswitch) *Net {
	log := o.logger()
	links = toldLinks{links, log}
	sys := sysfs{"/sys"}
	bridges := &linuxBridge{links: links, log: log, forwarding: &forwarding{options: o.Forwarding, links: links, sysctl: "/proc/sys/net/bridge"}}
	ovs := &openVSwitch{links: links, vswitch: vswitch, sys: sys, options: o.OVS, log: log}
	direct := &macvtap{links: links}
	vf := &virtualFunction{links: links, sys: sys}
	return &Net{pluggers: map[kindOfPort]Plugger{
		{VIFBridge, VNICNormal}:          bridges,
		{VIFOVS, VNICNormal}:             ovs,
		{VIFOVS, VNICDirect}:             ovs,
		{VIFOVS, VNICVDPA}:               ovs,
		{VIFOVS, VNICRemoteManaged}:      nothing{},
		{VIFAgilioOVS, VNICNormal}:       ovs,
		{VIFVHostUser, VNICNormal}:       ovs,
		{VIFTap, VNICNormal}:             &bareTap{links: links},
		{VIFMacvtap, VNICNormal}:         direct,
		{VIFMacvtap, VNICMacvtap}:        direct,
		{VIFHWVEB, VNICDirect}:           vf,
		{VIFHWVEB, VNICMacvtap}:          vf,
		{VIFHostdev, VNICDirectPhysical}: nothing{},
	}}
}

func (o Options) logger() *logrus.Entry {
	if o.Log != nil {
		return o.Log
	}
	quiet := logrus.New()
	quiet.SetLevel(logrus.PanicLevel)
	return logrus.NewEntry(quiet)
}

// nothing is for ports that need no more than what the domain XML says.
type nothing struct{}

func (nothing) Ensure(ctx context.Context, _ Port) error { return ctx.Err() }
func (nothing) Remove(ctx context.Context, _ Port) error { return ctx.Err() }

// UnsupportedError says that no port of this kind can be made on this host.
type UnsupportedError struct {
	VIFType  VIFType // as Neutron bound the port; may be "unbound" or "binding_failed"
	VNICType string
}

func (e *UnsupportedError) Error() string {
	return fmt.Sprintf("vif type %q with vnic type %q is not supported", e.VIFType, e.VNICType)
}

// Ensure implements Plugger. The error is an *UnsupportedError for a kind of
// port that cannot be made here, also for one that Neutron failed to bind.
func (n *Net) Ensure(ctx context.Context, p Port) error {
	if err := p.validate(); err != nil {
		return fmt.Errorf("plug port %s: %w", p.ID, err)
	}
	plugger, ok := n.pluggers[kindOfPort{p.VIFType, p.vnicType()}]
	if !ok {
		return fmt.Errorf("plug port %s: %w", p.ID, &UnsupportedError{VIFType: p.VIFType, VNICType: p.VNICType})
	}
	if err := plugger.Ensure(ctx, p); err != nil {
		return fmt.Errorf("plug port %s: %w", p.ID, err)
	}
	return nil
}

// Remove implements Plugger. A kind of port that is never made here leaves
// nothing, so its removal succeeds.
func (n *Net) Remove(ctx context.Context, p Port) error {
	if err := p.validate(); err != nil {
		return fmt.Errorf("unplug port %s: %w", p.ID, err)
	}
	plugger, ok := n.pluggers[kindOfPort{p.VIFType, p.vnicType()}]
	if !ok {
		return nil
	}
	if err := plugger.Remove(ctx, p); err != nil {
		return fmt.Errorf("unplug port %s: %w", p.ID, err)
	}
	return nil
}
