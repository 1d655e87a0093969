package config

import "time"

// Libvirt is [libvirt].
type Libvirt struct {
	// VirtType is the kind of hypervisor. Default kvm.
	VirtType string `ini:"virt_type" default:"kvm" choices:"kvm,lxc,qemu,parallels"`
	// ConnectionURI is libvirt's. Default: qemu:///system.
	ConnectionURI string `ini:"connection_uri"`

	GuestCPU
	GuestDisk
	GuestDevice
	Rescue
	LiveMigration
	Volume
	RBD
}

// GuestCPU is a guest's processor and machine.
type GuestCPU struct {
	// CPUMode is how a guest's CPU is chosen. Default: unset, which is
	// host-model for kvm and none for qemu.
	CPUMode string `ini:"cpu_mode" choices:"host-model,host-passthrough,custom,none"`
	// CPUModels are tried in order when CPUMode is custom. Default: none.
	CPUModels []string `ini:"cpu_models" old:"cpu_model"`
	// CPUModelExtraFlags are added, or with "-" taken away. Default: none.
	CPUModelExtraFlags []string `ini:"cpu_model_extra_flags"`
	// HWMachineType is the machine per architecture, "arch=type". Default: none.
	HWMachineType []string `ini:"hw_machine_type"`
	// NumPCIEPorts are given to a guest; 0 = libvirt's choice. Default 0.
	NumPCIEPorts int `ini:"num_pcie_ports" default:"0" min:"0" max:"28"`
	// SysinfoSerial is the serial number a guest sees. Default unique.
	SysinfoSerial string `ini:"sysinfo_serial" default:"unique" choices:"none,os,hardware,auto,unique"`
	// FileBackedMemory is the host's capacity for it; 0 = off. Unit MiB, default 0.
	FileBackedMemory int `ini:"file_backed_memory" default:"0" min:"0"`
	// NumMemoryEncryptedGuests bounds them. Default: unset.
	NumMemoryEncryptedGuests *int `ini:"num_memory_encrypted_guests" min:"0" unused:"encrypted memory"`
	// SWTPMEnabled offers emulated TPMs. Default false.
	SWTPMEnabled bool `ini:"swtpm_enabled" default:"false"`
	// SWTPMUser and SWTPMGroup are whom swtpm runs as. Default tss.
	SWTPMUser  string `ini:"swtpm_user" default:"tss"`
	SWTPMGroup string `ini:"swtpm_group" default:"tss"`
	// TBCacheSize is QEMU's translation cache without KVM. Unit MiB, default: unset.
	TBCacheSize *int `ini:"tb_cache_size" min:"0"`
}

// GuestDisk is a guest's local disks.
type GuestDisk struct {
	// ImagesType is how disks are kept. Default default: qcow2, or raw where
	// use_cow_images is off.
	ImagesType string `ini:"images_type" default:"default" choices:"raw,flat,qcow2,lvm,rbd,ploop,default"`
	// DiskCachemodes are "type=mode" with file, block or network. Default: none.
	DiskCachemodes []string `ini:"disk_cachemodes"`
	// HWDiskDiscard is what a guest's discard does. Default: unset.
	HWDiskDiscard string `ini:"hw_disk_discard" choices:"ignore,unmap"`
	// DiskPrefix overrides the device prefix (sd, hd, vd …). Default: unset.
	DiskPrefix string `ini:"disk_prefix"`
	// SnapshotsDirectory is for snapshots in the making. Default
	// $instances_path/snapshots.
	SnapshotsDirectory string `ini:"snapshots_directory" default:"$instances_path/snapshots"`
	// SnapshotImageFormat is what a snapshot is uploaded as. Default: the source's.
	SnapshotImageFormat string `ini:"snapshot_image_format" choices:"raw,qcow2,vmdk,vdi"`
	// SnapshotCompression compresses a qcow2 snapshot. Default false.
	SnapshotCompression bool `ini:"snapshot_compression" default:"false"`
	// InjectKey and InjectPassword put these into an image. Default false.
	InjectKey      bool `ini:"inject_key" default:"false" unused:"injecting keys; use a config drive"`
	InjectPassword bool `ini:"inject_password" default:"false" unused:"injecting passwords; use a config drive"`
	// RemoteFilesystemTransport copies disks in a cold migration. Default ssh.
	RemoteFilesystemTransport string `ini:"remote_filesystem_transport" default:"ssh" choices:"ssh,rsync"`
}

