// Package guest says what virtual machine an instance is: from Nova's data (the instance with its flavor and image, the
// block device rows, the network information), nova.conf and what the host can do, to the description that libvirt is
// given, the disks and their names, and the files of the config drive.
//
// All of it is as Nova's own libvirt driver does it, since guests are handed over between the two and every guest must
// find the same machine after a reboot on the other. The functions are pure: they read nothing but their arguments, do
// no I/O and start no goroutine; the caller brings what they need in a Request. They return Nova's exceptions, as *nova.Error.
//
// To honour one more property or extra spec: find the file named after what it changes (disks, cpu, firmware, video, …),
// add it there, and record what Nova's node does with it in testdata/golden.
package guest

import (
	"path/filepath"
	"time"

	"bolide/agent/network"
	"bolide/hypervisor/domainxml"
	"bolide/rpc/nova"
)

// Request is everything that the description of a guest depends on.
type Request struct {
	Settings     Settings
	Host         Host
	Name         string        // required: of the domain
	Instance     nova.Instance // required, with flavor, system metadata and, if it has them, NUMA topology and PCI devices
	Image        nova.ImageMeta
	BlockDevices []*nova.BlockDeviceMapping
	Network      network.Info
	Rescue       *Rescue // nil unless the guest is being rescued

	Formats     map[string]string // of disks by name, where disk.info records another than Settings.DiskFormat
	SerialPorts []int             // TCP ports for the serial consoles, as many as SerialPortCount asks for
	MDevs       []string          // UUIDs of mediated devices (vGPU)
	Created     time.Time         // shown as the creation time of the domain
}

// Rescue is how a guest is rescued.
type Rescue struct {
	Image     nova.ImageMeta // of the disk to boot from
	KernelID  string         // of the rescue kernel, "" to boot from the disk
	RamdiskID string
}

// Stable tells whether all disks keep their names and the rescue disk comes last (the image says hw_rescue_device or
// hw_rescue_bus), rather than going in front.
func (r *Rescue) Stable() bool {
	return r != nil && (r.Image.Prop("hw_rescue_device") != "" || r.Image.Prop("hw_rescue_bus") != "")
}

// image is the one whose properties shape the machine. The rescue image takes over, unless the rescue is to keep the
// machine as it is.
func (r Request) image() nova.ImageMeta {
	switch {
	case r.Rescue != nil && !r.Rescue.Stable() && r.Rescue.Image.Object != nil:
		return r.Rescue.Image
	case r.Image.Object != nil:
		return r.Image
	}
	return r.Instance.Image()
}

func (r Request) path(name string) string {
	return filepath.Join(r.Settings.InstancesPath, r.Instance.UUID(), name)
}

// Describe returns the full description of the guest with the disks of PlanDisks.
func Describe(r Request, disks Disks) (domainxml.Guest, error) {
	w := wishesOf(r)
	g := domainxml.Guest{
		Type:       r.Settings.VirtType,
		Name:       r.Name,
		UUID:       r.Instance.UUID(),
		Metadata:   Metadata(r),
		SMBIOS:     smbios(r),
		PerfEvents: r.Settings.PerfEvents,
	}
	g.Memory.KiB = uint(r.Instance.Flavor().MemoryMB()) * 1024
	g.VCPUs.Count = uint(r.Instance.Flavor().VCPUs())
	for _, part := range []func(*domainxml.Guest, Request, wishes) error{
		addNUMA, addMemoryBacking, addCPUQuota, addCPU, addBoot, addFeatures, addClock,
		func(g *domainxml.Guest, r Request, _ wishes) error { return addDisks(g, r, disks) },
		addInterfaces, addConsoles, addScreen, addGuestAgent, addRNG, addTPM, addControllers, addHostDevices,
		addWatchdog, addBalloon, addSEV, addIOMMU,
	} {
		if err := part(&g, r, w); err != nil {
			return domainxml.Guest{}, err
		}
	}
	addStart(&g, r, disks)
	return g, nil
}
