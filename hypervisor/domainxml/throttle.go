package domainxml

import "libvirt.org/go/libvirtxml"

// Throttle bounds the I/O of a disk. Zero means unbounded; a Total excludes the Read and Write bound of its kind.
type Throttle struct {
	TotalBytes, ReadBytes, WriteBytes uint64 // bytes per second
	TotalOps, ReadOps, WriteOps       uint64 // operations per second
}

func (t Throttle) build() *libvirtxml.DomainDiskIOTune {
	if t == (Throttle{}) {
		return nil
	}
	return &libvirtxml.DomainDiskIOTune{
		TotalBytesSec: t.TotalBytes, ReadBytesSec: t.ReadBytes, WriteBytesSec: t.WriteBytes,
		TotalIopsSec: t.TotalOps, ReadIopsSec: t.ReadOps, WriteIopsSec: t.WriteOps,
	}
}
