package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"

	"bolide/agent/network"
	"bolide/rpc"
	"bolide/rpc/nova"
)

// opRevertResize gives up a guest that came here or changed its size, so that it goes back to what it was: action
// revertResize.
func opRevertResize(*Agent) operation {
	return operation{
		method: "revert_resize", event: "compute_revert_resize",
		queued: true, clearsTask: true, keepsFault: true,
		do: func(ctx context.Context, t *task) (any, error) {
			m, err := t.coldMove()
			if err != nil {
				return nil, err
			}
			t.informExists(ctx)
			return nil, m.failing(ctx, m.run(ctx, []step{
				{name: "read instance", do: m.read},
				{name: "release ports", do: m.releaseDestination},
				{name: "remove guest", do: m.giveUp},
				{name: "release resources", do: m.releaseArrival},
				{name: "ask the source", do: m.askBack},
			}))
		},
	}
}

// failing is fail where anything failed.
func (m *coldMove) failing(ctx context.Context, failure error) error {
	if failure == nil {
		return nil
	}
	return m.fail(ctx, failure)
}

// releaseDestination prepares the guest's ports for going back.
func (m *coldMove) releaseDestination(ctx context.Context) error {
	err := m.ports.CancelMigration(ctx, m.id, network.MigrationRequest{
		InstanceUUID: m.inst.UUID(), ProjectID: m.inst.ProjectID(), InstanceHost: m.inst.Host(),
	})
	if err == nil {
		err = m.ports.ActivateBindings(ctx, m.id, m.migration.DestCompute(), m.vifs)
	}
	if err != nil {
		return portError(err)
	}
	return m.renewPorts(ctx)
}

// giveUp removes the guest from this host. Its files go too, unless the source sees them: then they are what it will
// replace by those that it set aside.
func (m *coldMove) giveUp(ctx context.Context) error {
	shared, err := m.sharedWithSource(ctx)
	if err != nil {
		return err
	}
	if err := m.removeDomain(ctx); err != nil {
		return err
	}
	if err := m.unplug(ctx, m.vifs); err != nil {
		return err
	}
	if shared {
		return nil
	}
	return m.removeFiles(ctx)
}

// sharedWithSource asks the source whether it sees a file that this host makes among the guest's.
func (m *coldMove) sharedWithSource(ctx context.Context) (bool, error) {
	if m.sameHost() {
		return true, nil
	}
	return m.sharedWith(ctx, m.migration.SourceCompute())
}

// sharedWith asks another host whether it sees a file that this one makes among the guest's; a guest without files here
// shares none.
func (t *task) sharedWith(ctx context.Context, host string) (bool, error) {
	probe := filepath.Join(t.instanceDir(t.inst.UUID()), "tmp"+uuid.NewString()[:8])
	if !there(filepath.Dir(probe)) {
		return false, nil
	}
	if err := touch(probe); err != nil {
		return false, fmt.Errorf("make a file to look for: %w", err)
	}
	defer os.Remove(probe)
	return t.peers.With(t.rc).CheckInstanceSharedStorage(ctx, host, map[string]any{"filename": probe})
}

// opCheckSharedStorage tells another host whether this one sees a file of its.
func opCheckSharedStorage(*Agent) operation {
	return operation{
		method: "check_instance_shared_storage", foreign: true, hostwide: true,
		do: func(_ context.Context, t *task) (any, error) {
			var data struct {
				Filename string `json:"filename"`
			}
			if err := json.Unmarshal(t.req.Args["data"], &data); err != nil {
				return nil, fmt.Errorf("argument data: %w", err)
			}
			return there(data.Filename), nil
		},
	}
}

// releaseArrival gives back what the move took of this host.
func (m *coldMove) releaseArrival(ctx context.Context) error {
	if err := m.mark(ctx, nova.MigrationReverted); err != nil {
		return err
	}
	if m.sameHost() {
		m.resources.Track(m.inst, nil)
	} else {
		m.resources.Forget(m.inst.UUID())
	}
	if err := m.tell(ctx); err != nil {
		return err
	}
	takeContext(m.inst, "old_")
	return m.move(ctx, revertLeft)
}

