package guest

import (
	"fmt"
	"slices"
	"strings"

	"bolide/rpc/nova"
)

// What libvirt's QEMU driver can attach.
var (
	diskBuses   = []string{"virtio", "scsi", "ide", "usb", "fdc", "sata"}
	deviceTypes = []string{"disk", "cdrom", "floppy", "lun"}
)

// ideDisks is how many a machine has places for.
const ideDisks = 4

// busOf is the bus for a kind of device: the image's choice, else the best that its machine has.
func (p *plan) busOf(kind string, image nova.ImageMeta) (string, error) {
	if bus := image.Prop("hw_" + kind + "_bus"); bus != "" {
		if !slices.Contains(diskBuses, bus) {
			return "", nova.NewError("UnsupportedHardware", map[string]any{"model": bus, "virt": p.r.Settings.VirtType})
		}
		return bus, nil
	}
	switch kind {
	case "cdrom":
		switch {
		case !isX86(p.r.arch()):
			return "scsi", nil
		case isQ35(p.r.machineType()):
			return "sata", nil // q35 has no IDE
		}
		return "ide", nil
	case "floppy":
		return "fdc", nil
	}
	return "virtio", nil
}

// busOfDevice guesses the bus from a name that a user gave.
func busOfDevice(device string) (string, error) {
	for prefix, bus := range map[string]string{"hd": "ide", "sd": "scsi", "vd": "virtio", "fd": "fdc"} {
		if strings.HasPrefix(device, prefix) {
			return bus, nil
		}
	}
	return "", nova.NewErrorText("InternalError", fmt.Sprintf("Unable to determine disk bus for '%s'", device))
}

// free is the next name on a bus that no disk has, and none of assigned is.
func (p *plan) free(bus string, assigned []string) (string, error) {
	prefix := p.r.Settings.DiskPrefix
	if prefix == "" {
		prefix = map[string]string{"ide": "hd", "virtio": "vd", "fdc": "fd"}[bus]
	}
	if prefix == "" {
		prefix = "sd"
	}
	limit := p.r.Settings.MaxDisks
	if bus == "ide" {
		limit = ideDisks
	}
	for i := 0; limit < 0 || i < limit; i++ {
		name := prefix + letters(i)
		taken := slices.ContainsFunc(p.out.List, func(d Disk) bool { return d.Device == name })
		if !taken && !slices.Contains(assigned, name) && name != p.out.Root.Device {
			return name, nil
		}
	}
	return "", nova.NewError("TooManyDiskDevices", map[string]any{"maximum": limit})
}

// letters numbers disks as the kernel does: a to z, aa to zz, aaa …
func letters(i int) string {
	tail := string(rune('a' + i%26))
	if i < 26 {
		return tail
	}
	return letters(i/26-1) + tail
}

// AssignDeviceNames names the root device of an instance that is being built and all its block devices, in their rows;
// the caller saves what changed. Names that users gave are dropped, other than the root's: a guest would not obey them.
func AssignDeviceNames(r Request) error {
	p, err := newPlan(r)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(r.BlockDevices, func(row *nova.BlockDeviceMapping) bool { return row.IsRoot() })
	if i < 0 {
		return nil // nothing to boot from
	}
	root := r.BlockDevices[i]
	name := root.DeviceName()
	if name == "" {
		name = r.Instance.RootDeviceName()
	}
	if name == "" {
		disk, err := p.root(root, "")
		if err != nil {
			return err
		}
		name = "/dev/" + disk.Device
	}
	r.Instance.SetRootDeviceName(name)
	for _, row := range p.rows.all() {
		row.SetDeviceName("")
	}
	disks, err := PlanDisks(r)
	if err != nil {
		return err
	}
	for _, disk := range append(slices.Clone(disks.List), disks.Root) {
		if disk.Mapping == nil {
			continue
		}
		disk.Mapping.SetDeviceName("/dev/" + disk.Device)
		disk.Mapping.SetDiskBus(disk.Bus)
		if !disk.Mapping.IsSwap() {
			disk.Mapping.SetDeviceType(disk.Type)
		}
	}
	return nil
}

// RecordDefaultDevices notes on the instance the disks that it has without a block device row, as its metadata shows
// them.
func RecordDefaultDevices(instance nova.Instance, disks Disks) {
	if disk, ok := disks.Find(DefaultEphemeral); ok {
		instance.SetDefaultEphemeralDevice("/dev/" + disk.Device)
	}
	if disk, ok := disks.Find(SwapDisk); ok {
		instance.SetDefaultSwapDevice("/dev/" + disk.Device)
	}
}
