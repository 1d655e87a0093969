package domainxml

import (
	"testing"

	"libvirt.org/go/libvirtxml"
)

func TestSEV(t *testing.T) {
	g := full()
	g.SEV = SEV{CBitPos: 47, ReducedPhysBits: 1, Policy: 0x33}
	g.Controllers = append(g.Controllers, Controller{Type: "scsi", Model: "virtio-scsi"})
	d := build(t, g)
	same(t, &libvirtxml.DomainLaunchSecurity{SEV: &libvirtxml.DomainLaunchSecuritySEV{
		CBitPos: new(uint(47)), ReducedPhysBits: new(uint(1)), Policy: new(uint(0x33)),
	}}, d.LaunchSecurity)
	dev := d.Devices
	same(t, &libvirtxml.DomainInterfaceDriver{IOMMU: "on"}, dev.Interfaces[0].Driver)
	same(t, &libvirtxml.DomainVideoDriver{IOMMU: "on"}, dev.Videos[0].Driver)
	same(t, &libvirtxml.DomainRNGDriver{IOMMU: "on"}, dev.RNGs[0].Driver)
	same(t, &libvirtxml.DomainMemBalloonDriver{IOMMU: "on"}, dev.MemBalloon.Driver)
	same(t, &libvirtxml.DomainControllerDriver{IOMMU: "on"}, dev.Controllers[1].Driver)
	same(t, nil, dev.Controllers[0].Driver) // USB is no virtio device
	same(t, "on", dev.Disks[0].Driver.IOMMU)
}
