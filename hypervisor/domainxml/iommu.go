package domainxml

import "libvirt.org/go/libvirtxml"

// IOMMU is a virtual IOMMU, with which the guest can hand devices to its own guests. The zero value leaves it out.
type IOMMU struct {
	Model        string // "intel", "smmuv3", "virtio"
	AddressWidth uint   // bits of an I/O address: 39 or 48
	ExtendedMode bool   // interrupts for more than 255 vcpus
}

func (i IOMMU) build() libvirtxml.DomainIOMMU {
	return libvirtxml.DomainIOMMU{
		Model: i.Model,
		Driver: &libvirtxml.DomainIOMMUDriver{
			IntRemap: "on", CachingMode: "on", IOTLB: "on", EIM: onOff(i.ExtendedMode), AWBits: i.AddressWidth,
		},
	}
}
