package domainxml

import (
	"testing"

	"libvirt.org/go/libvirtxml"
)

func TestFeatures(t *testing.T) {
	g := smallest()
	g.Features = Features{ACPI: true, APIC: true, HideKVM: true, PMU: "off", SMM: true, VMCoreInfo: true, IOAPIC: "qemu", TBCacheMiB: 64}
	same(t, &libvirtxml.DomainFeatureList{
		ACPI:       &libvirtxml.DomainFeature{},
		APIC:       &libvirtxml.DomainFeatureAPIC{},
		KVM:        &libvirtxml.DomainFeatureKVM{Hidden: &libvirtxml.DomainFeatureState{State: "on"}},
		PMU:        &libvirtxml.DomainFeatureState{State: "off"},
		SMM:        &libvirtxml.DomainFeatureSMM{State: "on"},
		VMCoreInfo: &libvirtxml.DomainFeatureState{State: "on"},
		IOAPIC:     &libvirtxml.DomainFeatureIOAPIC{Driver: "qemu"},
		TCG:        &libvirtxml.DomainFeatureTCG{TBCache: &libvirtxml.DomainFeatureTCGTBCache{Unit: "MiB", Size: 64}},
	}, build(t, g).Features)
}

func TestHyperV(t *testing.T) {
	g := smallest()
	g.Features.HyperV = HyperV{Enabled: true, Spinlock: 8191, VendorID: "example"}
	on := libvirtxml.DomainFeatureState{State: "on"}
	same(t, &libvirtxml.DomainFeatureHyperV{
		Relaxed: &on, VAPIC: &on, VPIndex: &on, Runtime: &on, Synic: &on, Reset: &on, Frequencies: &on, ReEnlightenment: &on, IPI: &on, EVMCS: &on,
		Spinlocks: &libvirtxml.DomainFeatureHyperVSpinlocks{DomainFeatureState: on, Retries: 8191},
		TLBFlush:  &libvirtxml.DomainFeatureHyperVTLBFlush{DomainFeatureState: on},
		VendorId:  &libvirtxml.DomainFeatureHyperVVendorId{DomainFeatureState: on, Value: "example"},
	}, build(t, g).Features.HyperV)
}
