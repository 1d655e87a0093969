package domainxml

import "libvirt.org/go/libvirtxml"

// Memory is the guest's RAM and how the host backs it.
type Memory struct {
	KiB      uint // required
	MaxKiB   uint // upper bound for hot-plugged memory; zero forbids hot-plug
	MaxSlots uint // memory devices that may be plugged below MaxKiB
	Backing  MemoryBacking
}

// MemoryBacking says where the host takes the guest's pages from.
type MemoryBacking struct {
	HugePages  []HugePages
	NoSharing  bool   // keep the kernel from merging pages with those of other guests
	Locked     bool   // pages never go to swap
	Source     string // "file", "anonymous" or "memfd"
	Access     string // "shared" or "private"
	Allocation string // "immediate" or "ondemand"
	Discard    bool   // drop the backing pages when the guest stops
}

// HugePages gives guest NUMA nodes their page size.
type HugePages struct {
	KiB   uint
	Nodes string // guest NUMA nodes as a CPU set ("0,2-3"); empty means all
}

func (m Memory) build(d *libvirtxml.Domain) {
	d.Memory = &libvirtxml.DomainMemory{Value: m.KiB, Unit: "KiB"}
	if m.MaxKiB != 0 {
		d.MaximumMemory = &libvirtxml.DomainMaxMemory{Value: m.MaxKiB, Unit: "KiB", Slots: m.MaxSlots}
	}
	d.MemoryBacking = m.Backing.build()
}

func (b MemoryBacking) build() *libvirtxml.DomainMemoryBacking {
	var out libvirtxml.DomainMemoryBacking
	if len(b.HugePages) > 0 {
		out.MemoryHugePages = &libvirtxml.DomainMemoryHugepages{
			Hugepages: each(b.HugePages, func(p HugePages) libvirtxml.DomainMemoryHugepage {
				return libvirtxml.DomainMemoryHugepage{Size: p.KiB, Unit: "KiB", Nodeset: p.Nodes}
			}),
		}
	}
	if b.NoSharing {
		out.MemoryNosharepages = &libvirtxml.DomainMemoryNosharepages{}
	}
	if b.Locked {
		out.MemoryLocked = &libvirtxml.DomainMemoryLocked{}
	}
	if b.Source != "" {
		out.MemorySource = &libvirtxml.DomainMemorySource{Type: b.Source}
	}
	if b.Access != "" {
		out.MemoryAccess = &libvirtxml.DomainMemoryAccess{Mode: b.Access}
	}
	if b.Allocation != "" {
		out.MemoryAllocation = &libvirtxml.DomainMemoryAllocation{Mode: b.Allocation}
	}
	if b.Discard {
		out.MemoryDiscard = &libvirtxml.DomainMemoryDiscard{}
	}
	if out == (libvirtxml.DomainMemoryBacking{}) {
		return nil
	}
	return &out
}
