package domainxml

import "libvirt.org/go/libvirtxml"

// Controller is a bus that devices of the guest hang on. libvirt adds those that devices need by itself; naming one
// chooses its model, or with USB's model "none" forbids it.
type Controller struct {
	Type  string // required: "scsi", "usb", "pci", "virtio-serial", "sata"
	Model string // "virtio-scsi", "pcie-root", "pcie-root-port", "none"
	Index *uint  // nil lets libvirt number it
}

func (c Controller) build() libvirtxml.DomainController {
	return libvirtxml.DomainController{Type: c.Type, Model: c.Model, Index: c.Index}
}
