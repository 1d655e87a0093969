package domainxml

import (
	"testing"

	"libvirt.org/go/libvirtxml"
)

func TestBoot(t *testing.T) {
	g := smallest()
	g.Boot = Boot{
		Type: "hvm", Arch: "x86_64", Machine: "q35", Devices: []string{"hd", "cdrom"}, Menu: true,
		Kernel: "/kernel", Initrd: "/ramdisk", CmdLine: "root=/dev/vda",
		Loader: Loader{Path: "/code.fd", Type: "pflash", Secure: true, NVRAMTemplate: "/vars.fd"},
	}
	same(t, &libvirtxml.DomainOS{
		Type:        &libvirtxml.DomainOSType{Type: "hvm", Arch: "x86_64", Machine: "q35"},
		Loader:      &libvirtxml.DomainLoader{Path: "/code.fd", Type: "pflash", Readonly: "yes", Secure: "yes"},
		NVRam:       &libvirtxml.DomainNVRam{Template: "/vars.fd"},
		Kernel:      "/kernel",
		Initrd:      "/ramdisk",
		Cmdline:     "root=/dev/vda",
		BootDevices: []libvirtxml.DomainBootDevice{{Dev: "hd"}, {Dev: "cdrom"}},
		BootMenu:    &libvirtxml.DomainBootMenu{Enable: "yes"},
	}, build(t, g).OS)
}
