package domainxml

import "libvirt.org/go/libvirtxml"

// Console is a text console that is no serial port, such as a virtio one.
type Console struct {
	Source CharSource // required
	Target string     // "virtio", "sclp"; empty is the machine's first serial port
	Log    CharLog
}

func (c Console) build() libvirtxml.DomainConsole {
	out := libvirtxml.DomainConsole{Source: c.Source.charSource(), Log: c.Log.build()}
	if c.Target != "" {
		out.Target = &libvirtxml.DomainConsoleTarget{Type: c.Target}
	}
	return out
}
