// Package recovery says what is to become of an instance that a compute node finds when it starts: the process before
// it may have been stopped or killed at any point of any operation.
//
// It is one table, pure and complete. It goes as far as Nova's own node does and, where that one leaves an instance
// stuck in its task, further. Two rules run through it: what the user asked for last is finished if that needs nothing
// but the records, and a guest is never started, stopped or removed on doubt.
package recovery

import (
	"slices"

	"bolide/rpc/nova"
)

// Finding is an instance as it is found.
type Finding struct {
	VM       nova.VMState
	Task     nova.TaskState
	Power    nova.PowerState // of the guest, as the hypervisor has it; PowerNoState: it has none
	Recorded nova.PowerState // of the guest, as the record has it
}

// Remedy is what is done about it.
type Remedy string

// The remedies. Those named after an operation do it again, or finish it.
const (
	Leave Remedy = "leave alone" // nothing was interrupted

	Delete     Remedy = "delete"
	SoftDelete Remedy = "soft delete"
	Restore    Remedy = "restore"
	Start      Remedy = "start"
	Stop       Remedy = "stop"
	Pause      Remedy = "pause"
	Unpause    Remedy = "unpause"
	Suspend    Remedy = "suspend"
	Resume     Remedy = "resume"
	SoftReboot Remedy = "soft reboot"
	HardReboot Remedy = "hard reboot"
	EndReboot  Remedy = "end reboot" // the guest runs: only the record has to say so
	Unrescue   Remedy = "unrescue"
	Offload    Remedy = "offload"

	GiveUpBuild    Remedy = "give up build"    // nothing of it stays; the instance is in error, on no host
	GiveUpUnshelve Remedy = "give up unshelve" // nothing of it stays; the instance is on its shelf, on no host
	GiveUpImage    Remedy = "give up image"    // a snapshot's, backup's or shelving's; the guest goes on as it was
	GiveUpRescue   Remedy = "give up rescue"   // the guest goes on from its own disk
	GiveUpTask     Remedy = "give up task"     // the guest was not touched, or it does not matter: the user may ask again
	Fail           Remedy = "fail"             // what the guest's disks hold is not known: the instance is in error

	EndMove      Remedy = "end move"      // a resize or cold migration: it goes back to the last place where the guest was whole
	EndMigration Remedy = "end migration" // a live migration; the guest stays where it is

	Bring Remedy = "bring back" // the guest should run and does not: it went down with its host
)

// row is one line of the table: it holds for what has one of the states it names.
type row struct {
	vm    []nova.VMState    // nil: any
	task  []nova.TaskState  // nil: any
	power []nova.PowerState // nil: any
	do    Remedy
}

var (
	anyVM []nova.VMState

	running = []nova.PowerState{nova.PowerRunning}
	off     = []nova.PowerState{nova.PowerNoState, nova.PowerShutdown, nova.PowerCrashed}
)

func vm(states ...nova.VMState) []nova.VMState       { return states }
func task(states ...nova.TaskState) []nova.TaskState { return states }

// table is read from above; the first line that holds decides. A task that stands in none is not ours to end: the API,
// the conductor or another host is at it, and its request may be on the way.
var table = []row{
	// What the user wants gone goes, from whatever state.
	{anyVM, task(nova.TaskDeleting), nil, Delete},
	{vm(nova.VMDeleted), nil, nil, Delete},
	{anyVM, task(nova.TaskSoftDeleting), nil, SoftDelete},
	{anyVM, task(nova.TaskRestoring), nil, Restore},
	{vm(nova.VMSoftDeleted), nil, nil, Leave},

	// What never was, or has its data elsewhere, leaves nothing behind. Nothing else is ever removed.
	{vm(nova.VMBuilding), nil, nil, GiveUpBuild},
	{vm(nova.VMShelvedOffloaded), nil, nil, GiveUpUnshelve},

	// Its disks may hold the old guest, the new one or half of it.
	{anyVM, task(nova.TaskRebuilding, nova.TaskRebuildBlockDeviceMapping, nova.TaskRebuildSpawning), nil, Fail},
	{anyVM, task(nova.TaskScheduling, nova.TaskNetworking, nova.TaskBlockDeviceMapping, nova.TaskSpawning), nil, Fail},

	{anyVM, task(nova.TaskImageSnapshotPending, nova.TaskImageSnapshot, nova.TaskImagePendingUpload, nova.TaskImageUploading,
		nova.TaskImageBackup), nil, GiveUpImage},
	{anyVM, task(nova.TaskShelving, nova.TaskShelvingImagePendingUpload, nova.TaskShelvingImageUploading), nil, GiveUpImage},
	{vm(nova.VMShelved), task(nova.TaskShelvingOffloading), nil, Offload},

	{anyVM, task(nova.TaskResizePrep, nova.TaskResizeMigrating, nova.TaskResizeFinish, nova.TaskResizeReverting), nil, EndMove},
	{anyVM, task(nova.TaskMigrating), nil, EndMigration},

	// A reboot that had begun and whose guest runs is done.
	{anyVM, task(nova.TaskRebootStarted, nova.TaskRebootStartedHard), running, EndReboot},
	{anyVM, task(nova.TaskRebooting, nova.TaskRebootPending), running, SoftReboot},
	{anyVM, task(nova.TaskRebooting, nova.TaskRebootPending, nova.TaskRebootStarted,
		nova.TaskRebootingHard, nova.TaskRebootPendingHard, nova.TaskRebootStartedHard), nil, HardReboot},

	{anyVM, task(nova.TaskPoweringOff), nil, Stop},
	{anyVM, task(nova.TaskPoweringOn), nil, Start},
	{anyVM, task(nova.TaskPausing), nil, Pause},
	{anyVM, task(nova.TaskUnpausing), nil, Unpause},
	{anyVM, task(nova.TaskSuspending), nil, Suspend},
	{anyVM, task(nova.TaskResuming), nil, Resume},
	{anyVM, task(nova.TaskRescuing), nil, GiveUpRescue},
	{anyVM, task(nova.TaskUnrescuing), nil, Unrescue},
	{anyVM, task(nova.TaskUpdatingPassword), nil, GiveUpTask},

	{vm(nova.VMActive, nova.VMRescued), task(nova.NoTask), off, Bring},
}

// For looks up what is to be done about what was found.
func For(f Finding) Remedy {
	for _, r := range table {
		if holds(r.vm, f.VM) && holds(r.task, f.Task) && holds(r.power, f.Power) {
			if r.do == Bring && f.Recorded != nova.PowerRunning {
				return Leave // it was off before
			}
			return r.do
		}
	}
	return Leave
}

func holds[S comparable](states []S, s S) bool { return states == nil || slices.Contains(states, s) }

// AsRequested reports whether the task is the one that the API set before it asked this node for anything: then the
// request may still be on its way here, and is to be preferred to a remedy.
func AsRequested(t nova.TaskState) bool { return slices.Contains(requested, t) }

var requested = task(nova.TaskRebooting, nova.TaskRebootingHard, nova.TaskPoweringOff, nova.TaskPoweringOn,
	nova.TaskPausing, nova.TaskUnpausing, nova.TaskSuspending, nova.TaskResuming, nova.TaskRescuing, nova.TaskUnrescuing,
	nova.TaskImageSnapshotPending, nova.TaskImageBackup, nova.TaskShelving, nova.TaskShelvingOffloading, nova.TaskUnshelving,
	nova.TaskRebuilding, nova.TaskResizePrep, nova.TaskResizeReverting, nova.TaskMigrating, nova.TaskUpdatingPassword,
	nova.TaskSoftDeleting, nova.TaskRestoring)
