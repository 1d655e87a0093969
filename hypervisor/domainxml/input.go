package domainxml

import "libvirt.org/go/libvirtxml"

// Input is a pointer or keyboard beyond the machine's built-in ones.
type Input struct {
	Type string // "tablet", "mouse", "keyboard"
	Bus  string // "usb", "virtio", "ps2"
}

func (i Input) build() libvirtxml.DomainInput {
	return libvirtxml.DomainInput{Type: i.Type, Bus: i.Bus}
}
