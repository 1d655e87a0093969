package config

import "time"

// Compute is [compute].
type Compute struct {
	// ConsecutiveBuildServiceDisableThreshold is 0 where failed builds are not
	// told to the scheduler; other values mean the same. Default 10.
	ConsecutiveBuildServiceDisableThreshold int `ini:"consecutive_build_service_disable_threshold" default:"10"`
	// ShutdownRetryInterval repeats the shutdown signal. Unit s, default 10.
	ShutdownRetryInterval time.Duration `ini:"shutdown_retry_interval" default:"10" min:"1"`
	// ResourceProviderAssociationRefresh is how long what Placement says is
	// kept; 0 = for ever. Unit s, default 300.
	ResourceProviderAssociationRefresh time.Duration `ini:"resource_provider_association_refresh" default:"300" min:"0"`
	// CPUSharedSet is the CPUs of unpinned guests, "4-12,^8". Default: unset.
	CPUSharedSet string `ini:"cpu_shared_set"`
	// CPUDedicatedSet is the CPUs of pinned guests. Default: unset.
	CPUDedicatedSet string `ini:"cpu_dedicated_set"`
	// LiveMigrationWaitForVIFPlug waits for the ports there. Default true.
	LiveMigrationWaitForVIFPlug bool `ini:"live_migration_wait_for_vif_plug" default:"true"`
	// MaxConcurrentDiskOps bounds image copies and conversions; 0 = Bolide's
	// choice. Default 0.
	MaxConcurrentDiskOps int `ini:"max_concurrent_disk_ops" default:"0" min:"0"`
	// MaxDiskDevicesToAttach bounds a guest's disks; -1 = no bound. Default -1.
	MaxDiskDevicesToAttach int `ini:"max_disk_devices_to_attach" default:"-1" min:"-1"`
	// ProviderConfigLocation holds provider.yaml files. Default
	// /etc/nova/provider_config/.
	ProviderConfigLocation string `ini:"provider_config_location" default:"/etc/nova/provider_config/" unused:"provider.yaml"`
	// ImageTypeExcludeList are formats not offered as traits. Default: none.
	ImageTypeExcludeList []string `ini:"image_type_exclude_list"`
	// VMDKAllowedTypes are the VMDK kinds accepted. Default
	// streamOptimized,monolithicSparse.
	VMDKAllowedTypes []string `ini:"vmdk_allowed_types" default:"streamOptimized,monolithicSparse"`
	// PackingHostNUMACellsAllocationStrategy fills used cells first. Default false.
	PackingHostNUMACellsAllocationStrategy bool `ini:"packing_host_numa_cells_allocation_strategy" default:"false"`
}

// ImageCache is [image_cache].
type ImageCache struct {
	// ManagerInterval paces ageing; 0 = the rate of all periodic tasks, -1 =
	// never. Unit s, default 2400.
	ManagerInterval time.Duration `ini:"manager_interval" default:"2400" min:"-1" old:"DEFAULT.image_cache_manager_interval"`
	// SubdirectoryName is the cache's, in instances_path. Default _base.
	SubdirectoryName string `ini:"subdirectory_name" default:"_base" old:"DEFAULT.image_cache_subdirectory_name"`
	// RemoveUnusedBaseImages lets them age. Default true.
	RemoveUnusedBaseImages bool `ini:"remove_unused_base_images" default:"true" old:"DEFAULT.remove_unused_base_images"`
	// RemoveUnusedOriginalMinimumAge is their age. Unit s, default 86400.
	RemoveUnusedOriginalMinimumAge time.Duration `ini:"remove_unused_original_minimum_age_seconds" default:"86400" old:"DEFAULT.remove_unused_original_minimum_age_seconds"`
	// RemoveUnusedResizedMinimumAge is of resized ones. Unit s, default 3600.
	RemoveUnusedResizedMinimumAge time.Duration `ini:"remove_unused_resized_minimum_age_seconds" default:"3600" old:"libvirt.remove_unused_resized_minimum_age_seconds"`
}

