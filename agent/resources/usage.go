package resources

import (
	"fmt"
	"maps"
	"slices"

	"bolide/rpc/nova"
)

// holding is what one instance, or one move of an instance, takes of the host.
type holding struct {
	Instance                    string
	VCPUs, MemoryMB             int64
	RootGB, EphemeralGB, SwapMB int64
	NUMA                        *nova.Object // the instance's NUMA topology, fitted to the host; nil: none

	Name                                  string // of the domain
	VMState, TaskState, OSType, ProjectID string
	Workload                              bool // counts as an instance in the statistics; false for the second half of a move
}

// flavored is what a guest of the flavor takes.
func flavored(f nova.Flavor) holding {
	return holding{
		VCPUs: f.VCPUs(), MemoryMB: f.MemoryMB(),
		RootGB: f.RootGB(), EphemeralGB: f.EphemeralGB(), SwapMB: f.SwapMB(),
	}
}

// holdingOf is what an instance on this host takes.
func holdingOf(i *nova.Instance) holding {
	h := flavored(i.Flavor())
	h.Instance = i.UUID()
	h.NUMA = numaOf(i)
	h.VMState, h.TaskState = string(i.VMState()), string(i.TaskState())
	h.OSType, h.ProjectID = i.Str("os_type"), i.ProjectID()
	h.Workload = true
	return h
}

// takesNothing reports whether an instance in these states has given its resources back although its record
// still names the host: it is deleted, or offloaded and not coming back.
func takesNothing(vm, task string) bool {
	switch vm {
	case string(nova.VMDeleted):
		return true
	case string(nova.VMShelvedOffloaded):
		return task != string(nova.TaskSpawning) && task != string(nova.TaskUnshelving)
	}
	return false
}

// usage is the sum of holdings.
type usage struct {
	VCPUs, MemoryMB, DiskGB int64
	Running                 int64
	Workload                int64 // instances with a task at hand
	Stats                   map[string]string
}

// sum adds the holdings up and counts them into the statistics that Nova's scheduler reads.
func sum(holdings []holding, failedBuilds int) usage {
	u := usage{}
	var disk float64 // swap counts in MB, rounded once
	counts := map[string]int{"num_instances": 0}
	for _, h := range holdings {
		u.VCPUs += h.VCPUs
		u.MemoryMB += h.MemoryMB
		disk += float64(h.RootGB+h.EphemeralGB) + float64(h.SwapMB)/1024
		if !h.Workload {
			continue
		}
		u.Running++
		counts["num_instances"]++
		counts["num_vm_"+orNone(h.VMState)]++
		counts["num_task_"+orNone(h.TaskState)]++
		counts["num_os_type_"+orNone(h.OSType)]++
		counts["num_proj_"+orNone(h.ProjectID)]++
		if h.TaskState != "" {
			u.Workload++
		}
	}
	u.DiskGB = int64(disk)
	counts["io_workload"] = ioWorkload(counts)
	counts["failed_builds"] = failedBuilds
	u.Stats = make(map[string]string, len(counts))
	for k, n := range counts {
		u.Stats[k] = fmt.Sprint(n)
	}
	return u
}

// ioWorkload counts the instances in states that keep the disk busy, as the scheduler's I/O filter expects.
func ioWorkload(counts map[string]int) int {
	n := counts["num_vm_building"]
	for _, task := range []string{"resize_migrating", "rebuilding", "resize_prep", "image_snapshot", "image_backup", "rescuing", "unshelving"} {
		n += counts["num_task_"+task]
	}
	return n
}

func orNone(s string) string {
	if s == "" {
		return "None"
	}
	return s
}

// inOrder returns the holdings sorted by instance, so that equal sets give equal records.
func inOrder(m map[string]holding) []holding {
	out := make([]holding, 0, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, m[k])
	}
	return out
}
