package resources

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bolide/rpc/nova"
)

// topology is a host of one cell with two CPUs and 1 GiB, as the probe describes it.
const topology = `{"nova_object.name":"NUMATopology","nova_object.namespace":"nova","nova_object.version":"1.2","nova_object.data":{"cells":[
	{"nova_object.name":"NUMACell","nova_object.namespace":"nova","nova_object.version":"1.5","nova_object.data":{
		"id":0,"cpuset":[0,1],"pcpuset":[0,1],"memory":1024,"cpu_usage":0,"memory_usage":0,"pinned_cpus":[],"siblings":[[0],[1]],"socket":0,
		"mempages":[{"nova_object.name":"NUMAPagesTopology","nova_object.namespace":"nova","nova_object.version":"1.1","nova_object.data":{"size_kb":4,"total":262144,"used":0,"reserved":0}}]}}]}}`

// pinned makes an instance of one vCPU that wants a CPU of its own.
func pinned(uuid string) *nova.Instance {
	cell := nova.NewObject("InstanceNUMACell", "1.6")
	for field, v := range map[string]any{
		"id": 0, "cpuset": []int{}, "pcpuset": []int{0}, "memory": 256, "pagesize": nil, "cpu_pinning_raw": nil,
		"cpu_policy": "dedicated", "cpu_thread_policy": nil, "cpuset_reserved": nil,
	} {
		cell.Set(field, v)
	}
	t := nova.NewObject("InstanceNUMATopology", "1.3")
	t.Set("cells", []*nova.Object{cell})
	t.Set("emulator_threads_policy", nil)
	i := instance(uuid, nova.VMBuilding)
	i.Set("numa_topology", t)
	return i
}

func TestClaimsOfCPUsDoNotOverlap(t *testing.T) {
	tr := New(Options{NameTemplate: "instance-%08x"}, nil)
	tr.node = nova.As[nova.ComputeNode](nova.NewObject("ComputeNode", "1.19"))
	tr.figures.NUMATopology = topology
	for _, want := range []map[string]string{{"0": "0"}, {"0": "1"}} {
		i := pinned("i" + want["0"])
		c, err := tr.Claim(t.Context(), i, nil)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, c.NUMA.List("cells")[0].Map("cpu_pinning_raw")); diff != "" {
			t.Error(diff)
		}
		if !i.NUMATopology().Cells()[0].IsNull("cpu_pinning_raw") {
			t.Error("the claim changed the instance itself")
		}
		i.Set("numa_topology", c.NUMA)
		tr.Note(i)
	}
	if _, err := tr.Claim(t.Context(), pinned("late"), nil); !nova.Is(err, "ComputeResourcesUnavailable") {
		t.Errorf("a third guest on two CPUs: %v", err)
	}
	tr.mu.Lock()
	defer tr.mu.Unlock()
	node := nova.As[nova.ComputeNode](nova.NewObject("ComputeNode", "1.19"))
	if err := tr.accountNUMALocked(node); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{`"pinned_cpus":[0,1]`, `"memory_usage":512`} {
		if !strings.Contains(node.Str("numa_topology"), part) {
			t.Errorf("%s is not in %s", part, node.Str("numa_topology"))
		}
	}
}
