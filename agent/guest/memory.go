package guest

import (
	"slices"
	"strconv"

	"bolide/hypervisor/domainxml"
	"bolide/rpc/nova"
)

// addMemoryBacking says where the guest's memory comes from. The NUMA nodes are there already.
func addMemoryBacking(g *domainxml.Guest, r Request, w wishes) error {
	cells := r.Instance.NUMATopology().Cells()
	b := &g.Memory.Backing
	if slices.ContainsFunc(cells, func(c *nova.Object) bool { return c.Int("pagesize") != 0 }) {
		if r.Settings.FileBackedMemory || len(r.Host.NUMA) == 0 {
			return nova.NewError("MemoryPagesUnsupported", nil)
		}
		b.HugePages = hugePages(r.Host, cells, g.NUMATune.Cells)
	}
	if truthy(w.specs["hw:cpu_realtime"]) {
		b.Locked, b.NoSharing = true, true
	}
	if r.Settings.FileBackedMemory {
		b.Source, b.Access, b.Allocation, b.Discard = "file", "shared", "immediate", true
	}
	locked, _, err := w.flag("locked_memory")
	if err != nil {
		return nova.NewError("FlavorImageLockedMemoryConflict", map[string]any{
			"image": title(w.props.Bool("hw_locked_memory")), "flavor": title(truthy(w.specs["hw:locked_memory"])),
		})
	}
	if locked && w.specs["hw:mem_page_size"] == "" && w.props.Str("hw_mem_page_size") == "" {
		return nova.NewError("LockMemoryForbidden", nil)
	}
	b.Locked = b.Locked || locked
	return nil
}

// hugePages gives the guest's nodes their page size. The smallest one needs no backing.
func hugePages(h Host, cells []*nova.Object, bound []domainxml.NUMABinding) []domainxml.HugePages {
	smallest := slices.Min(append([]int{1 << 30}, h.NUMA[0].PageSizes...))
	var out []domainxml.HugePages
	for i, cell := range cells {
		size := int(cell.Int("pagesize"))
		isBound := slices.ContainsFunc(bound, func(b domainxml.NUMABinding) bool { return int(b.Cell) == i })
		if size > smallest && isBound {
			out = append(out, domainxml.HugePages{KiB: uint(size), Nodes: strconv.Itoa(i)})
		}
	}
	return out
}

// usesHugePages tells whether any node has pages larger than the host's smallest.
func usesHugePages(h Host, cells []*nova.Object) bool {
	if len(h.NUMA) == 0 {
		return false
	}
	sizes := slices.Sorted(slices.Values(h.NUMA[0].PageSizes))
	return slices.ContainsFunc(cells, func(c *nova.Object) bool {
		i := slices.Index(sizes, int(c.Int("pagesize")))
		return i > 0
	})
}
