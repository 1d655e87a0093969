package agent

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/sirupsen/logrus"
	"github.com/sirupsen/logrus/hooks/test"

	"bolide/agent/journal"
	"bolide/agent/recovery"
	"bolide/hypervisor"
	"bolide/rpc/nova"
)

func record(uuid string, vm nova.VMState, task nova.TaskState, power nova.PowerState) *nova.Instance {
	i := nova.As[nova.Instance](nova.Zed().New("Instance"))
	i.Set("uuid", uuid)
	i.SetVMState(vm)
	i.SetTaskState(task)
	i.SetPowerState(power)
	return i
}

func TestWhoNeedsMending(t *testing.T) {
	logger, _ := test.NewNullLogger()
	j, _, err := journal.Open(t.TempDir(), logrus.NewEntry(logger))
	if err != nil {
		t.Fatal(err)
	}
	page := func(uuid string) *journal.Entry {
		return j.Begin(journal.Record{Operation: "attach_interface", Instance: uuid})
	}
	a := &Agent{powers: &powers{}}
	a.powers.replace([]hypervisor.Guest{
		{UUID: "runs", State: hypervisor.Running}, {UUID: "off", State: hypervisor.Shutoff}, {UUID: "attaching", State: hypervisor.Running},
		{UUID: "half built", State: hypervisor.Paused}, {UUID: "gone elsewhere", State: hypervisor.Running}, {UUID: "nobody's", State: hypervisor.Running},
	})
	patients := a.diagnose([]*nova.Instance{
		record("runs", nova.VMActive, nova.NoTask, nova.PowerRunning),
		record("off", nova.VMStopped, nova.NoTask, nova.PowerShutdown),
		record("went down with the host", nova.VMActive, nova.NoTask, nova.PowerRunning),
		record("attaching", nova.VMActive, nova.NoTask, nova.PowerRunning),
		record("half built", nova.VMBuilding, nova.TaskSpawning, nova.PowerNoState),
		record("gone elsewhere", nova.VMActive, nova.NoTask, nova.PowerRunning),
	}, map[string]pages{"attaching": {page("attaching")}, "never on a host": {page("never on a host")}},
		map[string]*nova.Migration{"gone elsewhere": {}})

	type need struct {
		UUID        string
		Remedy      recovery.Remedy
		Interrupted bool
	}
	var got []need
	for _, p := range patients {
		got = append(got, need{p.uuid, p.remedy, p.interrupted()})
	}
	slices.SortFunc(got, func(x, y need) int { return cmp.Compare(x.UUID, y.UUID) })
	want := []need{
		{"attaching", recovery.Leave, true},
		{"half built", recovery.GiveUpBuild, true},
		{"never on a host", recovery.Leave, true},
		{"runs", recovery.Leave, false}, // for its ports alone
		{"went down with the host", recovery.Bring, true},
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("diagnosis (-want +got):\n%s", diff)
	}
}

func TestRepeatableMethodsAreThoseThatAStartRepeats(t *testing.T) {
	var methods []string
	for _, r := range repeats {
		methods = append(methods, r.operation(nil).method)
	}
	slices.Sort(methods)
	want := slices.Sorted(slices.Values(repeatable))
	if diff := gocmp.Diff(want, slices.Compact(methods)); diff != "" {
		t.Errorf("methods (-repeatable +repeated):\n%s", diff)
	}
}

func TestWhyGuestsAreOff(t *testing.T) {
	state, boot := t.TempDir(), filepath.Join(t.TempDir(), "boot_id")
	for _, step := range []struct{ boot, want string }{
		{"one\n", causeUnknown}, {"one\n", causeGuest}, {"two\n", causeHost}, {"two\n", causeGuest},
	} {
		if err := os.WriteFile(boot, []byte(step.boot), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := causeOfAbsence(state, boot)
		if got != step.want || err != nil {
			t.Errorf("in life %q: %s, %v, want %s", step.boot, got, err, step.want)
		}
	}
	if got, err := causeOfAbsence(state, filepath.Join(state, "none")); got != causeUnknown || err == nil {
		t.Errorf("without a boot id: %s, %v", got, err)
	}
}

func TestOnlyPathsOfOperationsAreRemoved(t *testing.T) {
	for path, want := range map[string]bool{
		"/srv/snapshots/tmp1": true, "/srv/snapshots/tmp1/x": true, "/srv/snapshots": false, "/srv": false,
		"/srv/snapshots/../instances": false, "/": false, "": false, "tmp1": false, "/srv/snapshots2/x": false,
	} {
		if got := below("/srv/snapshots", path); got != want {
			t.Errorf("%q: %v, want %v", path, got, want)
		}
	}
}
