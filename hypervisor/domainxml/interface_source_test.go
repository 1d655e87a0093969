package domainxml

import (
	"testing"

	"libvirt.org/go/libvirtxml"
)

func TestInterfaceSources(t *testing.T) {
	for name, c := range map[string]struct {
		source InterfaceSource
		want   libvirtxml.DomainInterface
	}{
		"ethernet": {Ethernet{}, libvirtxml.DomainInterface{
			Source: &libvirtxml.DomainInterfaceSource{Ethernet: &libvirtxml.DomainInterfaceSourceEthernet{}},
		}},
		"vhost-user": {VHostUser{Path: "/sock", Mode: "client"}, libvirtxml.DomainInterface{
			Source: &libvirtxml.DomainInterfaceSource{VHostUser: &libvirtxml.DomainInterfaceSourceVHostUser{
				Chardev: &libvirtxml.DomainChardevSource{UNIX: &libvirtxml.DomainChardevSourceUNIX{Path: "/sock", Mode: "client"}},
			}},
		}},
		"direct": {Direct{Device: "eth1", Mode: "bridge"}, libvirtxml.DomainInterface{
			Source: &libvirtxml.DomainInterfaceSource{Direct: &libvirtxml.DomainInterfaceSourceDirect{Dev: "eth1", Mode: "bridge"}},
		}},
		"virtual function": {VirtualFunction{Bus: 0x81, Slot: 2, Function: 3}, libvirtxml.DomainInterface{
			Managed: "yes",
			Source: &libvirtxml.DomainInterfaceSource{Hostdev: &libvirtxml.DomainInterfaceSourceHostdev{
				PCI: &libvirtxml.DomainHostdevSubsysPCISource{Address: &libvirtxml.DomainAddressPCI{
					Domain: new(uint(0)), Bus: new(uint(0x81)), Slot: new(uint(2)), Function: new(uint(3)),
				}},
			}},
		}},
		"vdpa": {VDPA("/dev/vhost-vdpa-0"), libvirtxml.DomainInterface{
			Source: &libvirtxml.DomainInterfaceSource{VDPA: &libvirtxml.DomainInterfaceSourceVDPA{Device: "/dev/vhost-vdpa-0"}},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			g := smallest()
			g.Interfaces = []Interface{{MAC: "fa:16:3e:00:00:01", Source: c.source}}
			c.want.MAC = &libvirtxml.DomainInterfaceMAC{Address: "fa:16:3e:00:00:01"}
			same(t, []libvirtxml.DomainInterface{c.want}, build(t, g).Devices.Interfaces)
		})
	}
}
