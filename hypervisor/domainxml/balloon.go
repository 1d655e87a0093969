package domainxml

import "libvirt.org/go/libvirtxml"

// Balloon is the device through which the guest reports on, and gives back, memory. The zero value leaves libvirt's
// own choice, which is a virtio balloon without statistics.
type Balloon struct {
	Model        string // "virtio", "none"
	StatsSeconds uint   // how often the guest reports
}

func (b Balloon) build() *libvirtxml.DomainMemBalloon {
	if b == (Balloon{}) {
		return nil
	}
	out := &libvirtxml.DomainMemBalloon{Model: b.Model}
	if b.StatsSeconds != 0 {
		out.Stats = &libvirtxml.DomainMemBalloonStats{Period: b.StatsSeconds}
	}
	return out
}
