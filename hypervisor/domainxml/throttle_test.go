package domainxml

import (
	"testing"

	"libvirt.org/go/libvirtxml"
)

func TestThrottle(t *testing.T) {
	same(t, nil, Throttle{}.build())
	same(t, &libvirtxml.DomainDiskIOTune{TotalBytesSec: 1, ReadBytesSec: 2, WriteBytesSec: 3, TotalIopsSec: 4, ReadIopsSec: 5, WriteIopsSec: 6},
		Throttle{TotalBytes: 1, ReadBytes: 2, WriteBytes: 3, TotalOps: 4, ReadOps: 5, WriteOps: 6}.build())
}
