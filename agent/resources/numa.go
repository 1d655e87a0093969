package resources

import (
	"encoding/json"
	"fmt"
	"strconv"

	"bolide/agent/resources/numa"
	"bolide/rpc/nova"
)

// NUMALimits is how far the scheduler let NUMA cells be promised over, and which networks it placed the guest near.
type NUMALimits = numa.Limits

// LimitsOf reads a NUMATopologyLimits object; nil, for no limits, if there is none.
func LimitsOf(o *nova.Object) *NUMALimits {
	if !o.Exists() {
		return nil
	}
	return &NUMALimits{
		CPURatio: o.Float("cpu_allocation_ratio"), RAMRatio: o.Float("ram_allocation_ratio"),
		Networks: networksOf(o.Obj("network_metadata")),
	}
}

func networksOf(o *nova.Object) numa.Networks {
	return numa.Networks{Physnets: o.Strings("physnets"), Tunneled: o.Bool("tunneled")}
}

// numaOf is the instance's own topology; nil: none.
func numaOf(i *nova.Instance) *nova.Object { return i.Obj("numa_topology").Clone() }

// numaOfContext is the topology that a move gives the instance ("new_") or took from it ("old_").
func numaOfContext(i *nova.Instance, prefix string) *nova.Object {
	return i.Obj("migration_context").Obj(prefix + "numa_topology").Clone()
}

// fitLocked places the instance's topology on the host's cells, beside what is held of them already; nil for an
// instance without one.
func (t *Tracker) fitLocked(topology *nova.Object, limits *NUMALimits) (*nova.Object, error) {
	if !topology.Exists() {
		return nil, nil
	}
	host, _, err := t.cellsLocked()
	if err != nil {
		return nil, err
	}
	cells := topology.List("cells")
	request := numa.Request{Limits: limits, IsolatesEmulator: topology.Str("emulator_threads_policy") == "isolate", Pack: t.opts.PackNUMA}
	for _, c := range cells {
		request.Cells = append(request.Cells, guestCell(c))
	}
	placed, ok := numa.Fit(host, request)
	if !ok {
		return nil, nova.NewError("ComputeResourcesUnavailable", map[string]any{
			"reason": "Requested instance NUMA topology cannot fit the given host NUMA topology"})
	}
	fitted := topology.Clone()
	for i, c := range fitted.List("cells") {
		place(c, placed[i])
	}
	return fitted, nil
}

// accountNUMALocked writes what the holdings take of each cell to the record.
func (t *Tracker) accountNUMALocked(node *nova.ComputeNode) error {
	host, topology, err := t.cellsLocked()
	if err != nil || topology == nil {
		return err
	}
	for i, c := range topology.List("cells") {
		used := host.Cells[i]
		c.Set("memory_usage", used.MemoryUsed)
		c.Set("cpu_usage", used.CPUsUsed)
		c.Set("pinned_cpus", ints(used.Pinned))
		for j, p := range c.List("mempages") {
			p.Set("used", used.Pages[j].Used)
		}
	}
	raw, err := json.Marshal(topology)
	if err != nil {
		return fmt.Errorf("describe the host's NUMA topology: %w", err)
	}
	node.Set("numa_topology", string(raw))
	return nil
}

// cellsLocked is the host's cells with everything that is held counted in, and the object they were read from; a host
// without cells has none.
func (t *Tracker) cellsLocked() (numa.Host, *nova.Object, error) {
	if t.figures.NUMATopology == "" {
		return numa.Host{}, nil, nil
	}
	topology, err := nova.Decode(json.RawMessage(t.figures.NUMATopology))
	if err != nil {
		return numa.Host{}, nil, fmt.Errorf("read the host's NUMA topology: %w", err)
	}
	var host numa.Host
	for _, c := range topology.List("cells") {
		host.Cells = append(host.Cells, hostCell(c))
	}
	for _, h := range append(inOrder(t.held), inOrder(t.moves)...) {
		var cells []numa.GuestCell
		for _, c := range h.NUMA.List("cells") {
			cells = append(cells, guestCell(c))
		}
		host.Use(cells)
	}
	return host, topology, nil
}

func hostCell(c *nova.Object) numa.Cell {
	cell := numa.Cell{
		ID: int(c.Int("id")), Shared: set(c, "cpuset"), Pinnable: set(c, "pcpuset"), Memory: c.Int("memory"),
		Networks: networksOf(c.Obj("network_metadata")),
	}
	siblings, _ := c.Raw("siblings").([]any)
	for _, s := range siblings {
		cell.Siblings = append(cell.Siblings, toSet(s))
	}
	for _, p := range c.List("mempages") {
		cell.Pages = append(cell.Pages, numa.Pages{SizeKiB: p.Int("size_kb"), Total: p.Int("total"), Reserved: p.Int("reserved")})
	}
	return cell
}

func guestCell(c *nova.Object) numa.GuestCell {
	g := numa.GuestCell{
		ID: int(c.Int("id")), Shared: set(c, "cpuset"), Dedicated: set(c, "pcpuset"), Memory: c.Int("memory"),
		PageSize: c.Int("pagesize"), Policy: c.Str("cpu_policy"), Threads: c.Str("cpu_thread_policy"),
		Reserved: set(c, "cpuset_reserved"),
	}
	for vcpu, cpu := range c.Map("cpu_pinning_raw") {
		v, errV := strconv.Atoi(vcpu)
		p, errP := strconv.Atoi(cpu)
		if errV == nil && errP == nil {
			if g.Pinning == nil {
				g.Pinning = map[int]int{}
			}
			g.Pinning[v] = p
		}
	}
	return g
}

// place writes to the guest's cell where it was placed.
func place(c *nova.Object, g numa.GuestCell) {
	c.Set("id", g.ID)
	if g.PageSize != 0 {
		c.Set("pagesize", g.PageSize)
	}
	if g.Pinning != nil {
		raw := make(map[string]int, len(g.Pinning))
		for vcpu, cpu := range g.Pinning {
			raw[strconv.Itoa(vcpu)] = cpu
		}
		c.Set("cpu_pinning_raw", raw)
	}
	if g.Reserved != nil {
		c.Set("cpuset_reserved", ints(g.Reserved))
	}
}

func set(o *nova.Object, field string) numa.Set {
	list := o.Ints(field)
	out := make(numa.Set, len(list))
	for i, n := range list {
		out[i] = int(n)
	}
	return out.Sorted()
}

func toSet(v any) numa.Set {
	list, _ := v.([]any)
	var out numa.Set
	for _, n := range list {
		if i, err := strconv.Atoi(fmt.Sprint(n)); err == nil {
			out = append(out, i)
		}
	}
	return out.Sorted()
}

// ints never is null: an empty set is an empty list.
func ints(s numa.Set) []int { return append([]int{}, s...) }
