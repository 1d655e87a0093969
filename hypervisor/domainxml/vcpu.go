package domainxml

import "libvirt.org/go/libvirtxml"

// VCPUs is how many virtual CPUs the guest has and on which host CPUs they may run.
type VCPUs struct {
	Count   uint   // required: the most the guest can have
	Current uint   // how many are plugged at start; zero means Count
	Set     string // host CPUs all of them float over ("0-3,^2"); empty means every one
}

// CPUTune bounds and places the threads of the guest on the host.
type CPUTune struct {
	Shares      uint   // weight against other guests; zero leaves the host's default
	Period      uint64 // microseconds in which a vcpu may run Quota
	Quota       int64  // microseconds; negative means no bound
	EmulatorSet string // host CPUs for QEMU's own threads
	Pins        []VCPUPin
	Schedulers  []VCPUScheduler
}

// VCPUPin ties one vcpu to a set of host CPUs.
type VCPUPin struct {
	VCPU uint
	Set  string
}

// VCPUScheduler gives vcpus a real-time scheduling class.
type VCPUScheduler struct {
	VCPUs    string // CPU set of vcpu numbers
	Policy   string // "fifo", "rr", "idle" or "batch"
	Priority int    // 1 to 99, of "fifo" and "rr"
}

func (v VCPUs) build(d *libvirtxml.Domain) {
	d.VCPU = &libvirtxml.DomainVCPU{Value: v.Count, Current: v.Current, CPUSet: v.Set}
}

func (t CPUTune) build() *libvirtxml.DomainCPUTune {
	out := libvirtxml.DomainCPUTune{
		VCPUPin: each(t.Pins, func(p VCPUPin) libvirtxml.DomainCPUTuneVCPUPin {
			return libvirtxml.DomainCPUTuneVCPUPin{VCPU: p.VCPU, CPUSet: p.Set}
		}),
		VCPUSched: each(t.Schedulers, func(s VCPUScheduler) libvirtxml.DomainCPUTuneVCPUSched {
			return libvirtxml.DomainCPUTuneVCPUSched{VCPUs: s.VCPUs, Scheduler: s.Policy, Priority: new(s.Priority)}
		}),
	}
	if t.Shares != 0 {
		out.Shares = &libvirtxml.DomainCPUTuneShares{Value: t.Shares}
	}
	if t.Period != 0 {
		out.Period = &libvirtxml.DomainCPUTunePeriod{Value: t.Period}
	}
	if t.Quota != 0 {
		out.Quota = &libvirtxml.DomainCPUTuneQuota{Value: t.Quota}
	}
	if t.EmulatorSet != "" {
		out.EmulatorPin = &libvirtxml.DomainCPUTuneEmulatorPin{CPUSet: t.EmulatorSet}
	}
	if out.Shares == nil && out.Period == nil && out.Quota == nil && out.EmulatorPin == nil &&
		out.VCPUPin == nil && out.VCPUSched == nil {
		return nil
	}
	return &out
}
