package domainxml

import (
	"testing"

	"libvirt.org/go/libvirtxml"
)

func TestVCPUs(t *testing.T) {
	g := smallest()
	g.VCPUs = VCPUs{Count: 8, Current: 2, Set: "0-3,^2"}
	same(t, &libvirtxml.DomainVCPU{Value: 8, Current: 2, CPUSet: "0-3,^2"}, build(t, g).VCPU)
}

func TestCPUTune(t *testing.T) {
	g := smallest()
	g.CPUTune = CPUTune{
		Shares: 512, Period: 100000, Quota: -1, EmulatorSet: "0",
		Pins:       []VCPUPin{{VCPU: 0, Set: "1"}, {VCPU: 1, Set: "2-3"}},
		Schedulers: []VCPUScheduler{{VCPUs: "1", Policy: "fifo", Priority: 1}},
	}
	same(t, &libvirtxml.DomainCPUTune{
		Shares:      &libvirtxml.DomainCPUTuneShares{Value: 512},
		Period:      &libvirtxml.DomainCPUTunePeriod{Value: 100000},
		Quota:       &libvirtxml.DomainCPUTuneQuota{Value: -1},
		EmulatorPin: &libvirtxml.DomainCPUTuneEmulatorPin{CPUSet: "0"},
		VCPUPin:     []libvirtxml.DomainCPUTuneVCPUPin{{VCPU: 0, CPUSet: "1"}, {VCPU: 1, CPUSet: "2-3"}},
		VCPUSched:   []libvirtxml.DomainCPUTuneVCPUSched{{VCPUs: "1", Scheduler: "fifo", Priority: new(1)}},
	}, build(t, g).CPUTune)
}
