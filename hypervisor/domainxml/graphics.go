package domainxml

import "libvirt.org/go/libvirtxml"

// Graphics is a server that shows the guest's screen, on a port that libvirt picks.
type Graphics struct {
	Protocol Protocol // required
	Listen   string   // address to listen on; empty is libvirt's default
}

// Protocol names the kind of a screen server.
type Protocol string

// The screen servers that a guest can have.
const (
	VNC   Protocol = "vnc"
	SPICE Protocol = "spice"
)

func (g Graphics) build() libvirtxml.DomainGraphic {
	if g.Protocol == SPICE {
		return libvirtxml.DomainGraphic{Spice: &libvirtxml.DomainGraphicSpice{AutoPort: "yes", Listen: g.Listen}}
	}
	return libvirtxml.DomainGraphic{VNC: &libvirtxml.DomainGraphicVNC{AutoPort: "yes", Listen: g.Listen}}
}
