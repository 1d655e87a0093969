package config

import "time"

// Disks is how guests' disks are made.
type Disks struct {
	// UseCOWImages lays an overlay over the cached image. Default true.
	UseCOWImages bool `ini:"use_cow_images" default:"true"`
	// ForceRawImages keeps the cache in raw format. Default true.
	ForceRawImages bool `ini:"force_raw_images" default:"true"`
	// PreallocateImages takes a disk's whole space at once. Default none.
	PreallocateImages string `ini:"preallocate_images" default:"none" choices:"none,space"`
	// DefaultEphemeralFormat is the file system of ephemeral disks. Default:
	// unset, which is ext4 (vfat or ntfs for Windows).
	DefaultEphemeralFormat string `ini:"default_ephemeral_format"`
	// VirtMkfs overrides the commands that make file systems, "os=command".
	VirtMkfs []string `ini:"virt_mkfs" kind:"multi"`
	// ResizeFSUsingBlockDevice grows file systems of raw disks. Default false.
	ResizeFSUsingBlockDevice bool `ini:"resize_fs_using_block_device" default:"false" unused:"growing file systems from the host"`
	// ForceConfigDrive gives every guest a config drive. Default false.
	ForceConfigDrive bool `ini:"force_config_drive" default:"false"`
	// ConfigDriveFormat is the config drive's file system. Default iso9660.
	ConfigDriveFormat string `ini:"config_drive_format" default:"iso9660" choices:"iso9660,vfat"`
	// FlatInjected puts the network's configuration into the image. Default false.
	FlatInjected bool `ini:"flat_injected" default:"false" unused:"injecting files; use a config drive"`
	// ReimageTimeoutPerGB bounds Cinder's reimage. Unit s per GiB, default 20.
	ReimageTimeoutPerGB time.Duration `ini:"reimage_timeout_per_gb" default:"20" min:"1" unused:"volumes"`
}

// Boot is how guests are built.
type Boot struct {
	// MaxConcurrentBuilds is how many builds run at once; 0 = no bound. Default 10.
	MaxConcurrentBuilds int `ini:"max_concurrent_builds" default:"10" min:"0"`
	// MaxConcurrentSnapshots is how many snapshots run at once; 0 = no bound. Default 5.
	MaxConcurrentSnapshots int `ini:"max_concurrent_snapshots" default:"5" min:"0"`
	// VIFPluggingTimeout bounds the wait for network-vif-plugged; 0 = do not
	// wait. Unit s, default 300.
	VIFPluggingTimeout time.Duration `ini:"vif_plugging_timeout" default:"300" min:"0"`
	// VIFPluggingIsFatal fails a build that waited in vain. Default true.
	VIFPluggingIsFatal bool `ini:"vif_plugging_is_fatal" default:"true"`
	// NetworkAllocateRetries repeats a failed network allocation. Default 0.
	NetworkAllocateRetries int `ini:"network_allocate_retries" default:"0" min:"0"`
	// BlockDeviceAllocateRetries waits for a new volume this often. Default 60.
	BlockDeviceAllocateRetries int `ini:"block_device_allocate_retries" default:"60" min:"0" unused:"volumes"`
	// BlockDeviceAllocateRetriesInterval is between them. Unit s, default 3.
	BlockDeviceAllocateRetriesInterval time.Duration `ini:"block_device_allocate_retries_interval" default:"3" min:"0" unused:"volumes"`
	// InstanceBuildTimeout puts a build in ERROR; 0 = never. Unit s, default 0.
	InstanceBuildTimeout time.Duration `ini:"instance_build_timeout" default:"0" min:"0"`
	// ARQBindingTimeout bounds the wait for accelerators. Unit s, default 300.
	ARQBindingTimeout time.Duration `ini:"arq_binding_timeout" default:"300" min:"1" unused:"accelerators"`
	// PointerModel is the pointing device. Default usbtablet.
	PointerModel string `ini:"pointer_model" default:"usbtablet" choices:"ps2mouse,usbtablet"`
}

