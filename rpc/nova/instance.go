package nova

import (
	"maps"
	"time"
)

// Instance is a view of an Instance object. Optional parts (flavor, info
// cache, metadata, …) are there only if they were asked for.
type Instance struct{ *Object }

// ID is the database id, which the name template is filled with.
func (i Instance) ID() int64                      { return i.Int("id") }
func (i Instance) UUID() string                   { return i.Str("uuid") }
func (i Instance) UserID() string                 { return i.Str("user_id") }
func (i Instance) ProjectID() string              { return i.Str("project_id") }
func (i Instance) ReservationID() string          { return i.Str("reservation_id") }
func (i Instance) DisplayName() string            { return i.Str("display_name") }
func (i Instance) DisplayDescription() string     { return i.Str("display_description") }
func (i Instance) Hostname() string               { return i.Str("hostname") }
func (i Instance) AvailabilityZone() string       { return i.Str("availability_zone") }
func (i Instance) LaunchIndex() int64             { return i.Int("launch_index") }
func (i Instance) ImageRef() string               { return i.Str("image_ref") }
func (i Instance) KernelID() string               { return i.Str("kernel_id") }
func (i Instance) RamdiskID() string              { return i.Str("ramdisk_id") }
func (i Instance) KeyName() string                { return i.Str("key_name") }
func (i Instance) KeyData() string                { return i.Str("key_data") }
func (i Instance) OSType() string                 { return i.Str("os_type") }
func (i Instance) Architecture() string           { return i.Str("architecture") }
func (i Instance) VMMode() string                 { return i.Str("vm_mode") }
func (i Instance) RootDeviceName() string         { return i.Str("root_device_name") }
func (i Instance) DefaultEphemeralDevice() string { return i.Str("default_ephemeral_device") }
func (i Instance) DefaultSwapDevice() string      { return i.Str("default_swap_device") }
func (i Instance) Locked() bool                   { return i.Bool("locked") }
func (i Instance) Hidden() bool                   { return i.Bool("hidden") }
func (i Instance) Deleted() bool                  { return i.Bool("deleted") }
func (i Instance) Cleaned() bool                  { return i.Bool("cleaned") }
func (i Instance) AutoDiskConfig() bool           { return i.Bool("auto_disk_config") }
func (i Instance) ShutdownTerminate() bool        { return i.Bool("shutdown_terminate") }
func (i Instance) CreatedAt() time.Time           { return i.Time("created_at") }
func (i Instance) UpdatedAt() time.Time           { return i.Time("updated_at") }
func (i Instance) LaunchedAt() time.Time          { return i.Time("launched_at") }
func (i Instance) TerminatedAt() time.Time        { return i.Time("terminated_at") }
func (i Instance) DeletedAt() time.Time           { return i.Time("deleted_at") }

// UserData is the base64 text the user gave, "" for none.
func (i Instance) UserData() string { return i.Str("user_data") }

// ConfigDrive tells whether the user asked for a config drive.
func (i Instance) ConfigDrive() bool { return i.Bool("config_drive") }

// Host is the compute service the instance is on, "" while it is on none.
func (i Instance) Host() string { return i.Str("host") }

// Node is the hypervisor host name of the compute node it is on.
func (i Instance) Node() string { return i.Str("node") }

// LaunchedOn is the host the instance was first built on.
func (i Instance) LaunchedOn() string { return i.Str("launched_on") }

// ComputeID is the database id of the compute node, known from 2024.1 on.
func (i Instance) ComputeID() int64 { return i.Int("compute_id") }

// MemoryMB, VCPUs, RootGB and EphemeralGB repeat the flavor for the scheduler.
func (i Instance) MemoryMB() int64       { return i.Int("memory_mb") }
func (i Instance) VCPUs() int64          { return i.Int("vcpus") }
func (i Instance) RootGB() int64         { return i.Int("root_gb") }
func (i Instance) EphemeralGB() int64    { return i.Int("ephemeral_gb") }
func (i Instance) InstanceTypeID() int64 { return i.Int("instance_type_id") }

func (i Instance) VMState() VMState       { return VMState(i.Str("vm_state")) }
func (i Instance) TaskState() TaskState   { return TaskState(i.Str("task_state")) }
func (i Instance) PowerState() PowerState { return PowerState(i.Int("power_state")) }
func (i Instance) Progress() int64        { return i.Int("progress") }

// Metadata is a copy of what the user attached.
func (i Instance) Metadata() map[string]string { return i.Map("metadata") }

// SystemMetadata is a copy of what Nova keeps about the instance for itself.
func (i Instance) SystemMetadata() map[string]string { return i.Map("system_metadata") }

