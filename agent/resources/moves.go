package resources

import (
	"context"
	"slices"
	"time"

	"bolide/rpc/nova"
)

// readMoves works out what the moves in progress hold of this host beside the instances themselves: the guest
// that is on its way here, the one that may come back, and for a resize on this host the size it does not have
// now. Stale records are marked as failed so that they hold nothing.
func (t *Tracker) readMoves(ctx context.Context, cond *nova.Conductor, here []*nova.Instance, migrations []*nova.Migration) map[string]holding {
	instances := map[string]*nova.Instance{}
	for _, i := range here {
		instances[i.UUID()] = i
	}
	latest := map[string]*nova.Migration{}
	for _, m := range migrations {
		id := m.Str("instance_uuid")
		if _, ok := instances[id]; !ok {
			inst, err := cond.Instance(ctx, id, "flavor", "system_metadata", "migration_context", "numa_topology")
			if err != nil {
				continue // gone: it holds nothing
			}
			instances[id] = inst
		}
		if inMove(instances[id]) && (latest[id] == nil || changed(m).After(changed(latest[id]))) {
			latest[id] = m
		}
	}
	moves := map[string]holding{}
	for id, m := range latest {
		inst := instances[id]
		if mc := inst.Obj("migration_context"); mc.Exists() && mc.Int("migration_id") != m.Int("id") {
			t.endStale(ctx, cond, m)
			continue
		}
		tracked := slices.ContainsFunc(here, func(i *nova.Instance) bool { return i.UUID() == id })
		if h, ok := t.moveHolding(inst, m, tracked); ok {
			moves[id] = h
		}
	}
	return moves
}

// moveHolding is what the move holds on this host beside what the instance's own record accounts for.
func (t *Tracker) moveHolding(inst *nova.Instance, m *nova.Migration, tracked bool) (holding, bool) {
	incoming := m.Str("dest_compute") == t.opts.Host
	outgoing := m.Str("source_compute") == t.opts.Host
	var prefix string
	switch {
	case incoming && outgoing && inst.Int("instance_type_id") == m.Int("old_instance_type_id"):
		prefix = "new_"
	case incoming && outgoing:
		prefix = "old_"
	case incoming && !tracked:
		prefix = "new_"
	case outgoing && !tracked:
		prefix = "old_"
	default:
		return holding{}, false
	}
	flavor := inst.Flavor()
	if m.Str("migration_type") == "resize" {
		flavor = nova.Flavor{Object: inst.Obj(prefix + "flavor")}
	}
	if !flavor.Exists() {
		return holding{}, false // confirmed a moment ago: nothing is held for a return
	}
	h := flavored(flavor)
	h.Instance = inst.UUID()
	h.NUMA = numaOfContext(inst, prefix)
	return h, true
}

// Move is what a claim for a guest on its way here has to know.
type Move struct {
	Migration *nova.Migration
	// Topology is the NUMA topology that the guest asks for, as the scheduler saw it; nil: none.
	Topology *nova.Object
	Limits   *NUMALimits // nil: none
}

// ClaimMove holds what an instance takes here once the move has brought it, or has given it the flavor of the record's
// new_flavor. The move is not yet on its way; [Tracker.Track] follows it from then on. Like Claim it leaves to Placement
// how much may be promised, and returns the NUMA topology fitted to this host, nil if the guest asks for none.
func (t *Tracker) ClaimMove(inst *nova.Instance, m Move) (*nova.Object, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.node == nil {
		return nil, nova.NewError("ComputeResourcesUnavailable", map[string]any{"reason": "this host has not been measured yet"})
	}
	fitted, err := t.fitLocked(m.Topology, m.Limits)
	if err != nil {
		return nil, err
	}
	t.trackMoveLocked(inst, m.Migration)
	if h, ok := t.moves[inst.UUID()]; ok {
		h.NUMA = fitted.Clone()
		t.moves[inst.UUID()] = h
	}
	return fitted, nil
}

// Track takes over where the instance's record now says that it is, and what its move m holds of this host beside the
// instance itself; nil when the move is over.
func (t *Tracker) Track(inst *nova.Instance, m *nova.Migration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if inst.Host() == t.opts.Host && !takesNothing(string(inst.VMState()), string(inst.TaskState())) {
		t.holdLocked(t.holdingOf(inst))
	} else {
		t.forgetLocked(inst.UUID())
	}
	t.trackMoveLocked(inst, m)
}

func (t *Tracker) trackMoveLocked(inst *nova.Instance, m *nova.Migration) {
	t.touchLocked(inst.UUID())
	delete(t.moves, inst.UUID())
	if m == nil {
		return
	}
	_, tracked := t.held[inst.UUID()]
	if h, ok := t.moveHolding(inst, m, tracked); ok {
		t.moves[inst.UUID()] = h
	}
}

// endStale marks a record that no longer belongs to its instance's current move.
func (t *Tracker) endStale(ctx context.Context, cond *nova.Conductor, m *nova.Migration) {
	m.Set("status", "error")
	if err := cond.SaveMigration(ctx, m); err != nil {
		t.log.WithError(err).WithField("migration", m.Str("uuid")).Warn("stale migration not marked")
	}
}

// inMove reports whether the instance's states say that it is being moved, resized or rebuilt elsewhere.
func inMove(i *nova.Instance) bool {
	switch i.VMState() {
	case nova.VMResized:
		return true
	case nova.VMActive, nova.VMStopped:
		switch i.TaskState() {
		case nova.TaskResizePrep, nova.TaskResizeMigrating, nova.TaskResizeMigrated, nova.TaskResizeFinish,
			nova.TaskRebuilding, nova.TaskRebuildBlockDeviceMapping, nova.TaskRebuildSpawning:
			return true
		}
	}
	return i.TaskState() == nova.TaskMigrating && (i.VMState() == nova.VMActive || i.VMState() == nova.VMPaused)
}

func changed(m *nova.Migration) time.Time {
	if t := m.Time("updated_at"); !t.IsZero() {
		return t
	}
	return m.Time("created_at")
}
