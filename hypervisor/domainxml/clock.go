package domainxml

import "libvirt.org/go/libvirtxml"

// Clock is the guest's time of day and its timers.
type Clock struct {
	Offset string // "utc", "localtime", "timezone", "variable"
	Timers []Timer
}

// Timer is one source of ticks.
type Timer struct {
	Name       string // "pit", "rtc", "hpet", "kvmclock", "hypervclock", "tsc"
	TickPolicy string // what happens to missed ticks: "delay", "catchup", "merge", "discard"
	Present    string // "yes" or "no"; empty leaves it to the hypervisor
}

func (c Clock) build() *libvirtxml.DomainClock {
	if c.Offset == "" && len(c.Timers) == 0 {
		return nil
	}
	return &libvirtxml.DomainClock{
		Offset: c.Offset,
		Timer: each(c.Timers, func(t Timer) libvirtxml.DomainTimer {
			return libvirtxml.DomainTimer{Name: t.Name, TickPolicy: t.TickPolicy, Present: t.Present}
		}),
	}
}
