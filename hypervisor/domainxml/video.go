package domainxml

import "libvirt.org/go/libvirtxml"

// Video is one graphics card of the guest.
type Video struct {
	Model  string // required: "virtio", "vga", "cirrus", "qxl", "bochs", "none"
	RAMKiB uint   // zero leaves the model's default
}

func (v Video) build() libvirtxml.DomainVideo {
	return libvirtxml.DomainVideo{Model: libvirtxml.DomainVideoModel{Type: v.Model, VRam: v.RAMKiB}}
}