func (i Instance) Flavor() Flavor               { return Flavor{i.Obj("flavor")} }
func (i Instance) OldFlavor() Flavor            { return Flavor{i.Obj("old_flavor")} }
func (i Instance) NewFlavor() Flavor            { return Flavor{i.Obj("new_flavor")} }
func (i Instance) InfoCache() InstanceInfoCache { return InstanceInfoCache{i.Obj("info_cache")} }
func (i Instance) PCIRequests() InstancePCIRequests {
	return InstancePCIRequests{i.Obj("pci_requests")}
}
func (i Instance) NUMATopology() InstanceNUMATopology {
	return InstanceNUMATopology{i.Obj("numa_topology")}
}
func (i Instance) MigrationContext() MigrationContext {
	return MigrationContext{i.Obj("migration_context")}
}
func (i Instance) PCIDevices() []*PciDevice { return AsList[PciDevice](i.List("pci_devices")) }
func (i Instance) KeyPairs() []*KeyPair     { return AsList[KeyPair](i.List("keypairs")) }
func (i Instance) EC2Ids() EC2Ids           { return EC2Ids{i.Obj("ec2_ids")} }

// TrustedCerts are the ids of the certificates an image signature must chain to.
func (i Instance) TrustedCerts() []string { return i.Obj("trusted_certs").Strings("ids") }

// SecurityGroups are the names of the instance's groups. Releases from 2024.1
// on no longer load them by default.
func (i Instance) SecurityGroups() []string {
	return fieldOfEach(i.List("security_groups"), "name")
}

// Tags are the server tags.
func (i Instance) Tags() []string { return fieldOfEach(i.List("tags"), "tag") }

// DeviceMetadata describes tagged devices for the guest's metadata.
func (i Instance) DeviceMetadata() []*Object { return i.Obj("device_metadata").List("devices") }

// SetHost places the instance; "" is null, as when a build is given back.
func (i Instance) SetHost(host string) { i.Set("host", nullable(host)) }

// SetNode names the compute node; "" is null.
func (i Instance) SetNode(node string)                { i.Set("node", nullable(node)) }
func (i Instance) SetLaunchedOn(host string)          { i.Set("launched_on", nullable(host)) }
func (i Instance) SetVMState(s VMState)               { i.Set("vm_state", nullable(s)) }
func (i Instance) SetPowerState(p PowerState)         { i.Set("power_state", int(p)) }
func (i Instance) SetProgress(percent int)            { i.Set("progress", percent) }
func (i Instance) SetLaunchedAt(t time.Time)          { i.Set("launched_at", t) }
func (i Instance) SetTerminatedAt(t time.Time)        { i.Set("terminated_at", t) }
func (i Instance) SetRootDeviceName(name string)      { i.Set("root_device_name", nullable(name)) }
func (i Instance) SetDefaultEphemeralDevice(n string) { i.Set("default_ephemeral_device", nullable(n)) }
func (i Instance) SetDefaultSwapDevice(n string)      { i.Set("default_swap_device", nullable(n)) }

// SetComputeID goes with SetNode in releases with Profile.ComputeIDs; 0 is null.
func (i Instance) SetComputeID(id int64) {
	if id == 0 {
		i.Set("compute_id", nil)
		return
	}
	i.Set("compute_id", id)
}

// SetTaskState takes NoTask for "nothing is being done".
func (i Instance) SetTaskState(s TaskState) { i.Set("task_state", nullable(s)) }

// SetSystemMetadata replaces all of the system metadata.
func (i Instance) SetSystemMetadata(m map[string]string) { i.Set("system_metadata", m) }

// PutSystemMetadata sets one key of the system metadata and keeps the others,
// also those that are null.
func (i Instance) PutSystemMetadata(key, value string) {
	dict := i.systemMetadata()
	dict[key] = value
	i.Set("system_metadata", dict)
}

// DropSystemMetadata removes keys from the system metadata.
func (i Instance) DropSystemMetadata(keys ...string) {
	dict := i.systemMetadata()
	for _, key := range keys {
		delete(dict, key)
	}
	i.Set("system_metadata", dict)
}

func (i Instance) systemMetadata() map[string]any {
	dict, _ := i.Raw("system_metadata").(map[string]any)
	if dict == nil {
		return map[string]any{}
	}
	return maps.Clone(dict)
}

func fieldOfEach(objects []*Object, field string) []string {
	out := make([]string, len(objects))
	for i, o := range objects {
		out[i] = o.Str(field)
	}
	return out
}
