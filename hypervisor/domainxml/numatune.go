package domainxml

import "libvirt.org/go/libvirtxml"

// NUMATune says from which host NUMA nodes the guest's memory comes.
type NUMATune struct {
	Mode  string // "strict", "preferred", "interleave", "restrictive"
	Nodes string // host nodes as a set, for the guest as a whole
	Cells []NUMABinding
}

// NUMABinding ties one NUMA node of the guest to host nodes.
type NUMABinding struct {
	Cell  uint   // the guest's node
	Mode  string // as NUMATune.Mode
	Nodes string // host nodes as a set
}

func (t NUMATune) build() *libvirtxml.DomainNUMATune {
	var out libvirtxml.DomainNUMATune
	if t.Mode != "" || t.Nodes != "" {
		out.Memory = &libvirtxml.DomainNUMATuneMemory{Mode: t.Mode, Nodeset: t.Nodes}
	}
	out.MemNodes = each(t.Cells, func(b NUMABinding) libvirtxml.DomainNUMATuneMemNode {
		return libvirtxml.DomainNUMATuneMemNode{CellID: b.Cell, Mode: b.Mode, Nodeset: b.Nodes}
	})
	if out.Memory == nil && out.MemNodes == nil {
		return nil
	}
	return &out
}
