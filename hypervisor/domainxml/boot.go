package domainxml

import "libvirt.org/go/libvirtxml"

// Boot is the guest's machine, firmware and what is started.
type Boot struct {
	Type    string // required: "hvm"
	Arch    string // "x86_64"
	Machine string // "pc", "q35", "pc-q35-7.2"; empty is the emulator's default

	Loader  Loader
	Kernel  string   // path on the host, for direct kernel boot
	Initrd  string   // path on the host
	CmdLine string   // kernel command line
	Devices []string // boot order by kind: "hd", "cdrom", "network", "fd"
	Menu    bool     // let the user choose the boot device
}

// Loader is a firmware other than the machine's default one.
type Loader struct {
	Path          string // image of the firmware on the host
	Type          string // "pflash" or "rom"
	Secure        bool   // refuse unsigned boot loaders
	NVRAMTemplate string // file that the guest's variable store is first filled from
}

func (b Boot) build(smbios SMBIOS) *libvirtxml.DomainOS {
	out := &libvirtxml.DomainOS{
		Type:    &libvirtxml.DomainOSType{Type: b.Type, Arch: b.Arch, Machine: b.Machine},
		Kernel:  b.Kernel,
		Initrd:  b.Initrd,
		Cmdline: b.CmdLine,
		BootDevices: each(b.Devices, func(kind string) libvirtxml.DomainBootDevice {
			return libvirtxml.DomainBootDevice{Dev: kind}
		}),
	}
	if b.Loader != (Loader{}) {
		out.Loader = &libvirtxml.DomainLoader{
			Path: b.Loader.Path, Type: b.Loader.Type, Readonly: "yes", Secure: yesNo(b.Loader.Secure),
		}
	}
	if b.Loader.NVRAMTemplate != "" {
		out.NVRam = &libvirtxml.DomainNVRam{Template: b.Loader.NVRAMTemplate}
	}
	if smbios != (SMBIOS{}) {
		// Without this the firmware would not see the values of <sysinfo>.
		out.SMBios = &libvirtxml.DomainSMBios{Mode: "sysinfo"}
	}
	if b.Menu {
		out.BootMenu = &libvirtxml.DomainBootMenu{Enable: "yes"}
	}
	return out
}
