package domainxml

import "libvirt.org/go/libvirtxml"

// HostDevice is a device of the host handed to the guest: PCIDevice or MediatedDevice.
type HostDevice interface {
	hostDevice() libvirtxml.DomainHostdev
}

// PCIDevice is a whole PCI function, which libvirt takes from its host driver and gives back.
type PCIDevice PCIAddress

// MediatedDevice is the UUID of a slice of a device, such as a virtual GPU.
type MediatedDevice string

func buildHostDevice(d HostDevice) libvirtxml.DomainHostdev { return d.hostDevice() }

func (p PCIDevice) hostDevice() libvirtxml.DomainHostdev {
	return libvirtxml.DomainHostdev{
		Managed: "yes",
		SubsysPCI: &libvirtxml.DomainHostdevSubsysPCI{
			Source: &libvirtxml.DomainHostdevSubsysPCISource{Address: PCIAddress(p).build()},
		},
	}
}

func (uuid MediatedDevice) hostDevice() libvirtxml.DomainHostdev {
	return libvirtxml.DomainHostdev{
		Managed: "no",
		SubsysMDev: &libvirtxml.DomainHostdevSubsysMDev{
			Model:  "vfio-pci",
			Source: &libvirtxml.DomainHostdevSubsysMDevSource{Address: &libvirtxml.DomainAddressMDev{UUID: string(uuid)}},
		},
	}
}
