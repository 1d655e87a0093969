package domainxml

import "libvirt.org/go/libvirtxml"

// Watchdog acts when the guest no longer feeds it. The zero value leaves it out.
type Watchdog struct {
	Model  string // "i6300esb", "ib700"
	Action string // "reset", "poweroff", "pause", "none"
}

func (w Watchdog) build() libvirtxml.DomainWatchdog {
	return libvirtxml.DomainWatchdog{Model: w.Model, Action: w.Action}
}
