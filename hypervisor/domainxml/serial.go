package domainxml

import "libvirt.org/go/libvirtxml"

// Serial is one serial port of the guest.
type Serial struct {
	Source CharSource // required
	Port   *uint      // number within the guest; nil lets libvirt choose
	Log    CharLog
}

func (s Serial) build() libvirtxml.DomainSerial {
	out := libvirtxml.DomainSerial{Source: s.Source.charSource(), Log: s.Log.build()}
	if s.Port != nil {
		out.Target = &libvirtxml.DomainSerialTarget{Port: new(*s.Port)}
	}
	return out
}
