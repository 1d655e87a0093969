package domainxml

import (
	"testing"

	"libvirt.org/go/libvirtxml"
)

func TestMemory(t *testing.T) {
	g := smallest()
	g.Memory = Memory{KiB: 1024, MaxKiB: 4096, MaxSlots: 3, Backing: MemoryBacking{
		HugePages: []HugePages{{KiB: 2048, Nodes: "0"}, {KiB: 1048576, Nodes: "1-2"}},
		NoSharing: true, Locked: true, Source: "file", Access: "shared", Allocation: "immediate", Discard: true,
	}}
	d := build(t, g)
	same(t, &libvirtxml.DomainMemory{Value: 1024, Unit: "KiB"}, d.Memory)
	same(t, &libvirtxml.DomainMaxMemory{Value: 4096, Unit: "KiB", Slots: 3}, d.MaximumMemory)
	same(t, &libvirtxml.DomainMemoryBacking{
		MemoryHugePages: &libvirtxml.DomainMemoryHugepages{Hugepages: []libvirtxml.DomainMemoryHugepage{
			{Size: 2048, Unit: "KiB", Nodeset: "0"}, {Size: 1048576, Unit: "KiB", Nodeset: "1-2"},
		}},
		MemoryNosharepages: &libvirtxml.DomainMemoryNosharepages{},
		MemoryLocked:       &libvirtxml.DomainMemoryLocked{},
		MemorySource:       &libvirtxml.DomainMemorySource{Type: "file"},
		MemoryAccess:       &libvirtxml.DomainMemoryAccess{Mode: "shared"},
		MemoryAllocation:   &libvirtxml.DomainMemoryAllocation{Mode: "immediate"},
		MemoryDiscard:      &libvirtxml.DomainMemoryDiscard{},
	}, d.MemoryBacking)
}
