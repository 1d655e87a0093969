package network

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Instant is a wire without a network: a port is plugged as soon as it is bound.
// For tests that have no taps.
type Instant struct{ bound chan string }

var _ Wire = (*Instant)(nil)

// NewInstant makes an Instant.
func NewInstant() *Instant { return &Instant{bound: make(chan string, 1024)} }

// Bound implements Wire.
func (w *Instant) Bound(tap string) { w.bound <- tap }

// Prepare implements Wire.
func (*Instant) Prepare(string, string) error { return nil }

// Run implements Wire.
func (w *Instant) Run(ctx context.Context, report func(string, bool)) error {
	for {
		select {
		case tap := <-w.bound:
			report(tap, true)
		case <-ctx.Done():
			return nil
		}
	}
}

// Bridges is a wire of Linux bridges in this network namespace, one for each
// network, named as Neutron's agent names them.
type Bridges struct{}

var _ Wire = Bridges{}

// Bound implements Wire: the tap is for the host to make.
func (Bridges) Bound(string) {}

// bridgePrefix begins the name of a network's bridge.
const bridgePrefix = "brq"

// bridgeName is what Neutron's agent and Nova call a network's bridge.
func bridgeName(networkID string) string { return bridgePrefix + networkID[:min(11, len(networkID))] }

// isNetworkBridge tells a network's bridge from those of other kinds; 0 is no link.
func isNetworkBridge(index int) bool {
	if index == 0 {
		return false
	}
	l, err := netlink.LinkByIndex(index)
	return err == nil && strings.HasPrefix(l.Attrs().Name, bridgePrefix)
}

// Prepare makes the network's bridge and gives it the gateway's address, so that
// the host can reach the guests.
func (Bridges) Prepare(networkID, gateway string) error {
	name := bridgeName(networkID)
	link, err := netlink.LinkByName(name)
	var missing netlink.LinkNotFoundError
	if errors.As(err, &missing) {
		err = netlink.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: name}})
		if err == nil {
			link, err = netlink.LinkByName(name)
		}
	}
	if err != nil {
		return fmt.Errorf("bridge %s: %w", name, err)
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("bridge %s: set up: %w", name, err)
	}
	if gateway == "" {
		return nil
	}
	address, err := netlink.ParseAddr(gateway)
	if err != nil {
		return fmt.Errorf("bridge %s: address %s: %w", name, gateway, err)
	}
	if err := netlink.AddrReplace(link, address); err != nil {
		return fmt.Errorf("bridge %s: address %s: %w", name, gateway, err)
	}
	return nil
}

// Run reports taps on the networks' bridges. Those that were never there are another
// wire's.
func (Bridges) Run(ctx context.Context, report func(string, bool)) error {
	updates := make(chan netlink.LinkUpdate, 64)
	done := make(chan struct{})
	defer close(done)
	connected := map[string]bool{}
	var broken error
	err := netlink.LinkSubscribeWithOptions(updates, done, netlink.LinkSubscribeOptions{
		ListExisting: true, ErrorCallback: func(err error) { broken = err },
	})
	if err != nil {
		return fmt.Errorf("follow network links: %w", err)
	}
	for {
		select {
		case u, ok := <-updates:
			if !ok {
				return fmt.Errorf("follow network links: %w", broken)
			}
			a := u.Link.Attrs()
			if !strings.HasPrefix(a.Name, "tap") {
				continue
			}
			up := u.Header.Type != unix.RTM_DELLINK && a.Flags&net.FlagUp != 0 && isNetworkBridge(a.MasterIndex)
			if up || connected[a.Name] {
				report(a.Name, up)
			}
			connected[a.Name] = up
		case <-ctx.Done():
			return nil
		}
	}
}
