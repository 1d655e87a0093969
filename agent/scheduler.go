package agent

import (
	"context"

	"bolide/rpc/nova"
)

// Schedulers keep a picture of which instances are where, for their affinity filters. These tell them of changes;
// a message that is lost is made good by the next full list.

// tellScheduler says that the instance is here.
func (t *task) tellScheduler(ctx context.Context) {
	if !t.cfg.Scheduler.TrackInstanceChanges {
		return
	}
	if err := t.cond.UpdateInstanceInfo(ctx, t.inst); err != nil {
		t.log.WithError(err).Debug("schedulers not told of the instance")
	}
}

// tellSchedulers says that the instances are here, when the node starts.
func (a *Agent) tellSchedulers(ctx context.Context, instances []*nova.Instance) {
	if !a.cfg.Scheduler.TrackInstanceChanges || len(instances) == 0 {
		return
	}
	if err := a.conductor.UpdateInstanceInfo(ctx, instances...); err != nil {
		a.log.WithError(err).Debug("schedulers not told of the instances")
	}
}

// tellSchedulerGone says that the instance is here no more.
func (t *task) tellSchedulerGone(ctx context.Context) {
	if !t.cfg.Scheduler.TrackInstanceChanges {
		return
	}
	if err := t.cond.DeleteInstanceInfo(ctx, t.inst.UUID()); err != nil {
		t.log.WithError(err).Debug("schedulers not told that the instance is gone")
	}
}

// syncSchedulers tells the whole list.
func (a *Agent) syncSchedulers(ctx context.Context) error {
	instances, err := a.conductor.InstancesByHost(ctx, a.cfg.Default.Host)
	if err != nil {
		return err
	}
	uuids := make([]string, len(instances))
	for i, inst := range instances {
		uuids[i] = inst.UUID()
	}
	return a.conductor.SyncInstanceInfo(ctx, uuids)
}
