package netplug

import (
	"errors"
	"fmt"
)

// ensureHybrid makes the Linux bridge between p's tap and the switch, and the
// pair of links that leads from there to the switch.
func (o *openVSwitch) ensureHybrid(p Port) error {
	bridge, inner, outer := hybridNames(p)
	// two ports and nothing to learn; and an address that moves to another host
	// must not be remembered here
	added, err := ensureBridge(o.links, bridge, bridgeOptions{NoAgeing: true})
	if added {
		o.log.WithFields(p.fields()).WithField("bridge", bridge).Debug("bridge added")
	}
	if err != nil {
		return err
	}
	if err := ensureVeth(o.links, inner, outer); err != nil {
		return err
	}
	for _, end := range []struct{ name, bridge string }{{inner, bridge}, {outer, ""}} {
		l, err := lookUp(o.links, end.name, kindVeth)
		if err != nil {
			return err
		}
		if err := ensureLink(o.links, l, settings{MTU: o.mtu(p), Bridge: end.bridge}); err != nil {
			return err
		}
	}
	return nil
}

// ensureVeth makes a pair of links. One that has lost its other end to another
// namespace is made anew.
func ensureVeth(k links, inner, outer string) error {
	_, errInner := lookUp(k, inner, kindVeth)
	_, errOuter := lookUp(k, outer, kindVeth)
	if errInner == nil && errOuter == nil {
		return nil
	}
	for _, end := range []struct {
		name string
		err  error
	}{{inner, errInner}, {outer, errOuter}} {
		if end.err != nil && !errors.Is(end.err, errNoLink) {
			return end.err
		}
		if _, err := removeLink(k, end.name, kindVeth); err != nil {
			return err
		}
	}
	if err := k.AddVeth(inner, outer); err != nil {
		return fmt.Errorf("add veth %s to %s: %w", inner, outer, err)
	}
	return nil
}

// removeHybrid deletes the pair of links and the Linux bridge.
func (o *openVSwitch) removeHybrid(p Port) error {
	bridge, inner, outer := hybridNames(p)
	var errs []error
	for _, l := range []struct{ name, kind string }{{outer, kindVeth}, {inner, kindVeth}, {bridge, kindBridge}} {
		_, err := removeLink(o.links, l.name, l.kind)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// hybridNames are Nova's, and Neutron's agent derives the same.
func hybridNames(p Port) (bridge, inner, outer string) {
	return deviceName("qbr", p.ID), deviceName("qvb", p.ID), deviceName("qvo", p.ID)
}
