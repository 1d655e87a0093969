package domainxml

import (
	"testing"

	"libvirt.org/go/libvirtxml"
)

func TestControllers(t *testing.T) {
	g := smallest()
	g.Controllers = []Controller{{Type: "scsi", Model: "virtio-scsi", Index: new(uint(0))}, {Type: "pci", Model: "pcie-root-port"}}
	same(t, []libvirtxml.DomainController{
		{Type: "scsi", Model: "virtio-scsi", Index: new(uint(0))}, {Type: "pci", Model: "pcie-root-port"},
	}, build(t, g).Devices.Controllers)
}
