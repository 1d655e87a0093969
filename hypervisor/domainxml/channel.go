package domainxml

import "libvirt.org/go/libvirtxml"

// Channel is a private line between the host and a program in the guest.
type Channel struct {
	Source CharSource // required
	Name   string     // required: how the guest finds it, "org.qemu.guest_agent.0"
}

func (c Channel) build() libvirtxml.DomainChannel {
	return libvirtxml.DomainChannel{
		Source: c.Source.charSource(),
		Target: &libvirtxml.DomainChannelTarget{VirtIO: &libvirtxml.DomainChannelTargetVirtIO{Name: c.Name}},
	}
}
