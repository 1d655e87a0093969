package domainxml

import (
	"fmt"

	"libvirt.org/go/libvirtxml"
)

// PCIAddress is the place of a PCI device on the host.
type PCIAddress struct {
	Domain, Bus, Slot, Function uint
}

// ParsePCIAddress reads the kernel's notation, "0000:3b:02.1".
func ParsePCIAddress(text string) (PCIAddress, error) {
	var a PCIAddress
	var rest string
	n, _ := fmt.Sscanf(text+" ", "%x:%x:%x.%x%s", &a.Domain, &a.Bus, &a.Slot, &a.Function, &rest)
	if n != 4 || a.Domain > 0xffff || a.Bus > 0xff || a.Slot > 0x1f || a.Function > 7 {
		return PCIAddress{}, fmt.Errorf("%q is no PCI address", text)
	}
	return a, nil
}

func (a PCIAddress) build() *libvirtxml.DomainAddressPCI {
	return &libvirtxml.DomainAddressPCI{
		Domain: new(a.Domain), Bus: new(a.Bus), Slot: new(a.Slot), Function: new(a.Function),
	}
}
