package domainxml

import "libvirt.org/go/libvirtxml"

// SMBIOS is what the guest reads as the identity of its machine (dmidecode, /sys/class/dmi).
type SMBIOS struct {
	Manufacturer, Product, Version, Serial, UUID, Family string
}

func (s SMBIOS) build(d *libvirtxml.Domain) {
	if s == (SMBIOS{}) {
		return
	}
	var system libvirtxml.DomainSysInfoSystem
	for _, e := range []libvirtxml.DomainSysInfoEntry{
		{Name: "manufacturer", Value: s.Manufacturer},
		{Name: "product", Value: s.Product},
		{Name: "version", Value: s.Version},
		{Name: "serial", Value: s.Serial},
		{Name: "uuid", Value: s.UUID},
		{Name: "family", Value: s.Family},
	} {
		if e.Value != "" {
			system.Entry = append(system.Entry, e)
		}
	}
	d.SysInfo = []libvirtxml.DomainSysInfo{{SMBIOS: &libvirtxml.DomainSysInfoSMBIOS{System: &system}}}
}
