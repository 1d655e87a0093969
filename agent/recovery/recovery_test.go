package recovery

import (
	"slices"
	"testing"

	"bolide/rpc/nova"
)

func TestWhatANodeFindsWhenItStarts(t *testing.T) {
	const (
		run, stood, none = nova.PowerRunning, nova.PowerPaused, nova.PowerNoState
		down, crash      = nova.PowerShutdown, nova.PowerCrashed
	)
	for _, c := range []struct {
		vm    nova.VMState
		task  nova.TaskState
		power nova.PowerState
		want  Remedy
	}{
		{nova.VMActive, nova.NoTask, run, Leave},
		{nova.VMActive, nova.NoTask, stood, Leave}, // somebody paused it by hand
		{nova.VMActive, nova.NoTask, down, Bring},
		{nova.VMActive, nova.NoTask, crash, Bring},
		{nova.VMActive, nova.NoTask, none, Bring},
		{nova.VMStopped, nova.NoTask, down, Leave},
		{nova.VMStopped, nova.NoTask, run, Leave}, // the comparison of power states sees to it
		{nova.VMPaused, nova.NoTask, down, Leave}, // its memory is lost: it cannot be brought back paused
		{nova.VMSuspended, nova.NoTask, down, Leave},
		{nova.VMShelved, nova.NoTask, down, Leave},
		{nova.VMResized, nova.NoTask, run, Leave},
		{nova.VMError, nova.NoTask, run, Leave},
		{nova.VMError, nova.NoTask, none, Leave},
		{nova.VMRescued, nova.NoTask, run, Leave},

		{nova.VMBuilding, nova.TaskDeleting, run, Delete},
		{nova.VMError, nova.TaskDeleting, none, Delete},
		{nova.VMActive, nova.TaskDeleting, run, Delete},
		{nova.VMDeleted, nova.NoTask, none, Delete},
		{nova.VMSoftDeleted, nova.NoTask, run, Leave},
		{nova.VMSoftDeleted, nova.TaskRestoring, down, Restore},
		{nova.VMActive, nova.TaskSoftDeleting, run, SoftDelete},

		{nova.VMBuilding, nova.NoTask, none, GiveUpBuild},
		{nova.VMBuilding, nova.TaskScheduling, none, GiveUpBuild},
		{nova.VMBuilding, nova.TaskSpawning, run, GiveUpBuild},
		{nova.VMShelvedOffloaded, nova.TaskSpawning, run, GiveUpUnshelve},
		{nova.VMShelvedOffloaded, nova.NoTask, none, GiveUpUnshelve}, // the offload had yet to take this host off the record
		{nova.VMActive, nova.TaskSpawning, run, Fail},
		{nova.VMActive, nova.TaskRebuildSpawning, none, Fail},
		{nova.VMStopped, nova.TaskRebuilding, down, Fail},
		{nova.VMError, nova.TaskRebuilding, down, Fail},

		{nova.VMActive, nova.TaskImageUploading, run, GiveUpImage},
		{nova.VMStopped, nova.TaskImageBackup, down, GiveUpImage},
		{nova.VMActive, nova.TaskShelvingImageUploading, down, GiveUpImage},
		{nova.VMShelved, nova.TaskShelvingOffloading, down, Offload},

		{nova.VMActive, nova.TaskResizePrep, run, EndMove},
		{nova.VMActive, nova.TaskResizeMigrating, down, EndMove},
		{nova.VMError, nova.TaskResizeMigrating, none, EndMove},
		{nova.VMActive, nova.TaskResizeMigrated, none, Leave}, // finish_resize is on its way here
		{nova.VMActive, nova.TaskResizeFinish, none, EndMove},
		{nova.VMActive, nova.TaskMigrating, run, EndMigration},
		{nova.VMPaused, nova.TaskMigrating, stood, EndMigration},

		{nova.VMActive, nova.TaskRebooting, run, SoftReboot},
		{nova.VMActive, nova.TaskRebootPending, run, SoftReboot},
		{nova.VMActive, nova.TaskRebootPending, down, HardReboot}, // it shut down and was not started again
		{nova.VMActive, nova.TaskRebootStarted, run, EndReboot},
		{nova.VMActive, nova.TaskRebootStarted, down, HardReboot},
		{nova.VMActive, nova.TaskRebootingHard, run, HardReboot},
		{nova.VMActive, nova.TaskRebootPendingHard, run, HardReboot},
		{nova.VMActive, nova.TaskRebootStartedHard, none, HardReboot},
		{nova.VMError, nova.TaskRebootStartedHard, run, EndReboot},

		{nova.VMActive, nova.TaskPoweringOff, run, Stop},
		{nova.VMActive, nova.TaskPoweringOff, down, Stop},
		{nova.VMStopped, nova.TaskPoweringOn, run, Start},
		{nova.VMShelved, nova.TaskPoweringOn, down, Start},
		{nova.VMActive, nova.TaskPausing, stood, Pause},
		{nova.VMPaused, nova.TaskUnpausing, run, Unpause},
		{nova.VMActive, nova.TaskSuspending, down, Suspend},
		{nova.VMSuspended, nova.TaskResuming, run, Resume},
		{nova.VMActive, nova.TaskRescuing, run, GiveUpRescue},
		{nova.VMRescued, nova.TaskUnrescuing, none, Unrescue},
		{nova.VMActive, nova.TaskUpdatingPassword, run, GiveUpTask},
	} {
		f := Finding{VM: c.vm, Task: c.task, Power: c.power, Recorded: nova.PowerRunning}
		if got := For(f); got != c.want {
			t.Errorf("%s/%s, guest %s: %s, want %s", c.vm, c.task, c.power, got, c.want)
		}
	}
}

