package domainxml

import (
	"testing"

	"libvirt.org/go/libvirtxml"
)

func TestInterface(t *testing.T) {
	g := smallest()
	g.Interfaces = []Interface{{
		MAC: "fa:16:3e:00:00:01", Source: Bridge("br-int"), Model: "virtio", MTU: 1450, VLAN: 5,
		Driver:      InterfaceDriver{Name: "vhost", Queues: 2, RXQueueSize: 512, TXQueueSize: 1024},
		Target:      Target{Device: "tap1", Unmanaged: true},
		OpenVSwitch: OpenVSwitchPort{InterfaceID: "port"},
		Filter:      Filter{Name: "clean-traffic", Params: []FilterParam{{Name: "IP", Value: "192.0.2.1"}}},
		Inbound:     Rate{Average: 10, Peak: 20},
		Outbound:    Rate{Average: 30, Burst: 40},
	}}
	same(t, []libvirtxml.DomainInterface{{
		MAC:    &libvirtxml.DomainInterfaceMAC{Address: "fa:16:3e:00:00:01"},
		Source: &libvirtxml.DomainInterfaceSource{Bridge: &libvirtxml.DomainInterfaceSourceBridge{Bridge: "br-int"}},
		Model:  &libvirtxml.DomainInterfaceModel{Type: "virtio"},
		Driver: &libvirtxml.DomainInterfaceDriver{Name: "vhost", Queues: 2, RXQueueSize: 512, TXQueueSize: 1024},
		Target: &libvirtxml.DomainInterfaceTarget{Dev: "tap1", Managed: "no"},
		MTU:    &libvirtxml.DomainInterfaceMTU{Size: 1450},
		VLan:   &libvirtxml.DomainInterfaceVLan{Tags: []libvirtxml.DomainInterfaceVLanTag{{ID: 5}}},
		VirtualPort: &libvirtxml.DomainInterfaceVirtualPort{Params: &libvirtxml.DomainInterfaceVirtualPortParams{
			OpenVSwitch: &libvirtxml.DomainInterfaceVirtualPortParamsOpenVSwitch{InterfaceID: "port"},
		}},
		FilterRef: &libvirtxml.DomainInterfaceFilterRef{
			Filter: "clean-traffic", Parameters: []libvirtxml.DomainInterfaceFilterParam{{Name: "IP", Value: "192.0.2.1"}},
		},
		Bandwidth: &libvirtxml.DomainInterfaceBandwidth{
			Inbound:  &libvirtxml.DomainInterfaceBandwidthParams{Average: new(10), Peak: new(20)},
			Outbound: &libvirtxml.DomainInterfaceBandwidthParams{Average: new(30), Burst: new(40)},
		},
	}}, build(t, g).Devices.Interfaces)
}
