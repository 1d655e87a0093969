package agent

import (
	"context"
	"fmt"

	"bolide/rpc/nova"
)

// evacuated are the evacuations from this host that may have taken place while it was away, by instance.
func (a *Agent) evacuated(ctx context.Context) (map[string]*nova.Migration, error) {
	moves, err := a.conductor.With(archived()).MigrationsByFilters(ctx, map[string]any{
		"source_compute": a.cfg.Default.Host, "migration_type": "evacuation",
		"status": []nova.MigrationStatus{nova.MigrationAccepted, nova.MigrationPreMigrating, nova.MigrationDone},
	})
	if err != nil {
		return nil, fmt.Errorf("list the evacuations from this host: %w", err)
	}
	byInstance := map[string]*nova.Migration{}
	for _, m := range moves {
		byInstance[m.InstanceUUID()] = m
	}
	return byInstance, nil
}

// endEvacuations puts into the instances' queues what this host still has to do for them.
func (a *Agent) endEvacuations(moves map[string]*nova.Migration) {
	for uuid, m := range moves {
		t := a.ownTask("end evacuation", uuid, archived())
		_, err := a.queues.add(uuid, &job{name: t.op.method, run: func(ctx context.Context) {
			if err := a.awaitService(ctx); err != nil {
				return
			}
			t.entry = a.board.Begin(t.describe())
			ctx, cancel := context.WithTimeout(ctx, mendLimit)
			defer cancel()
			err := t.persist(ctx, func(ctx context.Context) error { return t.endEvacuation(ctx, m) })
			t.entry.End(err)
			if err != nil {
				t.log.WithError(err).Error("evacuated instance not removed from this host")
			}
		}})
		if err != nil {
			t.log.WithError(err).Debug("evacuation not ended")
		}
	}
}

// endEvacuation removes what is here of an instance that was evacuated to another host. One that has yet to get there is
// switched off, so that it never runs twice, and keeps its disks: the evacuation may fail.
func (t *task) endEvacuation(ctx context.Context, m *nova.Migration) error {
	if err := t.load(ctx); err != nil {
		return ignoreVanished(err)
	}
	if t.inst.Host() == t.cfg.Default.Host && !t.inst.Deleted() {
		t.log.WithField("destination", m.DestCompute()).Warn("instance is being evacuated from this host; its guest is switched off and its disks are kept")
		return t.stopGuest(ctx)
	}
	t.log.WithField("destination", m.DestCompute()).Info("instance was evacuated; removing what is left of it here")
	if err := t.run(ctx, t.evictionSteps(m.DestCompute())); err != nil {
		return err
	}
	m.SetStatus(nova.MigrationCompleted)
	return t.cond.SaveMigration(ctx, m)
}

// evictionSteps take a guest off this host whose instance lives on another, with its ports and, unless that host sees
// them, its disks. The guest goes first, whatever else can be found out: it must not run twice.
func (t *task) evictionSteps(destination string) []step {
	vifs := t.cachedPorts()
	return []step{
		{name: "remove domain", do: t.removeDomain},
		{name: "unplug", do: func(ctx context.Context) error { return t.unplug(ctx, vifs) }},
		{name: "remove files", do: func(ctx context.Context) error {
			if !t.inst.Deleted() {
				if shared, err := t.sharedWith(ctx, destination); err != nil || shared {
					return err
				}
			}
			return t.removeFiles(ctx)
		}},
		{name: "release allocation", do: func(ctx context.Context) error {
			return t.resources.LeaveAllocation(ctx, t.id, t.inst.UUID())
		}},
	}
}
