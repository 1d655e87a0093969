package domainxml

import "libvirt.org/go/libvirtxml"

// NVDIMM gives the guest persistent memory of the host, on guest NUMA node 0.
type NVDIMM struct {
	Path     string // device of the host, "/dev/dax0.1"
	SizeKiB  uint
	AlignKiB uint64
	LabelKiB uint // taken from the size for the guest's namespace labels
}

func (n NVDIMM) build() libvirtxml.DomainMemorydev {
	return libvirtxml.DomainMemorydev{
		Model:  "nvdimm",
		Access: "shared",
		Source: &libvirtxml.DomainMemorydevSource{
			Path:      n.Path,
			AlignSize: &libvirtxml.DomainMemorydevSourceAlignsize{Value: n.AlignKiB, Unit: "KiB"},
			PMem:      &libvirtxml.DomainMemorydevSourcePMem{},
		},
		Target: &libvirtxml.DomainMemorydevTarget{
			Size:  &libvirtxml.DomainMemorydevTargetSize{Value: n.SizeKiB, Unit: "KiB"},
			Node:  &libvirtxml.DomainMemorydevTargetNode{},
			Label: &libvirtxml.DomainMemorydevTargetLabel{Size: &libvirtxml.DomainMemorydevTargetSize{Value: n.LabelKiB, Unit: "KiB"}},
		},
	}
}
