package hypervisor

import (
	"context"
	"fmt"
	"sync"

	"libvirt.org/go/libvirt"
)

// Facts is what does not change while libvirtd runs. It is shared: do not modify it.
type Facts struct {
	Hostname       string
	HostUUID       string // from the firmware, or libvirtd's own
	Hypervisor     string // libvirt's name of the driver, as in "QEMU"
	LibvirtVersion int    // major*1000000 + minor*1000 + micro
	QEMUVersion    int    // likewise

	CPU       CPU
	CPUs      int    // that the kernel uses
	MHz       int    // 0 if unknown
	MemoryKiB uint64 // that the kernel uses
	Cells     []Cell // NUMA

	Arches   []GuestArch // what guests may be, in libvirt's order
	Firmware []Firmware  // UEFI builds, best first
	KVM      KVM

	caps map[string]map[string]*DomainCaps // by architecture and machine type or its alias
	opts Options
}

// Facts returns what libvirt and this host say of themselves. They are asked for
// once for each libvirtd that is met, however many callers wait; where libvirt does
// not trust its own records of QEMU that takes seconds for each kind of machine.
func (h *Host) Facts(ctx context.Context) (*Facts, error) {
	return h.facts.get(ctx, h.spawn, h.gather)
}

// factStore keeps the facts and who waits for them. The zero value is empty.
type factStore struct {
	mu       sync.Mutex
	facts    *Facts
	flight   *flight
	expanded map[string][]string // features by CPU description
}

// flight is one gathering of facts.
type flight struct {
	done  chan struct{}
	facts *Facts
	err   error
}

// get returns the facts, waiting for others who gather them already; spawn runs the
// gathering.
func (s *factStore) get(ctx context.Context, spawn func(func()) error, gather func(context.Context) (*Facts, error)) (*Facts, error) {
	facts, f, err := s.start(ctx, spawn, gather)
	if f == nil {
		return facts, err
	}
	select {
	case <-f.done:
		return f.facts, f.err
	case <-ctx.Done():
		return nil, fmt.Errorf("libvirt: gather facts: %w", ctx.Err())
	}
}

// start returns the facts, or else the flight that will bring them.
func (s *factStore) start(ctx context.Context, spawn func(func()) error, gather func(context.Context) (*Facts, error)) (*Facts, *flight, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.facts != nil || s.flight != nil {
		return s.facts, s.flight, nil
	}
	f := &flight{done: make(chan struct{})}
	// It ends by itself: each of its calls is bounded, and the first failure ends it.
	ctx = context.WithoutCancel(ctx)
	if err := spawn(func() { s.fly(ctx, f, gather) }); err != nil {
		return nil, nil, fmt.Errorf("libvirt: gather facts: %w", err)
	}
	s.flight = f
	return nil, f, nil
}

func (s *factStore) fly(ctx context.Context, f *flight, gather func(context.Context) (*Facts, error)) {
	f.facts, f.err = gather(ctx)
	s.mu.Lock()
	if s.flight == f { // else they are of a libvirtd that is gone
		s.flight, s.facts = nil, f.facts
	}
	s.mu.Unlock()
	close(f.done)
}

// forget makes the next caller ask again.
func (s *factStore) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.facts, s.flight, s.expanded = nil, nil, nil
}

// gather asks everything, one question after the other.
func (h *Host) gather(ctx context.Context) (*Facts, error) {
	xml, err := ask(ctx, h, call{op: "ask capabilities"}, (*libvirt.Connect).GetCapabilities)
	if err != nil {
		return nil, err
	}
	f := &Facts{opts: h.opts}
	if err := f.readCapabilities(xml); err != nil {
		return nil, err
	}
	if err := h.askNode(ctx, f); err != nil {
		return nil, err
	}
	if f.CPU.Model != "" && f.CPU.Arch != archARM64 { // ARM's list is complete as it is
		features, err := h.expandFeatures(ctx, f.CPU, f.CPU.Model, f.CPU.Features)
		if err != nil {
			return nil, err
		}
		if features != nil {
			f.CPU.Features = features
		}
	}
	if err := h.askDomainCaps(ctx, f); err != nil {
		return nil, err
	}
	f.KVM = h.probeKVM(f)
	if f.Firmware, err = readFirmware(h.opts.FirmwareDirs); err != nil {
		return nil, err
	}
	return f, nil
}

// askNode fills in what needs no parsing.
func (h *Host) askNode(ctx context.Context, f *Facts) error {
	_, err := ask(ctx, h, call{op: "ask versions"}, func(conn *libvirt.Connect) (none, error) {
		lib, err := conn.GetLibVersion()
		if err != nil {
			return none{}, err
		}
		qemu, err := conn.GetVersion()
		if err != nil {
			return none{}, err
		}
		if f.Hypervisor, err = conn.GetType(); err != nil {
			return none{}, err
		}
		if f.Hostname, err = conn.GetHostname(); err != nil {
			return none{}, err
		}
		node, err := conn.GetNodeInfo()
		if err != nil {
			return none{}, err
		}
		f.LibvirtVersion, f.QEMUVersion = int(lib), int(qemu)
		f.CPUs, f.MHz, f.MemoryKiB = int(node.Cpus), int(node.MHz), node.Memory
		return none{}, nil
	})
	return err
}
