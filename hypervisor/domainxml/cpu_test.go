package domainxml

import (
	"testing"

	"libvirt.org/go/libvirtxml"
)

func TestCPU(t *testing.T) {
	g := smallest()
	g.CPU = CPU{
		Mode: "custom", Match: "exact", Model: "Nehalem", Topology: Topology{Sockets: 1, Cores: 2, Threads: 3},
		Features: []CPUFeature{{Name: "aes", Policy: "require"}, {Name: "ssse3", Policy: "disable"}},
		Cells:    []NUMACell{{ID: 0, CPUs: "0-2", KiB: 512}, {ID: 1, CPUs: "3-5", KiB: 512, Access: "shared"}},
	}
	same(t, &libvirtxml.DomainCPU{
		Mode: "custom", Match: "exact", Model: &libvirtxml.DomainCPUModel{Value: "Nehalem"},
		Topology: &libvirtxml.DomainCPUTopology{Sockets: 1, Cores: 2, Threads: 3},
		Features: []libvirtxml.DomainCPUFeature{{Name: "aes", Policy: "require"}, {Name: "ssse3", Policy: "disable"}},
		Numa: &libvirtxml.DomainNuma{Cell: []libvirtxml.DomainCell{
			{ID: new(uint(0)), CPUs: "0-2", Memory: 512, Unit: "KiB"},
			{ID: new(uint(1)), CPUs: "3-5", Memory: 512, Unit: "KiB", MemAccess: "shared"},
		}},
	}, build(t, g).CPU)
}
