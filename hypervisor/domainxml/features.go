package domainxml

import "libvirt.org/go/libvirtxml"

// Features are properties of the platform that are no devices.
type Features struct {
	ACPI, APIC bool
	HyperV     HyperV
	HideKVM    bool   // keep the guest from finding out that KVM runs it
	PMU        string // "on" or "off": virtual performance counters; empty leaves it to the hypervisor
	SMM        bool   // system management mode, which secure boot firmware needs
	VMCoreInfo bool   // let the guest say where its crash dump is
	TBCacheMiB uint   // QEMU's translation cache where KVM does not run the guest; 0 leaves it to QEMU
	IOAPIC     string // "qemu" or "kvm": who emulates the I/O APIC
}

// HyperV are the enlightenments that make Windows guests run well.
type HyperV struct {
	Enabled  bool   // all the enlightenments that need no further choice
	Spinlock uint   // spins before the hypervisor is told; required when Enabled
	VendorID string // up to 12 characters shown in place of Hyper-V's own
}

func (f Features) build() *libvirtxml.DomainFeatureList {
	var out libvirtxml.DomainFeatureList
	if f.ACPI {
		out.ACPI = &libvirtxml.DomainFeature{}
	}
	if f.APIC {
		out.APIC = &libvirtxml.DomainFeatureAPIC{}
	}
	if f.HyperV.Enabled {
		out.HyperV = f.HyperV.build()
	}
	if f.HideKVM {
		out.KVM = &libvirtxml.DomainFeatureKVM{Hidden: &libvirtxml.DomainFeatureState{State: "on"}}
	}
	if f.PMU != "" {
		out.PMU = &libvirtxml.DomainFeatureState{State: f.PMU}
	}
	if f.SMM {
		out.SMM = &libvirtxml.DomainFeatureSMM{State: "on"}
	}
	if f.VMCoreInfo {
		out.VMCoreInfo = &libvirtxml.DomainFeatureState{State: "on"}
	}
	if f.IOAPIC != "" {
		out.IOAPIC = &libvirtxml.DomainFeatureIOAPIC{Driver: f.IOAPIC}
	}
	if f.TBCacheMiB > 0 {
		out.TCG = &libvirtxml.DomainFeatureTCG{TBCache: &libvirtxml.DomainFeatureTCGTBCache{Unit: "MiB", Size: f.TBCacheMiB}}
	}
	if out == (libvirtxml.DomainFeatureList{}) {
		return nil
	}
	return &out
}

func (h HyperV) build() *libvirtxml.DomainFeatureHyperV {
	on := libvirtxml.DomainFeatureState{State: "on"}
	out := &libvirtxml.DomainFeatureHyperV{
		Relaxed:         &on,
		VAPIC:           &on,
		Spinlocks:       &libvirtxml.DomainFeatureHyperVSpinlocks{DomainFeatureState: on, Retries: h.Spinlock},
		VPIndex:         &on,
		Runtime:         &on,
		Synic:           &on,
		Reset:           &on,
		Frequencies:     &on,
		ReEnlightenment: &on,
		TLBFlush:        &libvirtxml.DomainFeatureHyperVTLBFlush{DomainFeatureState: on},
		IPI:             &on,
		EVMCS:           &on,
	}
	if h.VendorID != "" {
		out.VendorId = &libvirtxml.DomainFeatureHyperVVendorId{DomainFeatureState: on, Value: h.VendorID}
	}
	return out
}
