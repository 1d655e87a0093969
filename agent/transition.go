package agent

import (
	"context"
	"fmt"
	"slices"

	"bolide/rpc/nova"
)

// change names one permitted write of an instance's states.
type change string

const (
	buildAccepted   change = "build accepted"
	buildNetworking change = "build networking"
	buildDevices    change = "build devices"
	buildSpawning   change = "build spawning"
	buildDone       change = "build done"
	buildReschedule change = "build reschedule"
	buildFailed     change = "build failed"
	buildTimedOut   change = "build timed out"
	deleteDone      change = "delete done"
	deleteFailed    change = "delete failed"

	started        change = "started"
	stopped        change = "stopped"
	foundStopped   change = "found stopped"
	stoppingItself change = "stopping itself"
	paused         change = "paused"
	unpaused       change = "unpaused"
	suspended      change = "suspended"
	resumed        change = "resumed"

	passwordSet change = "password set"

	rebootPending     change = "reboot pending"
	rebootStarted     change = "reboot started"
	rebootPendingHard change = "hard reboot pending"
	rebootStartedHard change = "hard reboot started"
	rebooted          change = "rebooted"
	rebootFailed      change = "reboot failed"

	snapshotAccepted  change = "snapshot accepted"
	snapshotPending   change = "snapshot pending"
	backupPending     change = "backup pending"
	snapshotUploading change = "snapshot uploading"
	snapshotAgain     change = "snapshot pending again"
	snapshotDone      change = "snapshot done"
	snapshotGivenUp   change = "snapshot given up"

	shelvePending    change = "shelve pending"
	shelveUploading  change = "shelve uploading"
	shelveAgain      change = "shelve pending again"
	shelved          change = "shelved"
	shelvedToOffload change = "shelved, to be offloaded"
	offloadDue       change = "offload due"
	offloaded        change = "offloaded"
	leftHost         change = "left the host"
	unshelveSpawning change = "unshelve spawning"
	unshelved        change = "unshelved"
	softDeleted      change = "soft deleted"
	restored         change = "restored"

	resizeRetried   change = "resize retried"
	resizeMigrating change = "resize migrating"
	resizeMigrated  change = "resize migrated"
	resizeTakenBack change = "resize taken back"
	resizeFinishing change = "resize finishing"
	resizeResumed   change = "resize resumed"
	resizeDone      change = "resize done"
	resizeConfirmed change = "resize confirmed"
	revertLeft      change = "revert left"
	revertArrived   change = "revert arrived"
	revertDone      change = "revert done"
	reverted        change = "reverted"
	revertedToStop  change = "reverted to stop"
	moveRolledBack  change = "move rolled back"
	moveFailed      change = "move failed"

	becomesHard     change = "reboot becomes hard"
	unshelveGivenUp change = "unshelve given up"
	taskGivenUp     change = "task given up"
	cutShort        change = "cut short"

	liveArrived change = "arrived running"
	liveStayed  change = "stayed running"
	liveBroken  change = "live migration broken off"

	rescued        change = "rescued"
	rescueFailed   change = "rescue failed"
	unrescueDue    change = "unrescue due"
	unrescued      change = "unrescued"
	unrescueFailed change = "unrescue failed"

	rebuildAccepted change = "rebuild accepted"
	rebuildDevices  change = "rebuild devices"
	rebuildSpawning change = "rebuild spawning"
	rebuilt         change = "rebuilt"
	rebuiltToStop   change = "rebuilt to stop"
	rebuildFailed   change = "rebuild failed"
)

// keepTask in a rule leaves the task state as it is.
const keepTask = nova.TaskState("\x00keep")

// rule is one row of the table: what the record must hold for the write to be made, and what it then holds.
type rule struct {
	from []nova.TaskState // task states of which the record must hold one; nil: not checked
	vm   []nova.VMState   // the new vm_state is one of these; nil: as it is
	task nova.TaskState   // "": none
}

// anyVM is for changes that go back to a state recorded before.
var anyVM = []nova.VMState{nova.VMActive, nova.VMStopped, nova.VMPaused, nova.VMSuspended, nova.VMRescued, nova.VMResized, nova.VMError}

