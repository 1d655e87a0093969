package domainxml

import (
	"testing"

	"libvirt.org/go/libvirtxml"
)

func TestClock(t *testing.T) {
	g := smallest()
	g.Clock = Clock{Offset: "localtime", Timers: []Timer{{Name: "rtc", TickPolicy: "catchup"}, {Name: "hpet", Present: "no"}}}
	same(t, &libvirtxml.DomainClock{
		Offset: "localtime",
		Timer:  []libvirtxml.DomainTimer{{Name: "rtc", TickPolicy: "catchup"}, {Name: "hpet", Present: "no"}},
	}, build(t, g).Clock)
}