// Migration is resize and live migration.
type Migration struct {
	// ResizeConfirmWindow confirms a resize by itself; 0 = never. Unit s, default 0.
	ResizeConfirmWindow time.Duration `ini:"resize_confirm_window" default:"0" min:"0"`
	// MaxConcurrentLiveMigrations is outgoing ones; 0 = no bound. Default 1.
	MaxConcurrentLiveMigrations int `ini:"max_concurrent_live_migrations" default:"1" min:"0"`
	// LiveMigrationRetryCount retries the network set-up. Default 30.
	LiveMigrationRetryCount int `ini:"live_migration_retry_count" default:"30" min:"0"`
}

// Power is power states, and what happens to guests that should not be there.
type Power struct {
	// ShutdownTimeout bounds a clean shutdown of a guest. Unit s, default 60.
	ShutdownTimeout time.Duration `ini:"shutdown_timeout" default:"60" min:"0"`
	// RebootTimeout ends a stuck reboot; 0 = never. Unit s, default 0.
	RebootTimeout time.Duration `ini:"reboot_timeout" default:"0" min:"0"`
	// RescueTimeout ends a rescue; 0 = never. Unit s, default 0.
	RescueTimeout time.Duration `ini:"rescue_timeout" default:"0" min:"0"`
	// ResumeGuestsStateOnHostBoot starts what ran before. Default false.
	ResumeGuestsStateOnHostBoot bool `ini:"resume_guests_state_on_host_boot" default:"false"`
	// RunningDeletedInstanceAction is for guests deleted elsewhere. Default reap.
	RunningDeletedInstanceAction string `ini:"running_deleted_instance_action" default:"reap" choices:"reap,log,shutdown,noop"`
	// RunningDeletedInstancePollInterval paces that; ≤ 0 = never. Unit s, default 1800.
	RunningDeletedInstancePollInterval time.Duration `ini:"running_deleted_instance_poll_interval" default:"1800"`
	// RunningDeletedInstanceTimeout is its age before. Unit s, default 0.
	RunningDeletedInstanceTimeout time.Duration `ini:"running_deleted_instance_timeout" default:"0"`
	// ReclaimInstanceInterval is how long a soft-deleted guest stays; ≤ 0 = no
	// soft delete. Unit s, default 0.
	ReclaimInstanceInterval time.Duration `ini:"reclaim_instance_interval" default:"0"`
	// InstanceDeleteInterval paces deleting again what could not be. Unit s, default 300.
	InstanceDeleteInterval time.Duration `ini:"instance_delete_interval" default:"300"`
	// MaximumInstanceDeleteAttempts bounds that. Default 5.
	MaximumInstanceDeleteAttempts int `ini:"maximum_instance_delete_attempts" default:"5" min:"1"`
	// ShelvedOffloadTime is how long a shelved guest stays here; 0 = not, -1 =
	// for ever. Unit s, default 0.
	ShelvedOffloadTime time.Duration `ini:"shelved_offload_time" default:"0"`
	// ShelvedPollInterval paces that. Unit s, default 3600.
	ShelvedPollInterval time.Duration `ini:"shelved_poll_interval" default:"3600"`
}

// Periodic is the periodic tasks. An interval of 0 means the rate of all
// periodic tasks (60 s), a negative one never.
type Periodic struct {
	// ReportInterval paces the heartbeat. Unit s, default 10.
	ReportInterval time.Duration `ini:"report_interval" default:"10" min:"1"`
	// ServiceDownTime is when others take this node for dead. Unit s, default 60.
	ServiceDownTime time.Duration `ini:"service_down_time" default:"60" min:"1"`
	// PeriodicEnable runs periodic tasks at all. Default true.
	PeriodicEnable bool `ini:"periodic_enable" default:"true"`
	// PeriodicFuzzyDelay bounds the random delay before the first. Unit s, default 60.
	PeriodicFuzzyDelay time.Duration `ini:"periodic_fuzzy_delay" default:"60" min:"0"`
	// HealInstanceInfoCacheInterval paces the network refresh. Unit s, default
	// 60 (2025.1: -1).
	HealInstanceInfoCacheInterval time.Duration `ini:"heal_instance_info_cache_interval" default:"60" later:"2025.1=-1"`
	// SyncPowerStateInterval paces the power-state sweep. Unit s, default 600.
	SyncPowerStateInterval time.Duration `ini:"sync_power_state_interval" default:"600"`
	// SchedulerInstanceSyncInterval paces telling schedulers the instances.
	// Unit s, default 120.
	SchedulerInstanceSyncInterval time.Duration `ini:"scheduler_instance_sync_interval" default:"120"`
}
