package domainxml

import (
	"testing"

	"libvirt.org/go/libvirtxml"
)

func TestHostDevices(t *testing.T) {
	g := smallest()
	g.HostDevices = []HostDevice{PCIDevice{Domain: 1, Bus: 0x3b, Slot: 2, Function: 1}, MediatedDevice("m")}
	same(t, []libvirtxml.DomainHostdev{
		{Managed: "yes", SubsysPCI: &libvirtxml.DomainHostdevSubsysPCI{Source: &libvirtxml.DomainHostdevSubsysPCISource{
			Address: &libvirtxml.DomainAddressPCI{Domain: new(uint(1)), Bus: new(uint(0x3b)), Slot: new(uint(2)), Function: new(uint(1))},
		}}},
		{Managed: "no", SubsysMDev: &libvirtxml.DomainHostdevSubsysMDev{
			Model: "vfio-pci", Source: &libvirtxml.DomainHostdevSubsysMDevSource{Address: &libvirtxml.DomainAddressMDev{UUID: "m"}},
		}},
	}, build(t, g).Devices.Hostdevs)
}
