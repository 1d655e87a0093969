package domainxml

import "libvirt.org/go/libvirtxml"

// InterfaceSource is the host's side of a card: Bridge, Ethernet, VHostUser, Direct, VirtualFunction or VDPA.
type InterfaceSource interface {
	interfaceSource() *libvirtxml.DomainInterfaceSource
}

// Bridge is the name of the host bridge (or, with an OpenVSwitch port, the switch) that libvirt adds the tap to.
type Bridge string

// Ethernet is a tap device that somebody else connects.
type Ethernet struct{}

// VHostUser is a socket shared with a userspace switch.
type VHostUser struct {
	Path string
	Mode string // "client" or "server", as seen from QEMU
}

// Direct is a macvtap over a host interface.
type Direct struct {
	Device string
	Mode   string // "passthrough", "vepa", "bridge", "private"
}

// VirtualFunction is an SR-IOV function handed to the guest, libvirt setting its MAC address and VLAN.
type VirtualFunction PCIAddress

// VDPA is the path of a vhost-vdpa character device.
type VDPA string

func (b Bridge) interfaceSource() *libvirtxml.DomainInterfaceSource {
	return &libvirtxml.DomainInterfaceSource{Bridge: &libvirtxml.DomainInterfaceSourceBridge{Bridge: string(b)}}
}

func (Ethernet) interfaceSource() *libvirtxml.DomainInterfaceSource {
	return &libvirtxml.DomainInterfaceSource{Ethernet: &libvirtxml.DomainInterfaceSourceEthernet{}}
}

func (v VHostUser) interfaceSource() *libvirtxml.DomainInterfaceSource {
	return &libvirtxml.DomainInterfaceSource{VHostUser: &libvirtxml.DomainInterfaceSourceVHostUser{
		Chardev: &libvirtxml.DomainChardevSource{
			UNIX: &libvirtxml.DomainChardevSourceUNIX{Mode: v.Mode, Path: v.Path},
		},
	}}
}

func (d Direct) interfaceSource() *libvirtxml.DomainInterfaceSource {
	return &libvirtxml.DomainInterfaceSource{
		Direct: &libvirtxml.DomainInterfaceSourceDirect{Dev: d.Device, Mode: d.Mode},
	}
}

func (f VirtualFunction) interfaceSource() *libvirtxml.DomainInterfaceSource {
	return &libvirtxml.DomainInterfaceSource{Hostdev: &libvirtxml.DomainInterfaceSourceHostdev{
		PCI: &libvirtxml.DomainHostdevSubsysPCISource{Address: PCIAddress(f).build()},
	}}
}

func (v VDPA) interfaceSource() *libvirtxml.DomainInterfaceSource {
	return &libvirtxml.DomainInterfaceSource{VDPA: &libvirtxml.DomainInterfaceSourceVDPA{Device: string(v)}}
}