// PCI is [pci].
type PCI struct {
	// Alias names kinds of devices, as JSON. Default: none.
	Alias []string `ini:"alias" kind:"multi" old:"DEFAULT.pci_alias" unused:"PCI passthrough"`
	// DeviceSpec is the devices offered, as JSON. Default: none.
	DeviceSpec []string `ini:"device_spec" kind:"multi" old:"passthrough_whitelist,DEFAULT.pci_passthrough_whitelist" unused:"PCI passthrough"`
	// ReportInPlacement makes them resource providers. Default false.
	ReportInPlacement bool `ini:"report_in_placement" default:"false" unused:"PCI passthrough"`
}

// Devices is [devices].
type Devices struct {
	// EnabledMdevTypes are the mediated devices offered. Default: none.
	EnabledMdevTypes []string `ini:"enabled_mdev_types" old:"enabled_vgpu_types" unused:"mediated devices"`
}

// Encryption is [ephemeral_storage_encryption].
type Encryption struct {
	// Enabled encrypts local disks on LVM. Default false.
	Enabled bool `ini:"enabled" default:"false"`
}

// OVS is [os_vif_ovs], os-vif's Open vSwitch plug-in. Some manuals have a section
// [vif_plug_ovs] instead; os-vif does not read that, and neither does Bolide.
type OVS struct {
	// OVSDBConnection is the switch's database. Default tcp:127.0.0.1:6640.
	OVSDBConnection string `ini:"ovsdb_connection" default:"tcp:127.0.0.1:6640"`
	// OVSVsctlTimeout bounds one transaction. Unit s, default 120.
	OVSVsctlTimeout time.Duration `ini:"ovs_vsctl_timeout" default:"120" min:"0" old:"DEFAULT.ovs_vsctl_timeout"`
	// NetworkDeviceMTU is for a network that has none. In bytes, default 1500.
	NetworkDeviceMTU int `ini:"network_device_mtu" default:"1500" old:"DEFAULT.network_device_mtu"`
	// IsolateVIF keeps a new port on a dead VLAN until the agent takes it.
	// Default false.
	IsolateVIF bool `ini:"isolate_vif" default:"false"`
	// PerPortBridge gives each port a bridge of its own. Default false.
	PerPortBridge bool `ini:"per_port_bridge" default:"false"`
}

// LinuxBridge is [os_vif_linux_bridge], os-vif's plug-in of Linux bridges.
type LinuxBridge struct {
	// UseIPv6 has the host's IPv6 filter pass the bridges of ports that Neutron
	// does not filter, too. Default false.
	UseIPv6 bool `ini:"use_ipv6" default:"false" old:"DEFAULT.use_ipv6"`
	// ForwardBridgeInterface is where these bridges may forward to; all = anywhere.
	// Default all.
	ForwardBridgeInterface []string `ini:"forward_bridge_interface" kind:"multi" default:"all" old:"DEFAULT.forward_bridge_interface"`
	// IptablesDropAction is the target for what they may not. Default DROP.
	IptablesDropAction string `ini:"iptables_drop_action" default:"DROP" old:"DEFAULT.iptables_drop_action"`
}

