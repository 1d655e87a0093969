package netplug

import (
	"errors"
	"fmt"
	"regexp"

	"github.com/vishvananda/netlink"
)

// portTap is what the taps of ports are called: "tap" and the first eleven characters of the port's id.
var portTap = regexp.MustCompile(`^tap[0-9a-f]{8}-[0-9a-f]{2}$`)

// Taps are the names of the host's taps that are called as a port's. Links of other kinds may be called so, too:
// Neutron's agents have some.
func Taps() ([]string, error) {
	all, err := netlink.LinkList()
	if err != nil {
		return nil, fmt.Errorf("list the host's links: %w", linkError(err))
	}
	var taps []string
	for _, l := range all {
		if name := l.Attrs().Name; kind(l) == kindTap && portTap.MatchString(name) {
			taps = append(taps, name)
		}
	}
	return taps, nil
}

// RemoveTap removes a tap of a port; it is no error if there is none. A tap that a program has open is that one's and
// stays.
func RemoveTap(name string) error {
	l, err := netlink.LinkByName(name)
	if err = linkError(err); errors.Is(err, errNoLink) {
		return nil
	}
	switch {
	case err != nil:
		return fmt.Errorf("look for tap %s: %w", name, err)
	case kind(l) != kindTap || !portTap.MatchString(name):
		return fmt.Errorf("%s is not a tap of a port", name)
	case inUse(l):
		return fmt.Errorf("tap %s is in use", name)
	}
	if err := linkError(netlink.LinkDel(l)); err != nil && !errors.Is(err, errNoLink) {
		return fmt.Errorf("remove tap %s: %w", name, err)
	}
	return nil
}