var (
	everyVM = vm(nova.VMActive, nova.VMBuilding, nova.VMPaused, nova.VMSuspended, nova.VMStopped, nova.VMRescued, nova.VMResized,
		nova.VMSoftDeleted, nova.VMDeleted, nova.VMError, nova.VMShelved, nova.VMShelvedOffloaded)
	everyTask = task(nova.NoTask, nova.TaskScheduling, nova.TaskBlockDeviceMapping, nova.TaskNetworking, nova.TaskSpawning,
		nova.TaskImageSnapshot, nova.TaskImageSnapshotPending, nova.TaskImagePendingUpload, nova.TaskImageUploading, nova.TaskImageBackup,
		nova.TaskUpdatingPassword, nova.TaskResizePrep, nova.TaskResizeMigrating, nova.TaskResizeMigrated, nova.TaskResizeFinish,
		nova.TaskResizeReverting, nova.TaskResizeConfirming, nova.TaskRebooting, nova.TaskRebootPending, nova.TaskRebootStarted,
		nova.TaskRebootingHard, nova.TaskRebootPendingHard, nova.TaskRebootStartedHard, nova.TaskPausing, nova.TaskUnpausing,
		nova.TaskSuspending, nova.TaskResuming, nova.TaskPoweringOff, nova.TaskPoweringOn, nova.TaskRescuing, nova.TaskUnrescuing,
		nova.TaskRebuilding, nova.TaskRebuildBlockDeviceMapping, nova.TaskRebuildSpawning, nova.TaskMigrating, nova.TaskDeleting,
		nova.TaskSoftDeleting, nova.TaskRestoring, nova.TaskShelving, nova.TaskShelvingImagePendingUpload,
		nova.TaskShelvingImageUploading, nova.TaskShelvingOffloading, nova.TaskUnshelving)
	everyPower = []nova.PowerState{nova.PowerNoState, nova.PowerRunning, nova.PowerPaused, nova.PowerShutdown, nova.PowerCrashed, nova.PowerSuspended}
)

// TestNothingIsRemovedThatMayHoldData goes through every state that a record can be in, also those that no operation
// makes.
func TestNothingIsRemovedThatMayHoldData(t *testing.T) {
	for _, v := range everyVM {
		for _, k := range everyTask {
			for _, p := range everyPower {
				f := Finding{VM: v, Task: k, Power: p, Recorded: nova.PowerRunning}
				switch For(f) {
				case GiveUpBuild:
					if v != nova.VMBuilding {
						t.Errorf("%+v: removed", f)
					}
				case GiveUpUnshelve:
					if v != nova.VMShelvedOffloaded {
						t.Errorf("%+v: removed", f)
					}
				case Delete:
					if v != nova.VMDeleted && k != nova.TaskDeleting {
						t.Errorf("%+v: deleted", f)
					}
				case Offload:
					if v != nova.VMShelved {
						t.Errorf("%+v: offloaded without an image", f)
					}
				}
			}
		}
	}
}

// TestNoTaskIsLeftStanding holds that an instance stays in its task only while somebody else is at it.
func TestNoTaskIsLeftStanding(t *testing.T) {
	others := task(nova.NoTask, nova.TaskResizeMigrated, nova.TaskResizeConfirming, nova.TaskUnshelving)
	for _, k := range everyTask {
		for _, v := range vm(nova.VMActive, nova.VMStopped, nova.VMError, nova.VMRescued, nova.VMPaused) {
			for _, p := range everyPower {
				f := Finding{VM: v, Task: k, Power: p}
				left := For(f) == Leave
				if left && !slices.Contains(others, k) && k != nova.TaskShelvingOffloading {
					t.Errorf("%+v: left in its task", f)
				}
			}
		}
	}
}

func TestAGuestThatWasOffStaysOff(t *testing.T) {
	for _, p := range []nova.PowerState{nova.PowerShutdown, nova.PowerNoState, nova.PowerPaused} {
		f := Finding{VM: nova.VMActive, Power: nova.PowerShutdown, Recorded: p}
		if got := For(f); got != Leave {
			t.Errorf("recorded as %s: %s", p, got)
		}
	}
}
