package agent

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"bolide/rpc"
	"bolide/rpc/nova"
)

func TestDrainingIsRemembered(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	open := func() *draining {
		t.Helper()
		d, err := openDraining(dir)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	d := open()
	if d.state() != nil || d.refusal() != nil || !d.isTold() {
		t.Error("a new host is drained")
	}
	for range 2 {
		if err := d.begin(); err != nil {
			t.Fatal(err)
		}
	}
	again := open()
	if again.state() == nil || !again.state().Since.Equal(d.state().Since) || again.isTold() {
		t.Errorf("after a restart: %+v", again.state())
	}
	if err := os.WriteFile(filepath.Join(dir, drainFile), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if open().state() == nil {
		t.Error("a torn file means that the host is not drained")
	}
	for range 2 {
		if err := again.end(); err != nil {
			t.Fatal(err)
		}
	}
	if open().state() != nil {
		t.Error("the host is drained again")
	}
}

// A build that comes while the host is drained is one for another host.
func TestADrainedHostHandsBuildsBack(t *testing.T) {
	n := newNode(t, nil)
	if err := n.draining.begin(); err != nil {
		t.Fatal(err)
	}
	n.conductor.instance = n.newInstance("c0ffee00-0000-0000-0000-000000000001")
	task := n.ownTaskFor(t)
	task.inst = nova.As[nova.Instance](n.conductor.instance)
	b := &build{spawn: &spawn{task: task}}
	failure := b.claimResources(within(t, patience))
	if !errors.Is(failure, errDrained) || b.claim != nil {
		t.Fatalf("claim: %v", failure)
	}
	failure = b.buildFailure(failure)
	if got := nova.ClassOf(failure); got != "RescheduledException" {
		t.Errorf("the conductor is told %s", got)
	}
}

// The scheduler sends limits along: without them an administrator has forced the host.
func TestADrainedHostTakesLiveMigrationsThatAreForced(t *testing.T) {
	n := newNode(t, nil)
	if err := n.draining.begin(); err != nil {
		t.Fatal(err)
	}
	n.conductor.instance = n.newInstance("c0ffee00-0000-0000-0000-000000000001")
	for name, limits := range map[string]any{"scheduled": n.profile.New("SchedulerLimits"), "forced": nil} {
		_, err := n.ask(t, opCheckLiveDestination, nova.TaskMigrating, map[string]any{
			"migration": n.profile.New("Migration"), "limits": limits, "block_migration": nil, "disk_over_commit": nil,
		})
		if err == nil || errors.Is(err, errDrained) != (name == "scheduled") {
			t.Errorf("%s: %v", name, err)
		}
		if name == "scheduled" && !nova.Is(err, "MigrationPreCheckError") {
			t.Errorf("the conductor is told %s", nova.ClassOf(err))
		}
	}
}

func TestTheControlPlaneIsToldOfADrain(t *testing.T) {
	n := newNode(t, nil)
	n.serving.Store(true)
	service := n.profile.New("Service")
	service.Set("id", 1)
	n.conductor.answers["Service.get_by_host_and_binary"] = service
	ctx := within(t, patience)
	saves := func() int {
		n.conductor.mu.Lock()
		defer n.conductor.mu.Unlock()
		return len(slices.DeleteFunc(slices.Clone(n.conductor.lines), func(l string) bool { return l != "Service.save" }))
	}
	drained := func(yes bool, reason any) { // as the record says from now on
		service.Set("disabled", yes)
		service.Set("disabled_reason", reason)
		service.ClearChanges()
	}

	drained(false, nil)
	n.conductor.refuse = func(string) error { return errors.New("away") }
	if err := n.Drain(ctx); err == nil || n.draining.state() == nil || n.draining.state().Problem == "" {
		t.Errorf("with the control plane away: %v, %+v", err, n.draining.state())
	}
	n.conductor.refuse = nil
	if err := n.tellDraining(ctx); err != nil || saves() != 1 || n.draining.state().Problem != "" {
		t.Errorf("told again: %v, %d saves, %+v", err, saves(), n.draining.state())
	}
	drained(true, drainReason)
	if err := n.Drain(ctx); err != nil || saves() != 1 {
		t.Errorf("drained twice: %v, %d saves", err, saves())
	}
	if err := n.Undrain(ctx); err != nil || saves() != 2 || n.Snapshot(ctx).Drain != nil {
		t.Errorf("undrained: %v, %d saves", err, saves())
	}
	drained(true, "an administrator's")
	if err := n.Undrain(ctx); err != nil || saves() != 2 {
		t.Errorf("a service that an administrator disabled: %v, %d saves", err, saves())
	}
}

func TestEnablingTheServiceEndsADrain(t *testing.T) {
	n := newNode(t, nil)
	if err := n.draining.begin(); err != nil {
		t.Fatal(err)
	}
	r := &rpc.Request{Method: "set_host_enabled", IsCall: true, Context: rpc.AdminContext(),
		Args: map[string]json.RawMessage{"enabled": json.RawMessage("true")}}
	if _, err := n.handler(opSetHostEnabled(n.Agent))(within(t, patience), r); err != nil {
		t.Fatal(err)
	}
	if n.draining.state() != nil {
		t.Error("still drained")
	}
}
