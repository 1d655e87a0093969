package guest

import "encoding/json"

// Settings are the options of nova.conf that guests depend on, under their section and name there. Zero values mean
// what is said here, not what an option defaults to; the defaults are agent/config's.
type Settings struct {
	InstancesPath string // instances_path
	DiskFormat    string // qcow2 or raw: from [libvirt] images_type and use_cow_images
	DiskCache     string // none, or writeback where InstancesPath has no direct I/O
	Preallocate   bool   // preallocate_images = space
	MaxDisks      int    // [compute] max_disk_devices_to_attach; negative is no limit

	ForceConfigDrive  bool   // force_config_drive
	ConfigDriveFormat string // config_drive_format: iso9660 or vfat
	PointerModel      string // pointer_model

	VirtType          string            // [libvirt] virt_type: kvm or qemu
	CPUMode           string            // cpu_mode, "" is host-model
	CPUModels         []string          // cpu_models
	CPUFlags          []string          // cpu_model_extra_flags, with + or - in front
	MachineTypes      map[string]string // hw_machine_type by architecture
	PCIePorts         int               // num_pcie_ports
	DiskPrefix        string            // disk_prefix
	DiskCacheModes    map[string]string // disk_cachemodes by kind of source: file, block, network
	DiskDiscard       string            // hw_disk_discard
	VirtioForBridges  bool              // use_virtio_for_bridges
	RXQueueSize       uint              // rx_queue_size
	TXQueueSize       uint              // tx_queue_size
	MaxQueues         int               // max_queues; 0 leaves it to the kernel
	MemStatsSeconds   uint              // mem_stats_period_seconds
	RNGDevice         string            // rng_dev_path
	SysinfoSerial     string            // sysinfo_serial: unique, none, os, hardware, auto
	PerfEvents        []string          // enabled_perf_events that the host knows
	FileBackedMemory  bool              // file_backed_memory above 0
	TBCacheMiB        uint              // tb_cache_size; 0: not set
	RealtimePriority  int               // realtime_scheduler_priority
	DisableAPIC       bool              // [workarounds] libvirt_disable_apic
	CPUSharedSetGiven bool              // [compute] cpu_shared_set, or vcpu_pin_set, is given

	VNC           Screen
	SPICE         Screen
	SPICEAgent    bool   // [spice] agent_enabled
	SerialConsole bool   // [serial_console] enabled
	SerialHost    string // [serial_console] proxyclient_address

	Product Product
	Drive   DriveSettings
}

// Screen is one of the sections [vnc] and [spice].
type Screen struct {
	Enabled bool
	Listen  string // server_listen
}

// Product is what guests and the domain's metadata show as the cloud software. Guests recognise OpenStack by it.
type Product struct {
	Vendor  string // "OpenStack Foundation"
	Name    string // "OpenStack Nova"
	Version string
}

// DriveSettings are the options of [api] that the files of a config drive depend on.
type DriveSettings struct {
	Domain       string          // dhcp_domain, appended to host names
	SkipVersions []string        // config_drive_skip_versions: EC2 versions left out
	Providers    []string        // vendordata_providers
	VendorData   json.RawMessage // content of vendordata_jsonfile_path; empty is {}
}
