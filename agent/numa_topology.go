package agent

import (
	"encoding/json"
	"fmt"
	"slices"

	"bolide/hypervisor"
	"bolide/rpc/nova"
)

// numaTopology is the host's cells as the ComputeNode record holds them: a NUMATopology object as JSON text, "" for
// a host without cells. Usage is the resource tracker's to add.
func numaTopology(p nova.Profile, f *hypervisor.Facts, free usable) (string, error) {
	if len(f.Cells) == 0 {
		return "", nil
	}
	cells := make([]*nova.Object, len(f.Cells))
	for i, c := range f.Cells {
		cells[i] = numaCell(p, c, free)
	}
	topology := p.New("NUMATopology")
	topology.Set("cells", cells)
	raw, err := json.Marshal(topology)
	if err != nil {
		return "", fmt.Errorf("describe the host's NUMA topology: %w", err)
	}
	return string(raw), nil
}

// usable is what guests may use of the host: which CPUs, and which huge pages not.
type usable struct {
	Shared   []int // by guests that share them
	Pinnable []int // by guests that want them alone
	Reserved reservedPages
	Networks networkNodes
}

func (u usable) has(cpu int) bool {
	return slices.Contains(u.Shared, cpu) || slices.Contains(u.Pinnable, cpu)
}

func numaCell(p nova.Profile, c hypervisor.Cell, free usable) *nova.Object {
	shared, pinnable := []int{}, []int{}
	var siblings [][]int
	sockets := map[int]bool{}
	for _, cpu := range c.CPUs {
		sockets[cpu.Socket] = true
		if slices.Contains(free.Shared, cpu.ID) {
			shared = append(shared, cpu.ID)
		}
		if slices.Contains(free.Pinnable, cpu.ID) {
			pinnable = append(pinnable, cpu.ID)
		}
		group := slices.DeleteFunc(slices.Clone(cpu.Siblings), func(id int) bool { return !free.has(id) })
		if len(group) > 0 && !slices.ContainsFunc(siblings, func(s []int) bool { return slices.Equal(s, group) }) {
			siblings = append(siblings, group)
		}
	}
	slices.SortFunc(siblings, func(a, b []int) int { return a[0] - b[0] })
	pages := make([]*nova.Object, len(c.Pages))
	for i, size := range c.Pages {
		pages[i] = part(p, "NUMAPagesTopology", map[string]any{"size_kb": size.SizeKiB, "total": size.Count, "used": 0, "reserved": free.Reserved[c.ID][size.SizeKiB]})
	}
	fields := map[string]any{
		"id": c.ID, "cpuset": shared, "pcpuset": pinnable, "memory": c.MemoryKiB >> 10, "socket": nil,
		"cpu_usage": 0, "memory_usage": 0, "pinned_cpus": []int{}, "siblings": siblings, "mempages": pages,
		"network_metadata": part(p, "NetworkMetadata", map[string]any{"physnets": append([]string{}, free.Networks[c.ID].Physnets...), "tunneled": free.Networks[c.ID].Tunneled}),
	}
	if len(sockets) == 1 && len(c.CPUs) > 0 {
		fields["socket"] = c.CPUs[0].Socket
	}
	return part(p, "NUMACell", fields)
}
