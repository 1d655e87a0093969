package moves

import (
	"context"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"bolide/test/controller/network"
	"bolide/test/hosts"
)

// agents are the layer-2 agents on all hosts: a port is connected as long as there is its tap.
type agents struct {
	mu    sync.Mutex
	hosts []*hosts.Host
}

var _ network.Wire = (*agents)(nil)

// Bound implements network.Wire.
func (*agents) Bound(string) {}

// Prepare implements network.Wire.
func (*agents) Prepare(string, string) error { return nil }

// Run implements network.Wire.
func (a *agents) Run(ctx context.Context, report func(tap string, up bool)) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	seen := map[string]bool{}
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		now := a.all()
		for tap := range now {
			report(tap, true) // also of one that was there: it may have been bound anew
		}
		for tap := range seen {
			if !now[tap] {
				report(tap, false)
			}
		}
		seen = now
	}
}

func (a *agents) all() map[string]bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := map[string]bool{}
	for _, h := range a.hosts {
		names, _ := h.Taps() // a host that is going has none
		for _, name := range names {
			all[name] = true
		}
	}
	return all
}

// follow has the agents look after one more host until the test ends.
func (a *agents) follow(t *testing.T, h *hosts.Host) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.hosts = append(a.hosts, h)
	t.Cleanup(func() { // before the host is closed
		a.mu.Lock()
		defer a.mu.Unlock()
		a.hosts = slices.DeleteFunc(a.hosts, func(other *hosts.Host) bool { return other == h })
	})
}

// taps are the taps on the host.
func (h *host) taps() []string {
	h.c.t.Helper()
	names, err := h.Taps()
	if err != nil {
		h.c.t.Fatal(err)
	}
	return names
}

// cutLink takes the cable down for a while.
func (h *host) cutLink(while time.Duration) {
	h.c.t.Helper()
	if err := h.CutCable(while); err != nil {
		h.c.t.Fatal(err)
	}
}

// services are the addresses that a node speaks to.
func (c *cloud) services() []string {
	c.t.Helper()
	var all []string
	for _, text := range []string{
		rabbit.Get(c.t).URL(), c.URL("identity"), c.URL("image"), c.URL("network"), c.URL("placement"), c.URL("compute"), c.URL("key-manager"),
	} {
		u, err := url.Parse(text)
		if err != nil {
			c.t.Fatal(err)
		}
		all = append(all, u.Host)
	}
	slices.Sort(all)
	return slices.Compact(all)
}
