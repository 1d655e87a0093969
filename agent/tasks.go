package agent

import (
	"context"
	"slices"
	"time"

	"bolide/agent/periodic"
	"bolide/rpc"
	"bolide/rpc/nova"
)

// periodic runs what is to be done again and again, in the rhythm that nova.conf sets.
func (a *Agent) periodic(ctx context.Context) error {
	d := a.cfg.Default
	if !d.PeriodicEnable {
		<-ctx.Done()
		return nil
	}
	return periodic.Run(ctx, periodic.Options{Delay: d.PeriodicFuzzyDelay, Log: a.log}, a.periodicTasks()...)
}

// periodicTasks are those that nova.conf has not switched off.
func (a *Agent) periodicTasks() []periodic.Task {
	d := a.cfg.Default
	tasks := []periodic.Task{
		{Name: "update_available_resource", Interval: spacing(d.UpdateResourcesInterval), Limit: 10 * time.Minute,
			Do: func(ctx context.Context) error { return a.resources.Update(ctx, a.freshConductor()) }},
		{Name: "_sync_power_states", Interval: spacing(d.SyncPowerStateInterval), Limit: 10 * time.Minute, AtStart: true, Do: a.syncPowerStates},
		{Name: "_cleanup_expired_console_auth_tokens", Interval: spacing(d.InstanceDeleteInterval), Limit: time.Minute,
			Do: func(ctx context.Context) error {
				return a.freshConductor().CleanExpiredConsoleAuths(ctx, d.Host)
			}},
	}
	if d.HealInstanceInfoCacheInterval > 0 { // 0 switches it off, other than the other intervals
		h := &healer{}
		tasks = append(tasks, periodic.Task{Name: "_heal_instance_info_cache", Interval: d.HealInstanceInfoCacheInterval,
			Limit: 5 * time.Minute, Do: func(ctx context.Context) error { return a.heal(ctx, h) }})
	}
	if d.RebootTimeout > 0 {
		tasks = append(tasks, periodic.Task{Name: "_poll_rebooting_instances", Interval: time.Minute, Limit: 10 * time.Minute, Do: a.endHungReboots})
	}
	if d.InstanceBuildTimeout > 0 {
		tasks = append(tasks, periodic.Task{Name: "_check_instance_build_time", Interval: time.Minute, Limit: time.Minute, Do: a.endHungBuilds})
	}
	if d.InstanceUsageAudit && a.news.enabled() {
		tasks = append(tasks, periodic.Task{Name: "_instance_usage_audit", Interval: time.Minute, Limit: 30 * time.Minute, Do: a.instanceUsageAudit})
	}
	if a.cfg.Scheduler.TrackInstanceChanges {
		tasks = append(tasks, periodic.Task{Name: "_sync_scheduler_instance_info", Interval: spacing(d.SchedulerInstanceSyncInterval),
			Limit: time.Minute, Do: a.syncSchedulers})
	}
	return slices.Concat(tasks, a.tidying(), a.deciding())
}

// deciding are the tasks that end what waits for its user too long, and what moves left of instances deleted meanwhile.
func (a *Agent) deciding() []periodic.Task {
	d := a.cfg.Default
	tasks := []periodic.Task{
		{Name: "_cleanup_incomplete_migrations", Interval: spacing(d.InstanceDeleteInterval), Limit: 10 * time.Minute, Do: a.removeMoved},
	}
	if d.RescueTimeout > 0 {
		tasks = append(tasks, periodic.Task{Name: "_poll_rescued_instances", Interval: time.Minute, Limit: 30 * time.Minute, Do: a.endLongRescues})
	}
	if d.ResizeConfirmWindow > 0 {
		tasks = append(tasks, periodic.Task{Name: "_poll_unconfirmed_resizes", Interval: time.Minute, Limit: 10 * time.Minute, Do: a.confirmLongResizes})
	}
	return tasks
}

// tidying are the tasks that finish what deletes, shelving and the image cache leave to time.
func (a *Agent) tidying() []periodic.Task {
	d := a.cfg.Default
	tasks := []periodic.Task{
		{Name: "_run_pending_deletes", Interval: spacing(d.InstanceDeleteInterval), Limit: 10 * time.Minute, Do: a.removeLeftFiles},
		{Name: "_run_image_cache_manager_pass", Interval: spacing(a.cfg.ImageCache.ManagerInterval), Limit: time.Hour, Do: a.sweepImages},
	}
	if d.RunningDeletedInstanceAction != "noop" {
		tasks = append(tasks, periodic.Task{Name: "_cleanup_running_deleted_instances", Interval: spacing(d.RunningDeletedInstancePollInterval),
			Limit: 10 * time.Minute, AtStart: true, Do: a.endDeletedGuests})
	}
	if d.ReclaimInstanceInterval > 0 {
		tasks = append(tasks, periodic.Task{Name: "_reclaim_queued_deletes", Interval: time.Minute, Limit: 10 * time.Minute, Do: a.reclaimDeleted})
	}
	if d.ShelvedOffloadTime > 0 {
		tasks = append(tasks, periodic.Task{Name: "_poll_shelved_instances", Interval: spacing(d.ShelvedPollInterval), Limit: 30 * time.Minute, Do: a.offloadShelved})
	}
	return tasks
}

// spacing reads an interval as Nova does: 0 is the common pace, and what is negative never comes.
func spacing(d time.Duration) time.Duration {
	if d == 0 {
		return time.Minute
	}
	return d
}

// freshConductor is the conductor in the node's own name, under a request id of its own.
func (a *Agent) freshConductor() *nova.Conductor { return a.conductor.With(rpc.AdminContext()) }