// transitions is every write of vm_state and task_state that this node makes, from wire.md's table of Nova's
// state machine. The conductor refuses a write whose from does not hold, which is how a delete in the middle of
// another operation is noticed.
var transitions = map[change]rule{
	buildAccepted:   {from: []nova.TaskState{nova.TaskScheduling, nova.NoTask}, vm: []nova.VMState{nova.VMBuilding}},
	buildNetworking: {from: []nova.TaskState{nova.NoTask}, vm: []nova.VMState{nova.VMBuilding}, task: nova.TaskNetworking},
	buildDevices:    {vm: []nova.VMState{nova.VMBuilding}, task: nova.TaskBlockDeviceMapping},
	buildSpawning:   {from: []nova.TaskState{nova.TaskBlockDeviceMapping}, vm: []nova.VMState{nova.VMBuilding}, task: nova.TaskSpawning},
	buildDone:       {from: []nova.TaskState{nova.TaskSpawning}, vm: []nova.VMState{nova.VMActive}},
	buildReschedule: {task: nova.TaskScheduling},
	buildTimedOut:   {vm: []nova.VMState{nova.VMError}},
	buildFailed:     {vm: []nova.VMState{nova.VMError}},

	deleteDone:   {vm: []nova.VMState{nova.VMDeleted}},
	deleteFailed: {vm: []nova.VMState{nova.VMError}, task: keepTask},

	started:        {from: []nova.TaskState{nova.TaskPoweringOn}, vm: []nova.VMState{nova.VMActive}},
	stopped:        {from: []nova.TaskState{nova.TaskPoweringOff}, vm: []nova.VMState{nova.VMStopped}},
	foundStopped:   {from: []nova.TaskState{nova.TaskPoweringOff, nova.NoTask}, vm: []nova.VMState{nova.VMStopped}},
	stoppingItself: {from: []nova.TaskState{nova.NoTask}, task: nova.TaskPoweringOff},
	paused:         {from: []nova.TaskState{nova.TaskPausing}, vm: []nova.VMState{nova.VMPaused}},
	unpaused:       {from: []nova.TaskState{nova.TaskUnpausing}, vm: []nova.VMState{nova.VMActive}},
	suspended:      {from: []nova.TaskState{nova.TaskSuspending}, vm: []nova.VMState{nova.VMSuspended}},
	resumed:        {from: []nova.TaskState{nova.TaskResuming}, vm: anyVM},

	passwordSet: {from: []nova.TaskState{nova.TaskUpdatingPassword}},

	rebootPending:     {from: []nova.TaskState{nova.TaskRebooting, nova.TaskRebootPending, nova.TaskRebootStarted}, task: nova.TaskRebootPending},
	rebootStarted:     {from: []nova.TaskState{nova.TaskRebootPending}, task: nova.TaskRebootStarted},
	rebootPendingHard: {from: []nova.TaskState{nova.TaskRebootingHard, nova.TaskRebootPendingHard, nova.TaskRebootStartedHard}, task: nova.TaskRebootPendingHard},
	rebootStartedHard: {from: []nova.TaskState{nova.TaskRebootPendingHard}, task: nova.TaskRebootStartedHard},
	rebooted:          {vm: []nova.VMState{nova.VMActive, nova.VMRescued}},
	rebootFailed:      {vm: []nova.VMState{nova.VMError}},

	snapshotAccepted:  {from: []nova.TaskState{nova.TaskImageSnapshotPending}, task: nova.TaskImageSnapshot},
	snapshotPending:   {from: []nova.TaskState{nova.TaskImageSnapshot}, task: nova.TaskImagePendingUpload},
	backupPending:     {from: []nova.TaskState{nova.TaskImageBackup}, task: nova.TaskImagePendingUpload},
	snapshotUploading: {from: []nova.TaskState{nova.TaskImagePendingUpload}, task: nova.TaskImageUploading},
	snapshotAgain:     {from: []nova.TaskState{nova.TaskImageUploading}, task: nova.TaskImagePendingUpload},
	snapshotDone:      {from: []nova.TaskState{nova.TaskImageUploading}},
	snapshotGivenUp:   {},

	shelvePending:    {from: []nova.TaskState{nova.TaskShelving}, task: nova.TaskShelvingImagePendingUpload},
	shelveUploading:  {from: []nova.TaskState{nova.TaskShelvingImagePendingUpload}, task: nova.TaskShelvingImageUploading},
	shelveAgain:      {from: []nova.TaskState{nova.TaskShelvingImageUploading}, task: nova.TaskShelvingImagePendingUpload},
	shelved:          {from: []nova.TaskState{nova.TaskShelving, nova.TaskShelvingImageUploading}, vm: []nova.VMState{nova.VMShelved}},
	shelvedToOffload: {from: []nova.TaskState{nova.TaskShelving, nova.TaskShelvingImageUploading}, vm: []nova.VMState{nova.VMShelved}, task: nova.TaskShelvingOffloading},
	offloadDue:       {from: []nova.TaskState{nova.NoTask}, task: nova.TaskShelvingOffloading},
	offloaded:        {from: []nova.TaskState{nova.TaskShelving, nova.TaskShelvingOffloading}, vm: []nova.VMState{nova.VMShelvedOffloaded}},
	leftHost:         {task: keepTask},
	unshelveSpawning: {task: nova.TaskSpawning},
	unshelved:        {from: []nova.TaskState{nova.TaskSpawning}, vm: []nova.VMState{nova.VMActive}},

	softDeleted: {from: []nova.TaskState{nova.TaskSoftDeleting}, vm: []nova.VMState{nova.VMSoftDeleted}},
	restored:    {from: []nova.TaskState{nova.TaskRestoring}, vm: []nova.VMState{nova.VMActive}},

	resizeRetried:   {task: nova.TaskResizePrep},
	resizeMigrating: {from: []nova.TaskState{nova.TaskResizePrep}, task: nova.TaskResizeMigrating},
	resizeMigrated:  {from: []nova.TaskState{nova.TaskResizeMigrating}, task: nova.TaskResizeMigrated},
	resizeTakenBack: {from: []nova.TaskState{nova.TaskResizeMigrating, nova.TaskResizeMigrated}, task: nova.TaskResizeMigrating},
	resizeFinishing: {from: []nova.TaskState{nova.TaskResizeMigrated}, task: nova.TaskResizeFinish},
	resizeResumed:   {from: []nova.TaskState{nova.TaskResizeFinish}, task: nova.TaskResizeFinish},
	resizeDone:      {from: []nova.TaskState{nova.TaskResizeFinish}, vm: []nova.VMState{nova.VMResized}},
	resizeConfirmed: {from: []nova.TaskState{nova.NoTask, nova.TaskDeleting, nova.TaskSoftDeleting}, vm: []nova.VMState{nova.VMActive, nova.VMStopped}},
	revertLeft:      {from: []nova.TaskState{nova.TaskResizeReverting}, task: keepTask},
	revertArrived:   {from: []nova.TaskState{nova.TaskResizeReverting}, task: keepTask},
	revertDone:      {from: []nova.TaskState{nova.TaskResizeReverting}, task: keepTask},
	reverted:        {vm: []nova.VMState{nova.VMActive}},
	revertedToStop:  {task: nova.TaskPoweringOff},
	moveRolledBack:  {vm: anyVM},
	moveFailed:      {vm: []nova.VMState{nova.VMError}, task: keepTask},

	becomesHard:     {from: []nova.TaskState{nova.TaskRebooting, nova.TaskRebootPending, nova.TaskRebootStarted}, task: nova.TaskRebootPendingHard},
	unshelveGivenUp: {vm: []nova.VMState{nova.VMShelvedOffloaded}},
	taskGivenUp:     {},
	cutShort:        {vm: []nova.VMState{nova.VMError}},

	liveArrived: {from: []nova.TaskState{nova.TaskMigrating}},
	liveStayed:  {from: []nova.TaskState{nova.TaskMigrating}},
	liveBroken:  {vm: []nova.VMState{nova.VMError}},

	rescued:        {from: []nova.TaskState{nova.TaskRescuing}, vm: []nova.VMState{nova.VMRescued}},
	rescueFailed:   {vm: []nova.VMState{nova.VMError}, task: keepTask},
	unrescueDue:    {from: []nova.TaskState{nova.NoTask}, task: nova.TaskUnrescuing},
	unrescued:      {from: []nova.TaskState{nova.TaskUnrescuing}, vm: []nova.VMState{nova.VMActive}},
	unrescueFailed: {vm: []nova.VMState{nova.VMError}, task: keepTask},

	rebuildAccepted: {from: []nova.TaskState{nova.TaskRebuilding}, task: nova.TaskRebuilding},
	rebuildDevices:  {from: []nova.TaskState{nova.TaskRebuilding}, task: nova.TaskRebuildBlockDeviceMapping},
	rebuildSpawning: {from: []nova.TaskState{nova.TaskRebuildBlockDeviceMapping}, task: nova.TaskRebuildSpawning},
	rebuilt:         {from: []nova.TaskState{nova.TaskRebuildSpawning}, vm: []nova.VMState{nova.VMActive}},
	rebuiltToStop:   {vm: []nova.VMState{nova.VMActive}, task: nova.TaskPoweringOff},
	rebuildFailed:   {vm: []nova.VMState{nova.VMError}, task: keepTask},
}

// move makes the change: it sets the states and whatever else set changes on the instance, and saves them in one
// write under the rule's condition. A rule with several new vm_states takes the one that set chose. The error is
// the conductor's; [nova.Is] tells UnexpectedDeletingTaskStateError and InstanceNotFound apart.
func (t *task) move(ctx context.Context, c change, set ...func(*nova.Instance)) error {
	r, ok := transitions[c]
	if !ok {
		return fmt.Errorf("change %q of instance %s is not in the table", c, t.inst.UUID())
	}
	for _, f := range set {
		f(t.inst)
	}
	switch {
	case len(r.vm) == 1:
		t.inst.SetVMState(r.vm[0])
	case len(r.vm) > 1 && !slices.Contains(r.vm, t.inst.VMState()):
		return fmt.Errorf("change %q of instance %s to %s is not in the table", c, t.inst.UUID(), t.inst.VMState())
	}
	if r.task != keepTask {
		// the record may hold another task than this copy does; written it must be
		t.inst.Unset("task_state")
		t.inst.SetTaskState(r.task)
	}
	return t.cond.SaveInstance(ctx, t.inst, nova.Expect{TaskStates: r.from})
}
