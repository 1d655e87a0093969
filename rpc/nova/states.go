package nova

// VMState is the stable state of an instance as Nova keeps it.
type VMState string

// The states of an instance. Their texts are what travels in vm_state.
const (
	VMActive           VMState = "active"
	VMBuilding         VMState = "building"
	VMPaused           VMState = "paused"
	VMSuspended        VMState = "suspended"
	VMStopped          VMState = "stopped"
	VMRescued          VMState = "rescued"
	VMResized          VMState = "resized"
	VMSoftDeleted      VMState = "soft-delete"
	VMDeleted          VMState = "deleted"
	VMError            VMState = "error"
	VMShelved          VMState = "shelved"
	VMShelvedOffloaded VMState = "shelved_offloaded"
)

// TaskState is what is being done to an instance; NoTask is null on the wire.
type TaskState string

// The tasks of an instance. Their texts are what travels in task_state.
const (
	NoTask TaskState = ""

	TaskScheduling         TaskState = "scheduling"
	TaskBlockDeviceMapping TaskState = "block_device_mapping"
	TaskNetworking         TaskState = "networking"
	TaskSpawning           TaskState = "spawning"

	TaskImageSnapshot        TaskState = "image_snapshot"
	TaskImageSnapshotPending TaskState = "image_snapshot_pending"
	TaskImagePendingUpload   TaskState = "image_pending_upload"
	TaskImageUploading       TaskState = "image_uploading"
	TaskImageBackup          TaskState = "image_backup"

	TaskUpdatingPassword TaskState = "updating_password"

	TaskResizePrep       TaskState = "resize_prep"
	TaskResizeMigrating  TaskState = "resize_migrating"
	TaskResizeMigrated   TaskState = "resize_migrated"
	TaskResizeFinish     TaskState = "resize_finish"
	TaskResizeReverting  TaskState = "resize_reverting"
	TaskResizeConfirming TaskState = "resize_confirming"

	TaskRebooting         TaskState = "rebooting"
	TaskRebootPending     TaskState = "reboot_pending"
	TaskRebootStarted     TaskState = "reboot_started"
	TaskRebootingHard     TaskState = "rebooting_hard"
	TaskRebootPendingHard TaskState = "reboot_pending_hard"
	TaskRebootStartedHard TaskState = "reboot_started_hard"

	TaskPausing     TaskState = "pausing"
	TaskUnpausing   TaskState = "unpausing"
	TaskSuspending  TaskState = "suspending"
	TaskResuming    TaskState = "resuming"
	TaskPoweringOff TaskState = "powering-off"
	TaskPoweringOn  TaskState = "powering-on"
	TaskRescuing    TaskState = "rescuing"
	TaskUnrescuing  TaskState = "unrescuing"

	TaskRebuilding                TaskState = "rebuilding"
	TaskRebuildBlockDeviceMapping TaskState = "rebuild_block_device_mapping"
	TaskRebuildSpawning           TaskState = "rebuild_spawning"

	TaskMigrating    TaskState = "migrating"
	TaskDeleting     TaskState = "deleting"
	TaskSoftDeleting TaskState = "soft-deleting"
	TaskRestoring    TaskState = "restoring"

	TaskShelving                   TaskState = "shelving"
	TaskShelvingImagePendingUpload TaskState = "shelving_image_pending_upload"
	TaskShelvingImageUploading     TaskState = "shelving_image_uploading"
	TaskShelvingOffloading         TaskState = "shelving_offloading"
	TaskUnshelving                 TaskState = "unshelving"
)

// PowerState is what the hypervisor says of a guest, in Nova's numbers.
type PowerState int

// The power states; the missing numbers are no longer used by Nova.
const (
	PowerNoState   PowerState = 0
	PowerRunning   PowerState = 1
	PowerPaused    PowerState = 3
	PowerShutdown  PowerState = 4
	PowerCrashed   PowerState = 6
	PowerSuspended PowerState = 7
)

// String is the name Nova shows, for example in diagnostics.
func (p PowerState) String() string {
	switch p {
	case PowerRunning:
		return "running"
	case PowerPaused:
		return "paused"
	case PowerShutdown:
		return "shutdown"
	case PowerCrashed:
		return "crashed"
	case PowerSuspended:
		return "suspended"
	}
	return "pending"
}
