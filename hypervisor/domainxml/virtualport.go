package domainxml

import "libvirt.org/go/libvirtxml"

// VirtualPort describes the switch port: OpenVSwitchPort, VEPAPort or VNTagPort.
type VirtualPort interface {
	virtualPort() *libvirtxml.DomainInterfaceVirtualPortParams
}

// OpenVSwitchPort is the external id "iface-id" of the port.
type OpenVSwitchPort string

// VEPAPort is an IEEE 802.1Qbg port.
type VEPAPort struct {
	ManagerID, TypeID, TypeVersion uint
	InstanceID                     string
}

// VNTagPort is the port profile of an IEEE 802.1Qbh port.
type VNTagPort string

func (id OpenVSwitchPort) virtualPort() *libvirtxml.DomainInterfaceVirtualPortParams {
	return &libvirtxml.DomainInterfaceVirtualPortParams{
		OpenVSwitch: &libvirtxml.DomainInterfaceVirtualPortParamsOpenVSwitch{InterfaceID: string(id)},
	}
}

func (p VEPAPort) virtualPort() *libvirtxml.DomainInterfaceVirtualPortParams {
	return &libvirtxml.DomainInterfaceVirtualPortParams{
		VEPA8021QBG: &libvirtxml.DomainInterfaceVirtualPortParamsVEPA8021QBG{
			ManagerID: new(p.ManagerID), TypeID: new(p.TypeID), TypeIDVersion: new(p.TypeVersion), InstanceID: p.InstanceID,
		},
	}
}

func (profile VNTagPort) virtualPort() *libvirtxml.DomainInterfaceVirtualPortParams {
	return &libvirtxml.DomainInterfaceVirtualPortParams{
		VNTag8011QBH: &libvirtxml.DomainInterfaceVirtualPortParamsVNTag8021QBH{ProfileID: string(profile)},
	}
}
