package domainxml

import (
	"testing"

	"libvirt.org/go/libvirtxml"
)

func TestGraphics(t *testing.T) {
	g := smallest()
	g.Graphics = []Graphics{{Protocol: VNC, Listen: "192.0.2.1"}, {Protocol: SPICE}}
	same(t, []libvirtxml.DomainGraphic{
		{VNC: &libvirtxml.DomainGraphicVNC{AutoPort: "yes", Listen: "192.0.2.1"}}, {Spice: &libvirtxml.DomainGraphicSpice{AutoPort: "yes"}},
	}, build(t, g).Devices.Graphics)
}

func TestVideo(t *testing.T) {
	g := smallest()
	g.Videos = []Video{{Model: "qxl", RAMKiB: 65536}, {Model: "none"}}
	same(t, []libvirtxml.DomainVideo{
		{Model: libvirtxml.DomainVideoModel{Type: "qxl", VRam: 65536}}, {Model: libvirtxml.DomainVideoModel{Type: "none"}},
	}, build(t, g).Devices.Videos)
}

func TestInput(t *testing.T) {
	g := smallest()
	g.Inputs = []Input{{Type: "tablet", Bus: "usb"}, {Type: "keyboard", Bus: "virtio"}}
	same(t, []libvirtxml.DomainInput{{Type: "tablet", Bus: "usb"}, {Type: "keyboard", Bus: "virtio"}}, build(t, g).Devices.Inputs)
}
