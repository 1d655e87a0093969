package domainxml

import "libvirt.org/go/libvirtxml"

// SEV encrypts the guest's memory with a key that the host cannot read (AMD Secure Encrypted Virtualization). The
// zero value leaves it out.
type SEV struct {
	CBitPos         uint // address bit that marks an encrypted page, from the host's capabilities
	ReducedPhysBits uint // address bits lost to the guest, from the host's capabilities
	Policy          uint // what the platform allows, as AMD's SEV API specification numbers it
}

// build adds SEV to d, and makes its virtio devices go through the IOMMU: they could not reach encrypted memory
// otherwise.
func (s SEV) build(d *libvirtxml.Domain) {
	if s == (SEV{}) {
		return
	}
	d.LaunchSecurity = &libvirtxml.DomainLaunchSecurity{SEV: &libvirtxml.DomainLaunchSecuritySEV{
		CBitPos: new(s.CBitPos), ReducedPhysBits: new(s.ReducedPhysBits), Policy: new(s.Policy),
	}}
	for i := range d.Devices.Disks {
		if disk := &d.Devices.Disks[i]; disk.Target.Bus == "virtio" {
			disk.Driver.IOMMU = "on"
		}
	}
	for i := range d.Devices.Interfaces {
		if nic := &d.Devices.Interfaces[i]; nic.Model != nil && nic.Model.Type == "virtio" {
			if nic.Driver == nil {
				nic.Driver = &libvirtxml.DomainInterfaceDriver{}
			}
			nic.Driver.IOMMU = "on"
		}
	}
	for i := range d.Devices.Controllers {
		if c := &d.Devices.Controllers[i]; c.Model == "virtio-scsi" || c.Type == "virtio-serial" {
			c.Driver = &libvirtxml.DomainControllerDriver{IOMMU: "on"}
		}
	}
	for i := range d.Devices.Videos {
		if v := &d.Devices.Videos[i]; v.Model.Type == "virtio" {
			v.Driver = &libvirtxml.DomainVideoDriver{IOMMU: "on"}
		}
	}
	for i := range d.Devices.RNGs {
		d.Devices.RNGs[i].Driver = &libvirtxml.DomainRNGDriver{IOMMU: "on"}
	}
	if b := d.Devices.MemBalloon; b != nil && b.Model == "virtio" {
		b.Driver = &libvirtxml.DomainMemBalloonDriver{IOMMU: "on"}
	}
}
