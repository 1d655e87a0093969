package domainxml

import (
	"testing"

	"libvirt.org/go/libvirtxml"
)

func TestWatchdog(t *testing.T) {
	g := smallest()
	g.Watchdog = Watchdog{Model: "i6300esb", Action: "poweroff"}
	same(t, []libvirtxml.DomainWatchdog{{Model: "i6300esb", Action: "poweroff"}}, build(t, g).Devices.Watchdogs)
}

func TestBalloon(t *testing.T) {
	same(t, nil, Balloon{}.build())
	same(t, &libvirtxml.DomainMemBalloon{Model: "none"}, Balloon{Model: "none"}.build())
	same(t, &libvirtxml.DomainMemBalloon{Model: "virtio", Stats: &libvirtxml.DomainMemBalloonStats{Period: 10}},
		Balloon{Model: "virtio", StatsSeconds: 10}.build())
}

func TestRNG(t *testing.T) {
	backend := &libvirtxml.DomainRNGBackend{Random: &libvirtxml.DomainRNGBackendRandom{Device: "/dev/urandom"}}
	same(t, libvirtxml.DomainRNG{Model: "virtio", Backend: backend}, RNG{Device: "/dev/urandom"}.build())
	same(t, libvirtxml.DomainRNG{Model: "virtio", Backend: backend, Rate: &libvirtxml.DomainRNGRate{Bytes: 2048, Period: 1000}},
		RNG{Device: "/dev/urandom", Bytes: 2048, Period: 1000}.build())
}

func TestNVDIMM(t *testing.T) {
	g := smallest()
	g.NVDIMMs = []NVDIMM{{Path: "/dev/dax0.1", SizeKiB: 4096, AlignKiB: 2048, LabelKiB: 128}}
	same(t, []libvirtxml.DomainMemorydev{{
		Model: "nvdimm", Access: "shared",
		Source: &libvirtxml.DomainMemorydevSource{
			Path: "/dev/dax0.1", AlignSize: &libvirtxml.DomainMemorydevSourceAlignsize{Value: 2048, Unit: "KiB"}, PMem: &libvirtxml.DomainMemorydevSourcePMem{},
		},
		Target: &libvirtxml.DomainMemorydevTarget{
			Size: &libvirtxml.DomainMemorydevTargetSize{Value: 4096, Unit: "KiB"}, Node: &libvirtxml.DomainMemorydevTargetNode{},
			Label: &libvirtxml.DomainMemorydevTargetLabel{Size: &libvirtxml.DomainMemorydevTargetSize{Value: 128, Unit: "KiB"}},
		},
	}}, build(t, g).Devices.Memorydevs)
}

func TestIOMMU(t *testing.T) {
	g := smallest()
	g.IOMMU = IOMMU{Model: "intel", AddressWidth: 48, ExtendedMode: true}
	same(t, []libvirtxml.DomainIOMMU{{
		Model: "intel", Driver: &libvirtxml.DomainIOMMUDriver{IntRemap: "on", CachingMode: "on", IOTLB: "on", EIM: "on", AWBits: 48},
	}}, build(t, g).Devices.IOMMUs)
}
