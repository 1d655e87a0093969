package domainxml

import "libvirt.org/go/libvirtxml"

// RNG is a virtio source of random numbers. The zero value leaves it out.
type RNG struct {
	Device string // host device to read, "/dev/urandom"
	Bytes  uint   // the guest may take so many bytes ...
	Period uint   // ... in each period of so many milliseconds; zero is one second
}

func (r RNG) build() libvirtxml.DomainRNG {
	out := libvirtxml.DomainRNG{
		Model: "virtio",
		Backend: &libvirtxml.DomainRNGBackend{
			Random: &libvirtxml.DomainRNGBackendRandom{Device: r.Device},
		},
	}
	if r.Bytes != 0 {
		out.Rate = &libvirtxml.DomainRNGRate{Bytes: r.Bytes, Period: r.Period}
	}
	return out
}
