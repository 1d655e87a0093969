package hypervisor

import (
	"context"
	"time"

	"libvirt.org/go/libvirt"
)

// Job is what libvirt does with a guest over a longer time: a migration, a save.
type Job struct {
	State     JobState
	Operation string // as in "outgoing migration"
	Error     string // of a failed job

	Elapsed   time.Duration
	Remaining time.Duration // libvirt's guess; 0 if it has none
	Downtime  time.Duration // how long the guest stood still, or is expected to
	Iteration uint64        // which pass over memory

	Data   Amount // memory and disks together
	Memory Amount
	Disk   Amount

	MemoryDirtyRate  uint64 // pages a second
	MemoryPageSize   uint64 // bytes
	PostcopyRequests uint64
	Throttle         int // percent of CPU time taken from the guest to converge
}

// Amount is how much of something a job has done, in bytes.
type Amount struct {
	Total, Processed, Remaining uint64
	Rate                        uint64 // bytes a second
}

// JobState is the state of a job.
type JobState string

// States of a job (virDomainJobType).
const (
	JobNone      JobState = "none" // there is no job
	JobRunning   JobState = "running"
	JobDone      JobState = "completed"
	JobFailed    JobState = "failed"
	JobCancelled JobState = "cancelled"
)

var jobStates = map[libvirt.DomainJobType]JobState{
	libvirt.DOMAIN_JOB_NONE:      JobNone,
	libvirt.DOMAIN_JOB_BOUNDED:   JobRunning,
	libvirt.DOMAIN_JOB_UNBOUNDED: JobRunning,
	libvirt.DOMAIN_JOB_COMPLETED: JobDone,
	libvirt.DOMAIN_JOB_FAILED:    JobFailed,
	libvirt.DOMAIN_JOB_CANCELLED: JobCancelled,
}

// jobOperations is virDomainJobOperation.
var jobOperations = []string{"unknown", "start", "save", "restore", "incoming migration", "outgoing migration",
	"snapshot", "snapshot revert", "dump", "backup", "snapshot delete"}

func jobOf(i *libvirt.DomainJobInfo) Job {
	ms := func(n uint64) time.Duration { return time.Duration(n) * time.Millisecond }
	j := Job{
		State: jobStates[i.Type], Operation: word(jobOperations, int(i.Operation)), Error: i.ErrorMessage,
		Elapsed: ms(i.TimeElapsed), Remaining: ms(i.TimeRemaining), Downtime: ms(i.Downtime),
		Iteration: i.MemIteration,
		Data:      Amount{Total: i.DataTotal, Processed: i.DataProcessed, Remaining: i.DataRemaining},
		Memory: Amount{Total: i.MemTotal, Processed: i.MemProcessed, Remaining: i.MemRemaining,
			Rate: i.MemBps},
		Disk: Amount{Total: i.DiskTotal, Processed: i.DiskProcessed, Remaining: i.DiskRemaining,
			Rate: i.DiskBps},
		MemoryDirtyRate: i.MemDirtyRate, MemoryPageSize: i.MemPageSize,
		PostcopyRequests: i.MemPostcopyReqs, Throttle: i.AutoConvergeThrottle,
	}
	if i.JobSuccessSet && !i.JobSuccess && j.State == JobDone {
		j.State = JobFailed
	}
	return j
}

// Job returns the job of a guest; its state is JobNone if there is none. It is
// ErrInvalidState if the guest is off.
func (h *Host) Job(ctx context.Context, uuid string) (Job, error) {
	return h.job(ctx, uuid, 0)
}

// LastJob returns the finished job of a guest, once.
func (h *Host) LastJob(ctx context.Context, uuid string) (Job, error) {
	return h.job(ctx, uuid, libvirt.DOMAIN_JOB_STATS_COMPLETED)
}

func (h *Host) job(ctx context.Context, uuid string, flags libvirt.DomainGetJobStatsFlags) (Job, error) {
	return act(ctx, h, call{op: "look at job of", guest: uuid, force: true}, func(d *libvirt.Domain) (Job, error) {
		info, err := d.GetJobStats(flags)
		if err != nil {
			return Job{}, err
		}
		return jobOf(info), nil
	})
}

// AbortJob asks a guest's job to end without success. The call that started it then
// returns ErrAborted.
func (h *Host) AbortJob(ctx context.Context, uuid string) error {
	return h.do(ctx, call{op: "abort job of", guest: uuid, force: true}, (*libvirt.Domain).AbortJob)
}
