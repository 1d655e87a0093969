package domainxml

import (
	"testing"

	"libvirt.org/go/libvirtxml"
)

func TestSMBIOS(t *testing.T) {
	g := smallest()
	g.SMBIOS = SMBIOS{Manufacturer: "m", Product: "p", Serial: "s", Family: "f"}
	d := build(t, g)
	same(t, []libvirtxml.DomainSysInfo{{SMBIOS: &libvirtxml.DomainSysInfoSMBIOS{System: &libvirtxml.DomainSysInfoSystem{
		Entry: []libvirtxml.DomainSysInfoEntry{
			{Name: "manufacturer", Value: "m"}, {Name: "product", Value: "p"}, {Name: "serial", Value: "s"}, {Name: "family", Value: "f"},
		},
	}}}}, d.SysInfo)
	same(t, &libvirtxml.DomainSMBios{Mode: "sysinfo"}, d.OS.SMBios)
}
