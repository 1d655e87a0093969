package config

import "time"

// Default is [DEFAULT], grouped by what its options are about.
type Default struct {
	Node
	Paths
	Logging
	Messaging
	Capacity
	Disks
	Boot
	Migration
	Power
	Periodic
	Usage
}

// Node is who this host is.
type Node struct {
	// Host names this node to Nova: RPC queue, service record, hypervisor.
	// Default: gethostname().
	Host string `ini:"host" kind:"domain"`
	// MyIP is this host's address as others reach it. Default: the source
	// address of the default route, else 127.0.0.1.
	MyIP string `ini:"my_ip"`
	// ComputeDriver must be libvirt's where it is set. Default: unset.
	ComputeDriver string `ini:"compute_driver"`
	// ServicegroupDriver says how a service is seen to be up. Only db works.
	ServicegroupDriver string `ini:"servicegroup_driver" default:"db" choices:"db,mc"`
	// InstanceNameTemplate makes a domain's name. Default instance-%08x.
	InstanceNameTemplate string `ini:"instance_name_template" default:"instance-%08x"`
	// DefaultAccessIPNetworkName is the network whose address becomes an
	// instance's access address. Default: unset.
	DefaultAccessIPNetworkName string `ini:"default_access_ip_network_name"`
	// PasswordLength is that of generated passwords, in characters. Default 12.
	PasswordLength int `ini:"password_length" default:"12" min:"0"`
}

// Paths are directories of the host.
type Paths struct {
	// StatePath is the root of Nova's own files. Default /var/lib/nova, where
	// distributions put it (Nova's own default is inside its Python package).
	StatePath string `ini:"state_path" default:"/var/lib/nova"`
	// InstancesPath holds the guests' disks. Default $state_path/instances.
	InstancesPath string `ini:"instances_path" default:"$state_path/instances"`
	// ConfigSource names remote configuration, which Bolide does not read.
	ConfigSource []string `ini:"config_source"`
}

// Logging is oslo.log's options.
type Logging struct {
	// Debug logs at debug level. Default false.
	Debug bool `ini:"debug" default:"false"`
	// LogFile receives the log instead of standard error. Default: unset.
	LogFile string `ini:"log_file" old:"logfile"`
	// LogDir holds LogFile, or bolide.log. Default: unset.
	LogDir string `ini:"log_dir" old:"logdir"`
	// UseJSON writes one JSON object per line. Default false.
	UseJSON bool `ini:"use_json" default:"false"`
	// UseStderr logs to standard error as well as to LogFile. Default false.
	UseStderr bool `ini:"use_stderr" default:"false"`
}

// Messaging is the RPC options that stand outside [oslo_messaging_rabbit].
type Messaging struct {
	// TransportURL is rabbit://user:pass@host:port,…/vhost?option=value.
	TransportURL string `ini:"transport_url" default:"rabbit://" secret:"url"`
	// ControlExchange is the topic exchange. Default nova, which Nova sets.
	ControlExchange string `ini:"control_exchange" default:"nova"`
	// RPCResponseTimeout bounds an ordinary call. Unit s, default 60.
	RPCResponseTimeout time.Duration `ini:"rpc_response_timeout" default:"60"`
	// LongRPCTimeout bounds a call that heartbeats. Unit s, default 1800.
	LongRPCTimeout time.Duration `ini:"long_rpc_timeout" default:"1800"`
	// ExecutorThreadPoolSize is how many requests run at once. Default 64.
	ExecutorThreadPoolSize int `ini:"executor_thread_pool_size" default:"64" min:"1" old:"rpc_thread_pool_size"`
	// RPCPingEnabled answers oslo_rpc_server_ping. Default false.
	RPCPingEnabled bool `ini:"rpc_ping_enabled" default:"false"`
	// GracefulShutdownTimeout is how long a stop waits for running work; 0 =
	// for ever. Unit s, default 60.
	GracefulShutdownTimeout time.Duration `ini:"graceful_shutdown_timeout" default:"60" min:"0"`
}

// Capacity is what the host offers and keeps for itself.
type Capacity struct {
	// CPUAllocationRatio overcommits VCPU; unset or 0 leaves Placement's.
	CPUAllocationRatio *float64 `ini:"cpu_allocation_ratio" min:"0"`
	// RAMAllocationRatio overcommits MEMORY_MB; unset or 0 leaves Placement's.
	RAMAllocationRatio *float64 `ini:"ram_allocation_ratio" min:"0"`
	// DiskAllocationRatio overcommits DISK_GB; unset or 0 leaves Placement's.
	DiskAllocationRatio *float64 `ini:"disk_allocation_ratio" min:"0"`
	// InitialCPUAllocationRatio is for a new inventory. Default 16 (2023.1: 4).
	InitialCPUAllocationRatio float64 `ini:"initial_cpu_allocation_ratio" default:"16.0" later:"2023.1=4.0" min:"0"`
	// InitialRAMAllocationRatio is for a new inventory. Default 1.5 (2023.1: 1).
	InitialRAMAllocationRatio float64 `ini:"initial_ram_allocation_ratio" default:"1.5" later:"2023.1=1.0" min:"0"`
	// InitialDiskAllocationRatio is for a new inventory. Default 1.
	InitialDiskAllocationRatio float64 `ini:"initial_disk_allocation_ratio" default:"1.0" min:"0"`
	// ReservedHostCPUs are kept from guests, in CPUs. Default 0.
	ReservedHostCPUs int `ini:"reserved_host_cpus" default:"0" min:"0"`
	// ReservedHostMemoryMB is kept from guests. Unit MiB, default 512.
	ReservedHostMemoryMB int `ini:"reserved_host_memory_mb" default:"512" min:"0"`
	// ReservedHostDiskMB is kept from guests. Unit MiB, default 0.
	ReservedHostDiskMB int `ini:"reserved_host_disk_mb" default:"0" min:"0"`
	// ReservedHugePages are kept from guests, one node:N,size:KiB,count:N each.
	ReservedHugePages []map[string]string `ini:"reserved_huge_pages" kind:"multi"`
	// VCPUPinSet is the CPUs guests may use, "4-12,^8". Default: unset.
	VCPUPinSet string `ini:"vcpu_pin_set"`
	// UpdateResourcesInterval paces update_available_resource; 0 = the rate of
	// all periodic tasks (60 s), negative = never. Unit s, default 0.
	UpdateResourcesInterval time.Duration `ini:"update_resources_interval" default:"0"`
}

// Usage is the options about telling others what ran.
type Usage struct {
	// InstanceUsageAudit sends compute.instance.exists. Default false.
	InstanceUsageAudit bool `ini:"instance_usage_audit" default:"false"`
	// InstanceUsageAuditPeriod is hour, day, month or year, "@offset". Default month.
	InstanceUsageAuditPeriod string `ini:"instance_usage_audit_period" default:"month"`
	// VolumeUsagePollInterval paces volume usage; 0 = off. Unit s, default 0.
	VolumeUsagePollInterval time.Duration `ini:"volume_usage_poll_interval" default:"0" unused:"volumes"`
}
