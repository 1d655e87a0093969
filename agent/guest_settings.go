package agent

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"

	"bolide/agent/config"
	"bolide/agent/guest"
	"bolide/hypervisor"
)

// guestSettings are the options that guests' machines depend on.
func (a *Agent) guestSettings() guest.Settings {
	d, l := a.cfg.Default, a.cfg.Libvirt
	s := guest.Settings{
		InstancesPath: d.InstancesPath, DiskFormat: a.diskFormat(), DiskCache: a.local.diskCache,
		Preallocate: d.PreallocateImages == "space", MaxDisks: a.cfg.Compute.MaxDiskDevicesToAttach,
		ForceConfigDrive: d.ForceConfigDrive, ConfigDriveFormat: d.ConfigDriveFormat, PointerModel: d.PointerModel,

		VirtType: l.VirtType, CPUMode: l.CPUMode, CPUModels: l.CPUModels, CPUFlags: l.CPUModelExtraFlags,
		MachineTypes: machineTypes(l.HWMachineType), PCIePorts: l.NumPCIEPorts, DiskPrefix: l.DiskPrefix,
		DiskCacheModes: cacheModes(l.DiskCachemodes), DiskDiscard: l.HWDiskDiscard,
		VirtioForBridges: l.UseVirtioForBridges,
		RXQueueSize:      uint(intOrZero(l.RXQueueSize)), TXQueueSize: uint(intOrZero(l.TXQueueSize)),
		MaxQueues: intOrZero(l.MaxQueues), MemStatsSeconds: uint(max(0, l.MemStatsPeriod.Seconds())),
		RNGDevice: l.RNGDevPath, SysinfoSerial: l.SysinfoSerial, PerfEvents: l.EnabledPerfEvents,
		FileBackedMemory: l.FileBackedMemory > 0, RealtimePriority: l.RealtimeSchedulerPriority,
		TBCacheMiB:        uint(intOrZero(l.TBCacheSize)),
		DisableAPIC:       a.cfg.Workarounds.LibvirtDisableAPIC,
		CPUSharedSetGiven: a.cfg.Compute.CPUSharedSet != "" || d.VCPUPinSet != "",

		VNC:        guest.Screen{Enabled: a.cfg.VNC.Enabled, Listen: a.cfg.VNC.ServerListen},
		SPICE:      guest.Screen{Enabled: a.cfg.SPICE.Enabled, Listen: a.cfg.SPICE.ServerListen},
		SPICEAgent: a.cfg.SPICE.AgentEnabled, SerialConsole: a.cfg.Serial.Enabled, SerialHost: a.cfg.Serial.ProxyclientAddress,

		Product: guest.Product{Vendor: "OpenStack Foundation", Name: "OpenStack Nova", Version: a.profile.NovaVersion},
		Drive: guest.DriveSettings{
			Domain:       a.cfg.API.DHCPDomain,
			SkipVersions: strings.Fields(a.cfg.API.ConfigDriveSkipVersions),
			Providers:    a.cfg.API.VendordataProviders,
			VendorData:   a.vendor,
		},
	}
	return s
}

// cacheModes reads disk_cachemodes, "source=mode" each.
func cacheModes(list []string) map[string]string { return machineTypes(list) }

func intOrZero(n *int) int {
	if n == nil {
		return 0
	}
	return *n
}

// readVendorData reads the file whose content every guest's metadata shows; none is an empty object.
func readVendorData(c *config.Config) (json.RawMessage, error) {
	path := c.API.VendordataJSONFilePath
	if path == "" {
		return nil, nil
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read vendordata_jsonfile_path: %w", err)
	}
	if !json.Valid(raw) {
		return nil, fmt.Errorf("vendordata_jsonfile_path %s is not JSON", path)
	}
	return raw, nil
}

// maxTapQueues is how many queues the kernel gives a tap device since Linux 4.0.
const maxTapQueues = 256

// guestHost is what guests depend on of this machine.
func (a *Agent) guestHost(f *hypervisor.Facts, sets cpuSets) guest.Host {
	h := guest.Host{
		Arch: f.CPU.Arch, UUID: f.HostUUID, MachineID: a.local.machineID,
		MachineTypes: map[string]string{}, CPUControl: a.local.cpuControl, Libvirt: f.LibvirtVersion,
		SharedCPUs: sets.shared, TapQueues: maxTapQueues,
	}
	for _, arch := range f.Arches {
		if arch.Arch != f.CPU.Arch {
			continue
		}
		for _, d := range arch.Domains {
			for _, m := range d.Machines {
				h.MachineTypes[m] = m
			}
			for alias, canonical := range d.Aliases {
				h.MachineTypes[alias] = canonical
			}
		}
	}
	for _, fw := range f.Firmware {
		for _, t := range fw.Targets {
			h.Firmware = append(h.Firmware, guest.Firmware{
				Loader: fw.Executable, NVRAMTemplate: fw.NVRAM, Arch: t.Arch, Machines: t.Machines,
				SecureBoot: fw.SecureBoot, SMM: fw.RequiresSMM,
			})
		}
	}
	for _, c := range f.Cells {
		cell := guest.NUMACell{ID: c.ID}
		for _, cpu := range c.CPUs {
			if slices.Contains(sets.shared, cpu.ID) {
				cell.CPUs = append(cell.CPUs, cpu.ID)
			}
		}
		for _, p := range c.Pages {
			cell.PageSizes = append(cell.PageSizes, p.SizeKiB)
		}
		h.NUMA = append(h.NUMA, cell)
	}
	return h
}
