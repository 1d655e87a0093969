package handover

import (
	"bolide/agent/network"
	"bolide/rpc/nova"
)

// Offer is what a destination says of itself when it is asked whether it could take a guest.
type Offer struct {
	Profile   nova.Profile
	TestFile  string // a file in its instances_path; a source that sees it shares the directory
	ImageType string // [libvirt] images_type

	Block         *bool // what the user asked for; nil: whatever is right
	OverCommit    *bool // whether disks may be promised over; nil: not checked
	DiskMiB       int64 // left on its disk
	ListenVNC     string
	ListenSPICE   string
	SerialHost    string // "": no serial consoles
	FileBacked    bool   // guests' memory lies in files
	NUMA          bool   // the guest's NUMA topology would be fitted to it
	Ports         network.Info
	PortsAreBound bool // Neutron binds ports to two hosts at a time
}

// Data writes the offer down. What the user left open is not set, which tells the source to decide.
func (o Offer) Data() *nova.LiveMigrateData {
	d := &nova.LiveMigrateData{Object: o.Profile.New("LibvirtLiveMigrateData")}
	d.Set("filename", o.TestFile)
	d.Set("image_type", o.ImageType)
	d.Set("graphics_listen_addr_vnc", o.ListenVNC)
	d.Set("graphics_listen_addr_spice", o.ListenSPICE)
	d.Set("serial_listen_addr", nil)
	if o.SerialHost != "" {
		d.Set("serial_listen_addr", o.SerialHost)
	}
	if o.Block != nil {
		d.Set("block_migration", *o.Block)
	}
	if o.OverCommit != nil {
		d.Set("disk_over_commit", *o.OverCommit)
	}
	d.Set("disk_available_mb", o.DiskMiB)
	d.Set("dst_wants_file_backed_memory", o.FileBacked)
	if o.NUMA {
		d.Set("dst_supports_numa_live_migration", true)
	}
	if o.PortsAreBound {
		d.Set("vifs", Skeleton(o.Profile, o.Ports))
	}
	return d
}

// Verdict is what the source finds when it holds the offer against the guest.
type Verdict struct {
	Directory       string // of the instance, in instances_path
	SharedDirectory bool   // both hosts see the same instances_path
	SharedDisks     bool   // no disk of the guest is the source's alone
	VolumeBacked    bool
}

// Complete adds the verdict to the offer.
func Complete(d *nova.LiveMigrateData, v Verdict) {
	d.Set("is_volume_backed", v.VolumeBacked)
	d.Set("is_shared_instance_path", v.SharedDirectory)
	d.Set("is_shared_block_storage", v.SharedDisks)
	if !d.Has("block_migration") {
		d.Set("block_migration", !v.SharedDirectory && !v.SharedDisks)
	}
	d.Set("instance_relative_path", v.Directory)
	if d.TakesNUMA() {
		d.Set("src_supports_numa_live_migration", true)
	}
}

// Readiness is what the destination adds once it has prepared for the guest.
type Readiness struct {
	Address     *string // [libvirt] live_migration_inbound_addr
	PerfEvents  []string
	SerialPorts []int
	WaitForVIFs bool // Neutron will say when the ports are connected there
}

// Ready adds the destination's preparations. Volumes are none: they are refused before.
func Ready(d *nova.LiveMigrateData, r Readiness) {
	d.Set("old_vol_attachment_ids", map[string]string{})
	d.Set("bdms", []*nova.Object{})
	d.Set("target_connect_addr", nil)
	if r.Address != nil {
		d.Set("target_connect_addr", *r.Address)
	}
	d.Set("supported_perf_events", append([]string{}, r.PerfEvents...))
	d.Set("serial_listen_ports", append([]int{}, r.SerialPorts...))
	d.Set("wait_for_vif_plugged", r.WaitForVIFs)
}
