package domainxml

import (
	"errors"
	"net"

	"libvirt.org/go/libvirtxml"
)

// Interface is one network card of the guest.
type Interface struct {
	MAC         string          // required
	Source      InterfaceSource // required: what it is connected to on the host
	Model       string          // "virtio", "e1000", "rtl8139"; empty is the hypervisor's default
	Driver      InterfaceDriver
	Target      Target
	MTU         uint // bytes; set on the tap and, with virtio, told to the guest
	VLAN        uint // tag put on by the card (SR-IOV)
	OpenVSwitch OpenVSwitchPort
	Filter      Filter
	Inbound     Rate // towards the guest
	Outbound    Rate // from the guest
}

// Target is the tap device of the card on the host.
type Target struct {
	Device    string
	Unmanaged bool // it exists already, and libvirt is to leave it so; known to libvirt from 9.5 on
}

// InterfaceDriver tunes the host's side of a virtio card.
type InterfaceDriver struct {
	Name        string // "vhost" in the kernel, "qemu" in QEMU
	Queues      uint   // queue pairs
	RXQueueSize uint   // descriptors, a power of two from 256 to 1024
	TXQueueSize uint   // as RXQueueSize, for vhost-user
}

// Filter is one of libvirt's network filters with its parameters.
type Filter struct {
	Name   string
	Params []FilterParam
}

// FilterParam is one parameter of a filter.
type FilterParam struct {
	Name, Value string
}

func (n Interface) check() error {
	if n.Source == nil {
		return errors.New("no source")
	}
	_, err := net.ParseMAC(n.MAC)
	return err
}

func (n Interface) build() libvirtxml.DomainInterface {
	out := libvirtxml.DomainInterface{
		MAC:         &libvirtxml.DomainInterfaceMAC{Address: n.MAC},
		Source:      n.Source.interfaceSource(),
		VirtualPort: n.OpenVSwitch.build(),
		Bandwidth:   buildBandwidth(n.Inbound, n.Outbound),
	}
	if _, ok := n.Source.(VirtualFunction); ok {
		out.Managed = "yes"
	}
	if n.Model != "" {
		out.Model = &libvirtxml.DomainInterfaceModel{Type: n.Model}
	}
	if n.Driver != (InterfaceDriver{}) {
		out.Driver = &libvirtxml.DomainInterfaceDriver{
			Name: n.Driver.Name, Queues: n.Driver.Queues,
			RXQueueSize: n.Driver.RXQueueSize, TXQueueSize: n.Driver.TXQueueSize,
		}
	}
	if n.Target.Device != "" {
		out.Target = &libvirtxml.DomainInterfaceTarget{Dev: n.Target.Device}
		if n.Target.Unmanaged {
			out.Target.Managed = "no"
		}
	}
	if n.MTU != 0 {
		out.MTU = &libvirtxml.DomainInterfaceMTU{Size: n.MTU}
	}
	if n.VLAN != 0 {
		out.VLan = &libvirtxml.DomainInterfaceVLan{Tags: []libvirtxml.DomainInterfaceVLanTag{{ID: n.VLAN}}}
	}
	if n.Filter.Name != "" {
		out.FilterRef = &libvirtxml.DomainInterfaceFilterRef{
			Filter: n.Filter.Name,
			Parameters: each(n.Filter.Params, func(p FilterParam) libvirtxml.DomainInterfaceFilterParam {
				return libvirtxml.DomainInterfaceFilterParam{Name: p.Name, Value: p.Value}
			}),
		}
	}
	return out
}