// Workarounds is [workarounds].
type Workarounds struct {
	// DisableLibvirtLivesnapshot takes snapshots of stopped guests. Default false.
	DisableLibvirtLivesnapshot bool `ini:"disable_libvirt_livesnapshot" default:"false"`
	// HandleVirtLifecycleEvents follows libvirt's events. Default true.
	HandleVirtLifecycleEvents bool `ini:"handle_virt_lifecycle_events" default:"true"`
	// SkipCPUCompareOnDest leaves it to libvirt. Default false.
	SkipCPUCompareOnDest bool `ini:"skip_cpu_compare_on_dest" default:"false"`
	// SkipHypervisorVersionCheckOnLM allows going to older ones. Default false.
	SkipHypervisorVersionCheckOnLM bool `ini:"skip_hypervisor_version_check_on_lm" default:"false" unused:"checks of the conductor"`
	// LibvirtDisableAPIC leaves out a guest's APIC. Default false.
	LibvirtDisableAPIC bool `ini:"libvirt_disable_apic" default:"false"`
	// ReserveDiskResourceForImageCache counts the cache as reserved. Default false.
	ReserveDiskResourceForImageCache bool `ini:"reserve_disk_resource_for_image_cache" default:"false"`
	// WaitForVIFPluggedEventDuringHardReboot is for these VNIC types. Default: none.
	WaitForVIFPluggedEventDuringHardReboot []string `ini:"wait_for_vif_plugged_event_during_hard_reboot" choices:"normal,direct,macvtap,baremetal,direct-physical,virtio-forwarder,smart-nic,vdpa,accelerator-direct,accelerator-direct-physical,remote-managed"`
	// DisableComputeServiceCheckForFFU starts among older services. Default false.
	DisableComputeServiceCheckForFFU bool `ini:"disable_compute_service_check_for_ffu" default:"false"`
	// DisableGroupPolicyCheckUpcall skips the late affinity check. Default false.
	DisableGroupPolicyCheckUpcall bool `ini:"disable_group_policy_check_upcall" default:"false"`
	// DisableDeepImageInspection has no effect: images are always inspected.
	DisableDeepImageInspection bool `ini:"disable_deep_image_inspection" default:"false" unused:"skipping the inspection of images; it always takes place"`
	// EnableQEMUMonitorAnnounceSelf announces a guest after it moved. Default false.
	EnableQEMUMonitorAnnounceSelf bool `ini:"enable_qemu_monitor_announce_self" default:"false"`
}

// Bolide is [bolide], the options that only Bolide has.
type Bolide struct {
	// Release is the Nova release of the control plane. Default zed.
	Release string `ini:"release" default:"zed" choices:"zed,2023.1,2024.1,2025.1,2025.2,2026.1"`
	// Socket is where `bolide status` looks in; "" = no socket. Default
	// /run/bolide/status.sock.
	Socket string `ini:"socket" default:"/run/bolide/status.sock"`
	// SocketGroup may look, besides root; "" = only root. Default bolide.
	SocketGroup string `ini:"socket_group" default:"bolide"`
	// MetricsAddress is HOST:PORT where metrics are served over TCP; "" = on the
	// socket only. Default: unset.
	MetricsAddress string `ini:"metrics_address"`
	// OVSDBCAFile holds the authorities of Open vSwitch's database, for an
	// [os_vif_ovs] ovsdb_connection with ssl. Default: unset, those of the host.
	OVSDBCAFile string `ini:"ovsdb_ca_file"`
	// OVSDBCertFile is this host's certificate there. Default: unset.
	OVSDBCertFile string `ini:"ovsdb_cert_file"`
	// OVSDBKeyFile is its private key. Default: unset.
	OVSDBKeyFile string `ini:"ovsdb_key_file"`
	// MoveBandwidth bounds the copy of a disk to another host in a cold
	// migration; 0 = no bound. Unit MiB/s, default 0.
	MoveBandwidth int `ini:"move_bandwidth" default:"0" min:"0"`
	// ImageCacheSize caps what the image cache takes: above it, what nothing uses
	// goes before its age; 0 = no cap. Unit GiB, default 0.
	ImageCacheSize int `ini:"image_cache_size" default:"0" min:"0"`
	// ImageStores are directories in which the image service keeps images on this
	// host; an image that lies there is not downloaded. Default: none.
	ImageStores []string `ini:"image_stores"`
	// LinkImages makes such an image a hard link where it needs no conversion.
	// Default false.
	LinkImages bool `ini:"link_images" default:"false"`
	// TraceEndpoint is the URL of an OpenTelemetry collector that takes OTLP over
	// HTTP; /v1/traces is added where it does not end so. "" = no traces. Default:
	// unset.
	TraceEndpoint string `ini:"trace_endpoint" variables:"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT,OTEL_EXPORTER_OTLP_ENDPOINT" secret:"url"`
	// TraceHeaders go with every request to it, name=value each. Default: none.
	TraceHeaders []string `ini:"trace_headers" variables:"OTEL_EXPORTER_OTLP_TRACES_HEADERS,OTEL_EXPORTER_OTLP_HEADERS" secret:"all"`
}

// Scheduler is [filter_scheduler], of which a node reads one option.
type Scheduler struct {
	// TrackInstanceChanges tells schedulers which instances are here. Default true.
	TrackInstanceChanges bool `ini:"track_instance_changes" default:"true"`
}
