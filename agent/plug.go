package agent

import (
	"context"
	"errors"

	"bolide/agent/guest"
	"bolide/agent/network"
	"bolide/netplug"
	"bolide/rpc/nova"
)

// plugPort is what the host has to know of a port to plug it.
func (t *task) plugPort(v network.VIF) netplug.Port {
	p := netplug.Port{
		ID: v.ID, MAC: v.Address, InstanceUUID: t.inst.UUID(),
		Device: v.DevName, VIFType: netplug.VIFType(v.Type), VNICType: v.VNICType,
	}
	if p.Device == "" {
		p.Device = netplug.DeviceName(v.ID)
	}
	if n := v.Network; n != nil {
		p.NetworkID, p.Bridge, p.MTU = n.ID, n.Bridge, n.MTU()
	}
	p.Switch = netplug.SwitchPort{
		InterfaceID: v.OVSInterfaceID, Datapath: v.Datapath(), Hybrid: v.HybridPlug(), ByLibvirt: !v.DelegateCreate,
	}
	switch v.Type {
	case network.TypeVHostUser:
		describeVHostUser(&p, v.Details)
	case network.TypeMacvtap:
		if id := v.VLAN(); id != 0 {
			p.Device = v.Details.Str("macvtap_source")
			p.VLAN = netplug.VLAN{ID: id, Parent: v.Details.Str("physical_interface")}
		}
	case network.TypeBridge:
		p.Unfiltered = !v.PortFilter() && v.Network != nil && v.Network.ShouldCreateBridge()
	case network.TypeOVS:
		p.Function.Address = v.Profile.Str("pci_slot") // of a port that a card switches
	case network.TypeHWVEB:
		p.Function = netplug.Function{
			Address: v.Profile.Str("pci_slot"), VLAN: v.VLAN(), Trusted: v.Trusted(),
		}
	case network.TypeTap:
		p.Tap = netplug.Tap{MAC: v.Details.Str("mac_address"), Multiqueue: t.multiqueue()}
	}
	return p
}

// describeVHostUser says who connects a vhost-user port: Open vSwitch, a program that finds the socket by itself, or
// the plug-in of a vendor, which there is none of here.
func describeVHostUser(p *netplug.Port, d network.Dict) {
	p.Socket = netplug.Socket{Path: d.Str("vhostuser_socket"), Client: d.Str("vhostuser_mode") == "client"}
	switch {
	case d.Bool("vhostuser_fp_plug"):
		p.VIFType = "vhostuser_fp"
	case d.Bool("vhostuser_ovs_plug"):
	case d.Bool("vhostuser_vrouter_plug"):
		p.VIFType = "vhostuser_vrouter"
	default:
		p.Elsewhere = true
	}
}

// multiqueue is whether the guest's taps have a queue for each CPU. A contradiction between flavor and image is for
// the guest's description to refuse.
func (t *task) multiqueue() bool {
	r := guest.Request{Settings: t.guestSettings(), Instance: *t.inst, Image: t.inst.Image()}
	multi, err := guest.Multiqueue(r)
	return err == nil && multi
}

// plug makes every port real on the host.
func (t *task) plug(ctx context.Context, vifs network.Info) error {
	for _, v := range vifs {
		if err := t.net.Ensure(ctx, t.plugPort(v)); err != nil {
			return plugError(err)
		}
	}
	return nil
}

// unplug takes the guest's ports off the host.
func (t *task) unplug(ctx context.Context, vifs network.Info) error {
	var errs []error
	for _, vif := range vifs {
		errs = append(errs, t.net.Remove(ctx, t.plugPort(vif)))
	}
	return errors.Join(errs...)
}

// plugError makes Nova's exception of a port that cannot be made on this host, with the words that Nova's own node
// has for it.
func plugError(err error) error {
	var unsupported *netplug.UnsupportedError
	if errors.As(err, &unsupported) {
		return nova.NewErrorText("InternalError", "Unexpected vif_type="+string(unsupported.VIFType)).Because(err)
	}
	return err
}
