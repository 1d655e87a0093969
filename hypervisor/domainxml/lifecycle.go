package domainxml

import "libvirt.org/go/libvirtxml"

// Lifecycle is what libvirt does with the domain when the guest ends by itself: "destroy", "restart", "preserve", and
// for a crash also "coredump-destroy" and "coredump-restart". Empty fields take libvirt's defaults: destroy, restart,
// destroy.
type Lifecycle struct {
	OnPowerOff, OnReboot, OnCrash string
}

func (l Lifecycle) build(d *libvirtxml.Domain) {
	d.OnPoweroff, d.OnReboot, d.OnCrash = l.OnPowerOff, l.OnReboot, l.OnCrash
}
