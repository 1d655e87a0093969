package domainxml

import (
	"testing"

	"libvirt.org/go/libvirtxml"
)

func TestNUMATune(t *testing.T) {
	g := smallest()
	g.NUMATune = NUMATune{Mode: "strict", Nodes: "0-1", Cells: []NUMABinding{{Cell: 0, Mode: "strict", Nodes: "1"}}}
	same(t, &libvirtxml.DomainNUMATune{
		Memory:   &libvirtxml.DomainNUMATuneMemory{Mode: "strict", Nodeset: "0-1"},
		MemNodes: []libvirtxml.DomainNUMATuneMemNode{{CellID: 0, Mode: "strict", Nodeset: "1"}},
	}, build(t, g).NUMATune)
}
