package guest

import (
	"slices"
	"strconv"

	"bolide/hypervisor/domainxml"
	"bolide/rpc/nova"
)

// addNUMA shows the guest the NUMA nodes that its claim gave it, and ties them and their vcpus to the host's.
func addNUMA(g *domainxml.Guest, r Request, w wishes) error {
	topology := r.Instance.NUMATopology()
	cells := topology.Cells()
	if len(cells) == 0 {
		if r.Settings.CPUSharedSetGiven {
			g.VCPUs.Set = FormatCPUs(r.Host.SharedCPUs)
		}
		return nil
	}
	realtime, err := realtimeCPUs(w)
	if err != nil {
		return err
	}
	if len(realtime) > 0 {
		g.CPUTune.Schedulers = []domainxml.VCPUScheduler{
			{VCPUs: FormatCPUs(realtime), Policy: "fifo", Priority: r.Settings.RealtimePriority},
		}
	}
	access := ""
	if usesHugePages(r.Host, cells) {
		access = "shared" // a vhost-user card may be plugged at any time, and this cannot be changed then
	}
	e := emulator{policy: topology.EmulatorThreadsPolicy(), shared: r.sharedEmulatorCPUs(), realtime: realtime}
	var nodes, emulatorCPUs []int
	for i, cell := range cells {
		cpus := cellCPUs(cell)
		g.CPU.Cells = append(g.CPU.Cells, domainxml.NUMACell{
			ID: uint(i), CPUs: FormatCPUs(cpus), KiB: uint(cell.Int("memory")) * 1024, Access: access,
		})
		node := int(cell.Int("id"))
		host, ok := r.Host.cell(node)
		if !ok {
			continue
		}
		nodes = append(nodes, node)
		g.NUMATune.Cells = append(g.NUMATune.Cells, domainxml.NUMABinding{Cell: uint(i), Mode: "strict", Nodes: strconv.Itoa(node)})
		pins := pinning(cell)
		for _, cpu := range cpus {
			set := host.CPUs // floats over the node
			if pinned, ok := pins[cpu]; ok {
				set = []int{pinned}
			}
			g.CPUTune.Pins = append(g.CPUTune.Pins, domainxml.VCPUPin{VCPU: uint(cpu), Set: FormatCPUs(set)})
			emulatorCPUs = append(emulatorCPUs, e.cpus(cpu, cell, set)...)
		}
	}
	if len(r.Host.NUMA) == 0 {
		return nil
	}
	slices.SortFunc(g.CPUTune.Pins, func(a, b domainxml.VCPUPin) int { return int(a.VCPU) - int(b.VCPU) })
	g.NUMATune.Mode = "strict"
	g.NUMATune.Nodes = FormatCPUs(nodes)
	g.CPUTune.EmulatorSet = FormatCPUs(emulatorCPUs)
	return nil
}

// emulator says where QEMU's own threads may run.
type emulator struct {
	policy   string // isolate, share or ""
	shared   []int  // for share
	realtime []int  // vcpus that must not be disturbed
}

func (e emulator) cpus(vcpu int, cell *nova.Object, set []int) []int {
	switch {
	case e.policy == "isolate":
		return ints(cell, "cpuset_reserved")
	case e.policy == "share" && len(e.shared) > 0:
		return e.shared
	case !slices.Contains(e.realtime, vcpu):
		return set
	}
	return nil
}

func (r Request) sharedEmulatorCPUs() []int {
	if !r.Settings.CPUSharedSetGiven {
		return nil
	}
	return r.Host.SharedCPUs
}

func (h Host) cell(id int) (NUMACell, bool) {
	i := slices.IndexFunc(h.NUMA, func(c NUMACell) bool { return c.ID == id })
	if i < 0 {
		return NUMACell{}, false
	}
	return h.NUMA[i], true
}

// cellCPUs are the vcpus of a guest's node, floating and pinned.
func cellCPUs(cell *nova.Object) []int {
	cpus := append(ints(cell, "cpuset"), ints(cell, "pcpuset")...)
	slices.Sort(cpus)
	return slices.Compact(cpus)
}

// pinning is which host CPU each pinned vcpu has.
func pinning(cell *nova.Object) map[int]int {
	pins := map[int]int{}
	for vcpu, cpu := range cell.Map("cpu_pinning_raw") {
		from, err := strconv.Atoi(vcpu)
		to, err2 := strconv.Atoi(cpu)
		if err == nil && err2 == nil {
			pins[from] = to
		}
	}
	return pins
}

func ints(o *nova.Object, field string) []int {
	var out []int
	for _, n := range o.Ints(field) {
		out = append(out, int(n))
	}
	return out
}

// realtimeCPUs are the vcpus that run before everything else on their host CPUs.
func realtimeCPUs(w wishes) ([]int, error) {
	if !truthy(w.specs["hw:cpu_realtime"]) {
		return nil, nil
	}
	mask := w.props.Str("hw_cpu_realtime_mask")
	if mask == "" {
		mask = w.specs["hw:cpu_realtime_mask"]
	}
	vcpus := int(w.flavor.VCPUs())
	all := "0-" + strconv.Itoa(vcpus-1)
	switch {
	case mask == "":
		mask = all
	case mask[0] == '^' || mask[0] == ' ':
		mask = all + "," + mask
	}
	cpus, err := ParseCPUs(mask)
	if err != nil {
		return nil, err
	}
	everyOne := len(cpus) == vcpus && w.specs["hw:emulator_threads_policy"] == ""
	if len(cpus) == 0 || everyOne || cpus[len(cpus)-1] >= vcpus {
		return nil, nova.NewError("RealtimeMaskNotFoundOrInvalid", nil)
	}
	return cpus, nil
}

// Pinning is where the guest's CPUs and memory cells go on this host, by the topology that its instance has.
func Pinning(r Request) (domainxml.CPUTune, domainxml.NUMATune, error) {
	var g domainxml.Guest
	err := addNUMA(&g, r, wishesOf(r))
	return g.CPUTune, g.NUMATune, err
}
