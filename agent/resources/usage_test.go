package resources

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"bolide/rpc/nova"
)

func TestSum(t *testing.T) {
	u := sum([]holding{
		{Instance: "a", VCPUs: 2, MemoryMB: 512, RootGB: 10, EphemeralGB: 5, SwapMB: 512, VMState: "active", ProjectID: "p", Workload: true},
		{Instance: "b", VCPUs: 1, MemoryMB: 256, RootGB: 1, SwapMB: 512, VMState: "building", TaskState: "spawning", ProjectID: "p", OSType: "linux", Workload: true},
		{Instance: "a", VCPUs: 4, MemoryMB: 1024, RootGB: 20}, // the size a resize may go back to
	}, 3)
	want := usage{VCPUs: 7, MemoryMB: 1792, DiskGB: 37, Running: 2, Workload: 1, Stats: map[string]string{
		"num_instances": "2", "num_vm_active": "1", "num_vm_building": "1", "num_task_None": "1", "num_task_spawning": "1",
		"num_os_type_None": "1", "num_os_type_linux": "1", "num_proj_p": "2", "io_workload": "1", "failed_builds": "3",
	}}
	if diff := cmp.Diff(want, u); diff != "" {
		t.Error(diff)
	}
}

func TestTakesNothing(t *testing.T) {
	for _, c := range []struct {
		vm, task string
		want     bool
	}{
		{"active", "", false}, {"deleted", "", true}, {"soft-delete", "", false}, {"error", "deleting", false},
		{"shelved_offloaded", "", true}, {"shelved_offloaded", "spawning", false}, {"shelved_offloaded", "unshelving", false},
	} {
		if got := takesNothing(c.vm, c.task); got != c.want {
			t.Errorf("%s/%s: %v", c.vm, c.task, got)
		}
	}
}

// instance makes a record of an instance of one vCPU, 256 MiB and 1 GiB.
func instance(uuid string, vm nova.VMState) *nova.Instance {
	flavor := nova.NewObject("Flavor", "1.2")
	for field, v := range map[string]any{"id": 1, "vcpus": 1, "memory_mb": 256, "root_gb": 1, "ephemeral_gb": 0, "swap": 0} {
		flavor.Set(field, v)
	}
	i := nova.As[nova.Instance](nova.NewObject("Instance", "2.7"))
	i.Set("uuid", uuid)
	i.Set("id", 7)
	i.Set("instance_type_id", 1)
	i.Set("flavor", flavor)
	i.SetVMState(vm)
	return i
}

func TestAdoptKeepsWhatWasClaimedMeanwhile(t *testing.T) {
	tr := New(Options{NameTemplate: "instance-%08x"}, nil)
	tr.node = nova.As[nova.ComputeNode](nova.NewObject("ComputeNode", "1.19"))
	if _, err := tr.Claim(t.Context(), instance("old", nova.VMBuilding), nil); err != nil {
		t.Fatal(err)
	}
	asOf := tr.clock
	if _, err := tr.Claim(t.Context(), instance("new", nova.VMBuilding), nil); err != nil {
		t.Fatal(err)
	}
	// the records as they were read before the second claim: "old" is gone, "other" has come
	tr.adopt([]*nova.Instance{instance("other", nova.VMActive), instance("gone", nova.VMDeleted)}, map[string]holding{}, asOf)
	var got []string
	for _, h := range tr.Instances() {
		got = append(got, h.Instance)
	}
	if diff := cmp.Diff([]string{"new", "other"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestClaimIsGivenBack(t *testing.T) {
	tr := New(Options{NameTemplate: "instance-%08x"}, nil)
	tr.node = nova.As[nova.ComputeNode](nova.NewObject("ComputeNode", "1.19"))
	c, err := tr.Claim(t.Context(), instance("i", nova.VMBuilding), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := tr.Capacity().MemoryMB.Claimed; got != 256 {
		t.Errorf("claimed %d MiB", got)
	}
	for range 2 {
		c.Abort()
	}
	if got := tr.Capacity().MemoryMB.Claimed; got != 0 {
		t.Errorf("claimed %d MiB after the claim was given back", got)
	}
}

func TestClaimBeforeTheHostIsMeasured(t *testing.T) {
	tr := New(Options{}, nil)
	if _, err := tr.Claim(t.Context(), instance("i", nova.VMBuilding), nil); !nova.Is(err, "ComputeResourcesUnavailable") {
		t.Errorf("err = %v", err)
	}
}

func TestNote(t *testing.T) {
	tr := New(Options{NameTemplate: "instance-%08x"}, nil)
	tr.node = nova.As[nova.ComputeNode](nova.NewObject("ComputeNode", "1.19"))
	i := instance("i", nova.VMBuilding)
	tr.Note(i)
	if n := len(tr.Instances()); n != 0 {
		t.Errorf("an instance without a claim is held (%d)", n)
	}
	if _, err := tr.Claim(t.Context(), i, nil); err != nil {
		t.Fatal(err)
	}
	i.SetVMState(nova.VMActive)
	tr.Note(i)
	if h := tr.Instances(); len(h) != 1 || h[0].VMState != "active" || h[0].Name != "instance-00000007" {
		t.Errorf("held: %+v", h)
	}
	i.SetVMState(nova.VMShelvedOffloaded)
	tr.Note(i)
	if n := len(tr.Instances()); n != 0 {
		t.Errorf("an offloaded instance is held (%d)", n)
	}
}
