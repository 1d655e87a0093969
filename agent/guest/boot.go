package guest

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"bolide/hypervisor/domainxml"
	"bolide/rpc/nova"
)

// consoles is where a kernel that the host loads writes to: the screen and the log.
const consoles = "console=tty0 console=ttyS0 console=hvc0"

// addBoot sets the machine, its firmware and what it starts.
func addBoot(g *domainxml.Guest, r Request, w wishes) error {
	machine := r.machineType()
	if _, known := r.Host.MachineTypes[machine]; r.Host.MachineTypes != nil && !known {
		return nova.NewErrorText("InvalidMachineType", fmt.Sprintf(
			"'%s' is not valid/supported machine type, Supported machine types are: %s",
			machine, strings.Join(slices.Sorted(maps.Keys(r.Host.MachineTypes)), ", ")))
	}
	g.Boot.Type = "hvm"
	g.Boot.Arch = r.arch()
	g.Boot.Machine = machine
	if w.props.IsNull("hw_boot_menu") {
		g.Boot.Menu = truthy(w.specs["hw:boot_menu"])
	} else {
		g.Boot.Menu = w.props.Bool("hw_boot_menu")
	}
	if w.props.Str("hw_firmware_type") == "uefi" {
		return addUEFI(g, r, w)
	}
	return nil
}

func addUEFI(g *domainxml.Guest, r Request, w wishes) error {
	policy, err := w.choice("os", "secure_boot")
	if err != nil {
		return err
	}
	machine := r.machineType()
	possible := r.Host.secureBoot() && (!isX86(r.arch()) || isQ35(machine))
	var secure bool
	switch policy {
	case "required":
		if !possible {
			return nova.NewError("SecureBootNotSupported", nil)
		}
		secure = true
	case "optional":
		secure = possible
	case "", "disabled":
	default:
		return nova.NewErrorText("Invalid", fmt.Sprintf(
			"Invalid secure boot policy '%s'. Allowed values: required, disabled, optional.", policy))
	}
	firmware, ok := r.Host.firmware(r.arch(), machine, secure)
	switch {
	case !ok && secure:
		return nova.NewError("SecureBootNotSupported", nil)
	case !ok:
		return nova.NewError("UEFINotSupported", nil)
	}
	g.Boot.Loader = domainxml.Loader{
		Path: firmware.Loader, Type: "pflash", Secure: secure, NVRAMTemplate: firmware.NVRAMTemplate,
	}
	g.Features.SMM = firmware.SMM
	return nil
}

// addStart says what the firmware, or QEMU in its place, starts.
func addStart(g *domainxml.Guest, r Request, disks Disks) {
	cmdline := fmt.Sprintf("root=/dev/%s %s", disks.Root.Device, consoles)
	if r.Settings.VirtType == "qemu" {
		cmdline += " no_timer_check"
	}
	switch {
	case r.Rescue != nil:
		if r.Rescue.KernelID != "" {
			g.Boot.Kernel, g.Boot.CmdLine = r.path("kernel.rescue"), cmdline
		}
		if r.Rescue.RamdiskID != "" {
			g.Boot.Initrd = r.path("ramdisk.rescue")
		}
	case r.Instance.KernelID() != "":
		g.Boot.Kernel, g.Boot.CmdLine = r.path("kernel"), cmdline
		if r.Instance.RamdiskID() != "" {
			g.Boot.Initrd = r.path("ramdisk")
		}
		if given := r.image().Prop("os_command_line"); given != "" {
			g.Boot.CmdLine = given
		}
	default:
		g.Boot.Devices = bootOrder(disks)
	}
}

// bootOrder names the kinds of disks to boot from, each once.
func bootOrder(disks Disks) []string {
	kinds := map[string]string{"disk": "hd", "cdrom": "cdrom", "floppy": "fd", "lun": "hd"}
	bootable := slices.DeleteFunc(slices.Clone(disks.List), func(d Disk) bool { return d.Boot == 0 })
	slices.SortStableFunc(bootable, func(a, b Disk) int { return a.Boot - b.Boot })
	var out []string
	for _, disk := range bootable {
		if kind := kinds[disk.Type]; !slices.Contains(out, kind) {
			out = append(out, kind)
		}
	}
	return out
}