func (m *coldMove) askBack(ctx context.Context) error {
	return m.peer().FinishRevertResize(ctx, m.migration.SourceCompute(), m.passOn())
}

// opFinishRevertResize starts a guest again from what this host kept of it.
func opFinishRevertResize(*Agent) operation {
	return operation{
		method: "finish_revert_resize", foreign: true, event: "compute_finish_revert_resize",
		queued: true, clearsTask: true, keepsFault: true,
		do: func(ctx context.Context, t *task) (any, error) {
			m, err := t.coldMove()
			if err != nil {
				return nil, err
			}
			return nil, m.comeBack(ctx)
		},
	}
}

// comeBack makes the guest what it was before the move.
func (m *coldMove) comeBack(ctx context.Context) error {
	err := m.failing(ctx, m.run(ctx, m.comeBackSteps()))
	if err == nil {
		m.inform(ctx, newsRevertResize, phaseEnd, detail{})
	}
	if stash := m.dropStash(ctx); stash != nil && err == nil {
		return stash
	}
	return err
}

func (m *coldMove) comeBackSteps() []step {
	steps := []step{
		{name: "read instance", do: func(ctx context.Context) error {
			err := m.read(ctx)
			m.powerOff = m.goesOff()
			m.inform(ctx, newsRevertResize, phaseStart, detail{})
			return err
		}},
		{name: "take back record", do: m.takeRecordBack},
		{name: "take back allocation", do: func(ctx context.Context) error {
			return m.resources.MoveAllocation(ctx, m.id, m.migration.UUID(), m.inst.UUID())
		}},
		{name: "bind ports", do: func(ctx context.Context) error { return m.bindPorts(ctx, m.migration.SourceCompute(), m.mapping()) }},
		{name: "take back disks", do: func(context.Context) error { return restoreDisks(m.instanceDir(m.inst.UUID())) }},
		{name: "take back TPM", do: m.takeBackTPM},
	}
	for _, s := range m.spawn.steps() {
		if s.name != "config drive" && s.name != "TPM secret" { // they came back with the disks and the flavor
			steps = append(steps, s)
		}
	}
	return append(steps, step{name: "record", do: m.recordReverted})
}

// takeRecordBack puts the old flavor and this host on the record.
func (m *coldMove) takeRecordBack(ctx context.Context) error {
	if old := m.inst.OldFlavor(); old.Exists() {
		takeFlavor(m.inst, nova.Flavor{Object: old.Object.Clone()})
	}
	err := m.move(ctx, revertArrived, func(i *nova.Instance) {
		m.placeAt(i, m.migration.SourceCompute(), m.migration.SourceNode(), m.resources.NodeID())
	})
	if err != nil {
		return err
	}
	m.resources.Track(m.inst, nil)
	return m.tell(ctx)
}

// recordReverted says that the guest is what it was; one that was off is stopped, as its user would.
func (m *coldMove) recordReverted(ctx context.Context) error {
	if err := m.cond.DropMigrationContext(ctx, m.inst); err != nil {
		return err
	}
	if err := m.move(ctx, revertDone, func(i *nova.Instance) { i.SetLaunchedAt(time.Now()) }); err != nil {
		return err
	}
	if !m.goesOff() {
		return m.moveTo(ctx, reverted)
	}
	return m.stopAgain(ctx, revertedToStop)
}

// stopAgain ends an operation on a guest that was stopped before with the operation that stops guests, which the
// change announces. The guest has nothing to save.
func (t *task) stopAgain(ctx context.Context, c change) error {
	if err := t.move(ctx, c); err != nil {
		return err
	}
	stop := *t
	stop.op = opStop(t.Agent)
	stop.req = &rpc.Request{Context: t.rc, Args: map[string]json.RawMessage{"clean_shutdown": json.RawMessage("false")}}
	_, err := stop.recorded(ctx)
	return err
}
