package domainxml

import (
	"testing"

	"libvirt.org/go/libvirtxml"
)

func TestCharacterDevices(t *testing.T) {
	g := smallest()
	g.Serials = []Serial{
		{Source: Pty{}, Log: CharLog{File: "/console.log"}},
		{Source: TCPListener{Host: "127.0.0.1", Port: 10000}, Port: new(uint(1))},
		{Source: LogFile("/serial.log"), Log: CharLog{File: "/copy.log", Append: true}},
	}
	g.Consoles = []Console{{Source: Pty{}, Target: "virtio", Log: CharLog{File: "/virtio.log"}}}
	g.Channels = []Channel{{Source: UnixListener("/agent.sock"), Name: "agent"}, {Source: SpiceVMC{}, Name: "spice"}}
	d := build(t, g).Devices
	pty := &libvirtxml.DomainChardevSource{Pty: &libvirtxml.DomainChardevSourcePty{}}
	same(t, []libvirtxml.DomainSerial{
		{Source: pty, Log: &libvirtxml.DomainChardevLog{File: "/console.log", Append: "off"}},
		{
			Source: &libvirtxml.DomainChardevSource{TCP: &libvirtxml.DomainChardevSourceTCP{Mode: "bind", Host: "127.0.0.1", Service: "10000"}},
			Target: &libvirtxml.DomainSerialTarget{Port: new(uint(1))},
		},
		{
			Source: &libvirtxml.DomainChardevSource{File: &libvirtxml.DomainChardevSourceFile{Path: "/serial.log"}},
			Log:    &libvirtxml.DomainChardevLog{File: "/copy.log", Append: "on"},
		},
	}, d.Serials)
	same(t, []libvirtxml.DomainConsole{
		{Source: pty, Target: &libvirtxml.DomainConsoleTarget{Type: "virtio"}, Log: &libvirtxml.DomainChardevLog{File: "/virtio.log", Append: "off"}},
	}, d.Consoles)
	same(t, []libvirtxml.DomainChannel{
		{
			Source: &libvirtxml.DomainChardevSource{UNIX: &libvirtxml.DomainChardevSourceUNIX{Mode: "bind", Path: "/agent.sock"}},
			Target: &libvirtxml.DomainChannelTarget{VirtIO: &libvirtxml.DomainChannelTargetVirtIO{Name: "agent"}},
		},
		{
			Source: &libvirtxml.DomainChardevSource{SpiceVMC: &libvirtxml.DomainChardevSourceSpiceVMC{}},
			Target: &libvirtxml.DomainChannelTarget{VirtIO: &libvirtxml.DomainChannelTargetVirtIO{Name: "spice"}},
		},
	}, d.Channels)
}
