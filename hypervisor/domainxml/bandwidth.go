package domainxml

import "libvirt.org/go/libvirtxml"

// Rate bounds one direction of a card. Zero fields are left out.
type Rate struct {
	Average int // kilobytes per second; needed for the other two to count
	Peak    int // kilobytes per second
	Burst   int // kilobytes
}

func buildBandwidth(in, out Rate) *libvirtxml.DomainInterfaceBandwidth {
	if in == (Rate{}) && out == (Rate{}) {
		return nil
	}
	return &libvirtxml.DomainInterfaceBandwidth{Inbound: in.build(), Outbound: out.build()}
}

func (r Rate) build() *libvirtxml.DomainInterfaceBandwidthParams {
	if r == (Rate{}) {
		return nil
	}
	set := func(v int) *int {
		if v == 0 {
			return nil
		}
		return &v
	}
	return &libvirtxml.DomainInterfaceBandwidthParams{Average: set(r.Average), Peak: set(r.Peak), Burst: set(r.Burst)}
}
