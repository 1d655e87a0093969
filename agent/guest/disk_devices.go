package guest

import (
	"strconv"
	"strings"

	"bolide/hypervisor/domainxml"
	"bolide/rpc/nova"
)

// addDisks adds the local disks and the SCSI controller that they may need.
func addDisks(g *domainxml.Guest, r Request, disks Disks) error {
	throttle, err := throttleOf(r.Instance.Flavor().ExtraSpecs())
	if err != nil {
		return err
	}
	model := r.image().Prop("hw_scsi_model")
	unit := uint(0)
	for _, disk := range r.inOrder(disks) {
		d := r.device(disk)
		d.Throttle = throttle
		if model == "virtio-scsi" && disk.Bus == "scsi" {
			// libvirt by itself would stop at few disks; numbering them allows for 256.
			d.Unit = new(unit)
			unit++
		}
		g.Disks = append(g.Disks, d)
	}
	if model != "" {
		g.Controllers = append(g.Controllers, domainxml.Controller{Type: "scsi", Model: model, Index: new(uint(0))})
	}
	return nil
}

// inOrder puts the local disks in the order in which Nova lists them in a domain.
func (r Request) inOrder(disks Disks) []Disk {
	var out []Disk
	for _, disk := range disks.List {
		if disk.Name != "" {
			out = append(out, disk)
		}
	}
	return out
}

func (r Request) device(disk Disk) domainxml.Disk {
	out := domainxml.Disk{
		Device:  disk.Type,
		Source:  domainxml.FileSource(r.path(disk.Name)),
		Format:  r.Settings.DiskFormat,
		Target:  disk.Device,
		Bus:     disk.Bus,
		Cache:   r.Settings.DiskCache,
		Discard: r.Settings.DiskDiscard,
	}
	if strings.HasPrefix(disk.Name, ConfigDisk) {
		out.Format = "raw"
	}
	if recorded := r.Formats[disk.Name]; recorded != "" {
		out.Format = recorded
	}
	if r.Settings.Preallocate {
		out.IO = "native"
	}
	stableRescue := disk.Name == RescueDisk && r.Rescue.Stable()
	if mode := r.Settings.DiskCacheModes["file"]; mode != "" && !stableRescue {
		out.Cache = mode
		if out.IO == "native" && mode != "none" && mode != "directsync" {
			out.IO = "threads" // QEMU refuses native I/O through the page cache
		}
	}
	if stableRescue {
		out.BootOrder = 1
	}
	return out
}

// throttleOf reads the quota:disk_* extra specs, which bound each disk by itself.
func throttleOf(specs map[string]string) (domainxml.Throttle, error) {
	var t domainxml.Throttle
	for key, to := range map[string]*uint64{
		"total_bytes_sec": &t.TotalBytes, "read_bytes_sec": &t.ReadBytes, "write_bytes_sec": &t.WriteBytes,
		"total_iops_sec": &t.TotalOps, "read_iops_sec": &t.ReadOps, "write_iops_sec": &t.WriteOps,
	} {
		text, ok := specs["quota:disk_"+key]
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(strings.TrimSpace(text), 10, 64)
		if err != nil {
			return t, nova.InvalidInput("quota:disk_" + key + "=" + text + " is no number")
		}
		*to = n
	}
	return t, nil
}
