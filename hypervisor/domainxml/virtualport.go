package domainxml

import "libvirt.org/go/libvirtxml"

// OpenVSwitchPort ties the card of a guest to its record in Open vSwitch. The zero value leaves it out.
type OpenVSwitchPort struct {
	InterfaceID string // external id "iface-id" of the port
}

func (p OpenVSwitchPort) build() *libvirtxml.DomainInterfaceVirtualPort {
	if p == (OpenVSwitchPort{}) {
		return nil
	}
	return &libvirtxml.DomainInterfaceVirtualPort{Params: &libvirtxml.DomainInterfaceVirtualPortParams{
		OpenVSwitch: &libvirtxml.DomainInterfaceVirtualPortParamsOpenVSwitch{InterfaceID: p.InterfaceID},
	}}
}
