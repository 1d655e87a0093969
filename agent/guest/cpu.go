package guest

import (
	"slices"
	"strings"

	"bolide/hypervisor/domainxml"
	"bolide/rpc/nova"
)

// addCPU sets the CPU's model and shape. Its NUMA cells are there already.
func addCPU(g *domainxml.Guest, r Request, w wishes) error {
	topology, err := bestTopology(int(w.flavor.VCPUs()), w)
	if err != nil {
		return err
	}
	g.CPU.Topology = domainxml.Topology(topology)
	g.CPU.Match = "exact"
	if r.arch() != r.Host.Arch {
		g.Type = "qemu" // another architecture is emulated, with that emulator's default CPU
		return nil
	}
	switch mode := r.Settings.CPUMode; mode {
	case "none":
		return nil
	case "":
		g.CPU.Mode = "host-model"
	default:
		g.CPU.Mode = mode
	}
	if len(r.Settings.CPUModels) > 0 {
		g.CPU.Model = r.Host.cpuModel(r.Settings.CPUModels[0])
	}
	g.CPU.Features = cpuFeatures(r.Settings.CPUFlags)
	return nil
}

// cpuModel is libvirt's spelling of a model's name, which nova.conf may write in any case.
func (h Host) cpuModel(name string) string {
	if i := slices.IndexFunc(h.CPUModels, func(m string) bool { return strings.EqualFold(m, name) }); i >= 0 {
		return h.CPUModels[i]
	}
	return name
}

// cpuFeatures reads cpu_model_extra_flags: "-flag" takes a flag away, and "flag" or "+flag" asks for it.
func cpuFeatures(flags []string) []domainxml.CPUFeature {
	var out []domainxml.CPUFeature
	for _, flag := range flags {
		feature := domainxml.CPUFeature{Name: strings.TrimLeft(strings.ToLower(flag), "+-"), Policy: "require"}
		if strings.HasPrefix(flag, "-") {
			feature.Policy = "disable"
		}
		if !slices.ContainsFunc(out, func(f domainxml.CPUFeature) bool { return f.Name == feature.Name }) {
			out = append(out, feature)
		}
	}
	slices.SortFunc(out, func(a, b domainxml.CPUFeature) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// addCPUQuota bounds the time that the guest may run, by the extra specs quota:cpu_*.
func addCPUQuota(g *domainxml.Guest, r Request, w wishes) error {
	values := map[string]int{}
	for _, key := range []string{"quota:cpu_shares", "quota:cpu_period", "quota:cpu_quota"} {
		if _, asked := w.specs[key]; !asked {
			continue
		}
		if !r.Host.CPUControl {
			return nova.NewError("UnsupportedHostCPUControlPolicy", nil)
		}
		var err error
		if values[key], err = w.specInt(key); err != nil {
			return err
		}
	}
	g.CPUTune.Shares = uint(max(0, values["quota:cpu_shares"]))
	g.CPUTune.Period = uint64(max(0, values["quota:cpu_period"]))
	g.CPUTune.Quota = int64(values["quota:cpu_quota"])
	return nil
}

// VCPUModel is the CPU as instances record it (Instance.vcpu_model).
func VCPUModel(p nova.Profile, cpu domainxml.CPU) *nova.Object {
	nullable := func(s string) any {
		if s == "" {
			return nil
		}
		return s
	}
	topology := p.New("VirtCPUTopology")
	topology.Set("sockets", cpu.Topology.Sockets)
	topology.Set("cores", cpu.Topology.Cores)
	topology.Set("threads", cpu.Topology.Threads)
	features := []*nova.Object{}
	for _, f := range cpu.Features {
		feature := p.New("VirtCPUFeature")
		feature.Set("name", f.Name)
		feature.Set("policy", f.Policy)
		features = append(features, feature)
	}
	model := p.New("VirtCPUModel")
	model.Set("arch", nil)
	model.Set("vendor", nil)
	model.Set("mode", nullable(cpu.Mode))
	model.Set("model", nullable(cpu.Model))
	model.Set("match", nullable(cpu.Match))
	model.Set("topology", topology)
	model.Set("features", features)
	return model
}
