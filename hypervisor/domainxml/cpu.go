package domainxml

import "libvirt.org/go/libvirtxml"

// CPU is the processor that the guest sees.
type CPU struct {
	Mode     string // "host-model", "host-passthrough", "maximum", "custom"; empty takes the machine's own
	Match    string // how exactly a custom model must be met: "exact", "minimum", "strict"
	Model    string // name of a custom model
	Topology Topology
	Features []CPUFeature
	Cells    []NUMACell
}

// Topology is the shape that the guest's vcpus are presented in; their product must be the count of vcpus.
type Topology struct {
	Sockets, Cores, Threads int
}

// CPUFeature turns one CPU flag on or off.
type CPUFeature struct {
	Name   string
	Policy string // "require", "disable", "force", "optional", "forbid"
}

// NUMACell is one NUMA node of the guest.
type NUMACell struct {
	ID     uint
	CPUs   string // vcpus of the node as a CPU set
	KiB    uint   // memory of the node
	Access string // "shared" lets other host processes (vhost-user) map the memory
}

func (c CPU) build() *libvirtxml.DomainCPU {
	out := libvirtxml.DomainCPU{
		Mode:  c.Mode,
		Match: c.Match,
		Features: each(c.Features, func(f CPUFeature) libvirtxml.DomainCPUFeature {
			return libvirtxml.DomainCPUFeature{Name: f.Name, Policy: f.Policy}
		}),
	}
	if c.Model != "" {
		out.Model = &libvirtxml.DomainCPUModel{Value: c.Model}
	}
	if c.Topology != (Topology{}) {
		out.Topology = &libvirtxml.DomainCPUTopology{
			Sockets: c.Topology.Sockets, Cores: c.Topology.Cores, Threads: c.Topology.Threads,
		}
	}
	if len(c.Cells) > 0 {
		out.Numa = &libvirtxml.DomainNuma{Cell: each(c.Cells, NUMACell.build)}
	}
	if out.Mode == "" && out.Match == "" && out.Model == nil && out.Topology == nil && out.Features == nil && out.Numa == nil {
		return nil
	}
	return &out
}

func (c NUMACell) build() libvirtxml.DomainCell {
	return libvirtxml.DomainCell{ID: new(c.ID), CPUs: c.CPUs, Memory: c.KiB, Unit: "KiB", MemAccess: c.Access}
}
