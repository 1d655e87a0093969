package netplug

import (
	"errors"
	"fmt"

	"github.com/sirupsen/logrus"
)

// ensureBridge makes sure that a Linux bridge is there and up, and reports
// whether it made it. A bridge that is up is left as it is, for then it is
// complete, or not ours. One that is down was not finished: its settings are made
// again before it is set up.
func ensureBridge(k links, name string, o bridgeOptions) (added bool, err error) {
	br, err := lookUp(k, name, kindBridge)
	if errors.Is(err, errNoLink) {
		err = k.AddBridge(name, o)
		if err != nil && !errors.Is(err, errLinkExists) { // another build or Neutron's agent made it meanwhile
			return false, fmt.Errorf("add bridge %s: %w", name, err)
		}
		added = err == nil
		br, err = lookUp(k, name, kindBridge)
	}
	if err != nil || br.Up {
		return added, err
	}
	// Before it is up, or the kernel gives it a link-local address at once.
	if err := k.Isolate(name); err != nil {
		return added, fmt.Errorf("isolate bridge %s: %w", name, err)
	}
	if err := k.Up(name); err != nil {
		return added, fmt.Errorf("set bridge %s up: %w", name, err)
	}
	return added, nil
}

// lookUp returns the link of that name if it is of the kind wanted.
func lookUp(k links, name, kind string) (link, error) {
	l, err := k.Get(name)
	if err != nil {
		return link{}, fmt.Errorf("look up %s %s: %w", noun(kind), name, err)
	}
	if l.Kind != kind {
		return link{}, fmt.Errorf("look up %s %s: it is a %s", noun(kind), name, l.Kind)
	}
	return l, nil
}

// noun is what people call links of a kind.
func noun(kind string) string {
	if kind == kindTap {
		return "tap"
	}
	return kind
}

// removeLink deletes the link of that name if it is of the kind wanted, and
// reports whether it did. A link of another kind was made by somebody else, and
// stays.
func removeLink(k links, name, kind string) (removed bool, err error) {
	l, err := k.Get(name)
	if errors.Is(err, errNoLink) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look up %s %s: %w", noun(kind), name, err)
	}
	if l.Kind != kind {
		return false, nil
	}
	if err := k.Delete(name); err != nil {
		if errors.Is(err, errNoLink) {
			return false, nil
		}
		return false, fmt.Errorf("delete %s %s: %w", noun(kind), name, err)
	}
	return true, nil
}

// removeTap deletes the tap if its guest left one behind. libvirt removes the
// taps it makes, so there is one only after a crash, or when something made it
// last beyond its guest.
func removeTap(k links, p Port, log *logrus.Entry) error {
	removed, err := removeLink(k, p.Device, kindTap)
	if removed {
		log.WithFields(p.fields()).WithField("device", p.Device).Info("left-over tap deleted")
	}
	return err
}

// settings is what ensureLink makes of a link; zero values are left as they are.
type settings struct {
	MTU    int
	MAC    string
	Bridge string
}

// ensureLink gives a link its settings, and then sets it up.
func ensureLink(k links, l link, want settings) error {
	for _, s := range []struct {
		differs bool
		what    string
		set     func() error
	}{
		{want.MAC != "" && l.MAC != want.MAC, "address", func() error { return k.SetMAC(l.Name, want.MAC) }},
		{want.MTU != 0 && l.MTU != want.MTU, "mtu", func() error { return k.SetMTU(l.Name, want.MTU) }},
		{want.Bridge != "" && l.Bridge != want.Bridge, "bridge", func() error { return k.SetBridge(l.Name, want.Bridge) }},
		{!l.Up, "state", func() error { return k.Up(l.Name) }},
	} {
		if !s.differs {
			continue
		}
		if err := s.set(); err != nil {
			return fmt.Errorf("set %s of %s: %w", s.what, l.Name, err)
		}
	}
	return nil
}
