package guest

import "bolide/hypervisor/domainxml"

// Values by which Windows guests run well, and are kept from seeing Hyper-V where that disturbs their drivers.
const (
	hypervSpinlock = 8191
	hypervVendor   = "1234567890ab"
)

// addFeatures sets the features of the platform.
func addFeatures(g *domainxml.Guest, r Request, w wishes) error {
	f := &g.Features
	f.ACPI = true
	f.APIC = !r.Settings.DisableAPIC
	f.VMCoreInfo = isX86(r.arch()) || r.arch() == "aarch64"
	f.HideKVM = truthy(w.specs["hide_hypervisor_id"]) || truthy(w.specs["hw:hide_hypervisor_id"]) ||
		w.props.Bool("img_hide_hypervisor_id")
	if isWindows(r) && g.Type == "kvm" {
		// The enlightenments are KVM's. Under emulation QEMU would refuse to start with them.
		f.HyperV = domainxml.HyperV{Enabled: true, Spinlock: hypervSpinlock}
		if f.HideKVM {
			f.HyperV.VendorID = hypervVendor
		}
	}
	if g.Type == "qemu" && r.Host.Libvirt >= libvirtTBCache {
		f.TBCacheMiB = r.Settings.TBCacheMiB
	}
	pmu, set, err := w.flag("pmu")
	if err != nil {
		return err
	}
	if set {
		f.PMU = "off"
		if pmu {
			f.PMU = "on"
		}
	}
	return nil
}

// addClock sets the clock, which Windows wants in local time, and KVM's timers.
func addClock(g *domainxml.Guest, r Request, w wishes) error {
	g.Clock.Offset = "utc"
	if isWindows(r) {
		g.Clock.Offset = "localtime"
	}
	if r.Settings.VirtType != "kvm" {
		return nil
	}
	g.Clock.Timers = []domainxml.Timer{{Name: "pit", TickPolicy: "delay"}, {Name: "rtc", TickPolicy: "catchup"}}
	if isX86(r.arch()) {
		hpet := domainxml.Timer{Name: "hpet", Present: "no"}
		if w.props.Bool("hw_time_hpet") {
			hpet.Present = "yes"
		}
		g.Clock.Timers = append(g.Clock.Timers, hpet)
	}
	if isWindows(r) {
		g.Clock.Timers = append(g.Clock.Timers, domainxml.Timer{Name: "hypervclock", Present: "yes"})
	}
	return nil
}

func isWindows(r Request) bool { return r.Instance.OSType() == "windows" }