// GuestDevice is a guest's other devices.
type GuestDevice struct {
	// UseVirtioForBridges makes virtio the default NIC. Default true.
	UseVirtioForBridges bool `ini:"use_virtio_for_bridges" default:"true"`
	// RXQueueSize and TXQueueSize are the NICs'. In packets, default: unset.
	RXQueueSize *int `ini:"rx_queue_size" choices:"256,512,1024"`
	TXQueueSize *int `ini:"tx_queue_size" choices:"256,512,1024"`
	// MaxQueues bounds a NIC's queues. Default: unset.
	MaxQueues *int `ini:"max_queues" min:"1"`
	// RNGDevPath feeds a guest's random number generator. Default /dev/urandom.
	RNGDevPath string `ini:"rng_dev_path" default:"/dev/urandom"`
	// MemStatsPeriod paces the balloon's figures; ≤ 0 = none. Unit s, default 10.
	MemStatsPeriod time.Duration `ini:"mem_stats_period_seconds" default:"10"`
	// WaitSoftReboot bounds a soft reboot. Unit s, default 120.
	WaitSoftReboot time.Duration `ini:"wait_soft_reboot_seconds" default:"120"`
	// DeviceDetachAttempts is how often a detach is asked for. Default 8.
	DeviceDetachAttempts int `ini:"device_detach_attempts" default:"8" min:"1"`
	// DeviceDetachTimeout is for each of them. Unit s, default 20.
	DeviceDetachTimeout time.Duration `ini:"device_detach_timeout" default:"20" min:"1"`
	// RealtimeSchedulerPriority is of real-time guests' vCPUs. Default 1.
	RealtimeSchedulerPriority int `ini:"realtime_scheduler_priority" default:"1"`
	// EnabledPerfEvents are counted for a guest. Default: none.
	EnabledPerfEvents []string `ini:"enabled_perf_events"`
	// PMEMNamespaces are "label:namespace|…". Default: none.
	PMEMNamespaces []string `ini:"pmem_namespaces" unused:"persistent memory"`
}

// Rescue is the images to rescue with, where a user names none.
type Rescue struct {
	RescueImageID   string `ini:"rescue_image_id"`
	RescueKernelID  string `ini:"rescue_kernel_id"`
	RescueRamdiskID string `ini:"rescue_ramdisk_id"`
}

// LiveMigration is how guests move while running.
type LiveMigration struct {
	// LiveMigrationURI is the other host's, with %s for its name. Default: unset.
	LiveMigrationURI string `ini:"live_migration_uri"`
	// LiveMigrationScheme is its transport. Default: unset, which is tcp.
	LiveMigrationScheme string `ini:"live_migration_scheme"`
	// LiveMigrationInboundAddr is where guests come in. Default: unset.
	LiveMigrationInboundAddr string `ini:"live_migration_inbound_addr" kind:"domain"`
	// LiveMigrationTunnelled sends them through libvirtd. Default false.
	LiveMigrationTunnelled bool `ini:"live_migration_tunnelled" default:"false"`
	// LiveMigrationWithNativeTLS encrypts them. Default false.
	LiveMigrationWithNativeTLS bool `ini:"live_migration_with_native_tls" default:"false"`
	// LiveMigrationBandwidth bounds one; 0 = no bound. Unit MiB/s, default 0.
	LiveMigrationBandwidth int `ini:"live_migration_bandwidth" default:"0"`
	// LiveMigrationDowntime is the longest pause. Unit ms, default 500.
	LiveMigrationDowntime time.Duration `ini:"live_migration_downtime" default:"500" unit:"ms" min:"100"`
	// LiveMigrationDowntimeSteps is in how many steps it is reached. Default 10.
	LiveMigrationDowntimeSteps int `ini:"live_migration_downtime_steps" default:"10" min:"3"`
	// LiveMigrationDowntimeDelay is between them. Unit s per GiB, default 75.
	LiveMigrationDowntimeDelay time.Duration `ini:"live_migration_downtime_delay" default:"75" min:"3"`
	// LiveMigrationCompletionTimeout bounds one; 0 = no bound. Unit s per GiB, default 800.
	LiveMigrationCompletionTimeout time.Duration `ini:"live_migration_completion_timeout" default:"800" min:"0"`
	// LiveMigrationTimeoutAction is what happens then. Default abort.
	LiveMigrationTimeoutAction string `ini:"live_migration_timeout_action" default:"abort" choices:"abort,force_complete"`
	// LiveMigrationPermitPostCopy allows post-copy. Default false.
	LiveMigrationPermitPostCopy bool `ini:"live_migration_permit_post_copy" default:"false"`
	// LiveMigrationPermitAutoConverge allows slowing the guest. Default false.
	LiveMigrationPermitAutoConverge bool `ini:"live_migration_permit_auto_converge" default:"false"`
}

// Volume is how volumes are connected.
type Volume struct {
	// VolumeUseMultipath connects by every path. Default false.
	VolumeUseMultipath bool `ini:"volume_use_multipath" default:"false" old:"iscsi_use_multipath" unused:"volumes"`
	// NFSMountPointBase is where shares are mounted. Default $state_path/mnt.
	NFSMountPointBase string `ini:"nfs_mount_point_base" default:"$state_path/mnt" unused:"volumes"`
	// NFSMountOptions are mount's. Default: unset.
	NFSMountOptions string `ini:"nfs_mount_options" unused:"volumes"`
}

// RBD is disks and volumes in Ceph.
type RBD struct {
	ImagesRBDPool     string `ini:"images_rbd_pool" default:"rbd" unused:"disks in Ceph"`
	ImagesRBDCephConf string `ini:"images_rbd_ceph_conf" unused:"disks in Ceph"`
	RBDUser           string `ini:"rbd_user" unused:"volumes in Ceph"`
	RBDSecretUUID     string `ini:"rbd_secret_uuid" unused:"volumes in Ceph"`
	// RBDConnectTimeout bounds reaching the cluster. Unit s, default 5.
	RBDConnectTimeout time.Duration `ini:"rbd_connect_timeout" default:"5" unused:"disks in Ceph"`
}
