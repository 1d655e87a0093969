package faults

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"

	"bolide/test/controller/network"
	"bolide/test/openvswitch"
)

// portFates are the operations that plug and unplug ports of a guest that is there.
var portFates = []fate{
	{operation: "terminate_instance", fresh: true, ends: []string{"DELETED"},
		ask: func(g *ground, ctx context.Context, id string) error { return g.Delete(ctx, id) }},
	{operation: "attach_interface", fresh: true, ends: []string{"ACTIVE"}, check: connected, ask: attaches},
	{operation: "detach_interface", fresh: true, ends: []string{"ACTIVE"}, check: connected,
		prepare: func(g *ground, id string) { g.must(attaches(g, g.ctx(), id)) },
		ask:     func(g *ground, ctx context.Context, id string) error { return g.detach(ctx, id) }},
}

// attaches gives a guest one more port on the network that it is on.
func attaches(g *ground, ctx context.Context, id string) error {
	return g.Ask(ctx, http.MethodPost, "compute", "/servers/"+id+"/os-interface",
		map[string]any{"interfaceAttachment": map[string]string{"net_id": g.network}}, nil)
}

// detach takes the guest's last port from it.
func (g *ground) detach(ctx context.Context, id string) error {
	ports, err := g.PortsOf(ctx, id)
	if err != nil {
		return err
	}
	last := ports[len(ports)-1].ID
	return g.Ask(ctx, http.MethodDelete, "compute", "/servers/"+id+"/os-interface/"+last, nil, nil)
}

// connected checks that the guest has a card for every port, and no other, and that all
// of them work.
func connected(g *ground, id string) error {
	if err := portsAndCards(g, id); err != nil {
		return err
	}
	ports, err := g.PortsOf(g.ctx(), id)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(ports, func(p Port) bool { return p.Status != "ACTIVE" }) {
		return fmt.Errorf("not all ports work: %v", ports)
	}
	return g.leftPlugs(g.ctx())
}

// on has the guests that are asked for be on a network of a kind, with a card that they
// let go of if asked to.
func (g *ground) on(t *testing.T, c network.Connection) *ground {
	t.Helper()
	if err := openvswitch.Missing(); err != nil && c != network.Bridged {
		t.Skip(err)
	}
	g.t, g.network = t, g.nets[c]
	g.want = map[string]any{"imageRef": g.obliging, "networks": []any{map[string]string{"uuid": g.network}}}
	return g
}

// TestKilledWhilePlugging kills the node at every step of the operations that plug and
// unplug ports of Open vSwitch, and before every single thing that it does to the host
// for them. When it has started again every port that a guest still has works, and when
// the guest has been deleted there is no row, no link and no bridge of it.
func TestKilledWhilePlugging(t *testing.T) {
	g := newLongGround(t, "")
	for _, c := range []network.Connection{network.Switched, network.Hybrid} {
		t.Run(string(c), func(t *testing.T) {
			t.Run("build_and_run_instance", func(t *testing.T) { g.on(t, c).killPluggingBuilds() })
			for _, f := range portFates {
				t.Run(f.operation, func(t *testing.T) { g.on(t, c).killPlugging(f) })
			}
		})
	}
}

func (g *ground) killPluggingBuilds() {
	g.t.Helper()
	const build = "build_and_run_instance"
	id := g.boot()
	g.must(Until(g.ctx(), settleLimit, func() error { return connected(g, id) }))
	changes, steps := stepsOf(g.node, hostChange), stepsOf(g.node, build)
	g.drop(id)
	if len(changes) == 0 {
		g.t.Fatal("a build changed nothing on the host")
	}
	g.killBuildsAt(hostChange, changes)
	g.killBuildsAt(build, steps[slices.Index(steps, "plug"):])
}

func (g *ground) killPlugging(f fate) {
	g.t.Helper()
	steps, changes := g.undisturbed(f)
	if len(changes) == 0 {
		g.t.Fatal("it changed nothing on the host")
	}
	g.killDuringAt(f, hostChange, changes)
	g.killDuringAt(f, f.operation, steps)
}

// TestCardThatStays: a guest that does not let go of a card keeps it, and the port stays
// the instance's, for the user to ask again. As with Nova's own node, the port is off the
// host, but for the tap on a Linux bridge; a hard reboot connects it anew.
func TestCardThatStays(t *testing.T) {
	g := newLongGround(t, "[libvirt]\ndevice_detach_attempts = 1\ndevice_detach_timeout = 10\n")
	for name, c := range map[string]network.Connection{"bridge": network.Bridged, "ovs": network.Switched} {
		t.Run(name, func(t *testing.T) {
			g.on(t, c).want["imageRef"] = g.image
			guest := g.boot()
			g.must(attaches(g, g.ctx(), guest))
			g.must(Until(g.ctx(), settleLimit, func() error { return connected(g, guest) }))
			ports, err := g.PortsOf(g.ctx(), guest)
			g.must(err)
			tap := "tap" + ports[1].ID[:11]

			g.must(g.detach(g.ctx(), guest))
			g.must(Until(g.ctx(), settleLimit, func() error {
				cards, err := g.virsh("domiflist", "--inactive", guest)
				if err == nil && strings.Count(cards, "tap") != 1 {
					return fmt.Errorf("the definition has\n%s", cards)
				}
				return err
			}))
			g.must(Until(g.ctx(), settleLimit, g.leftPages))
			if cards, err := g.virsh("domiflist", guest); err != nil || strings.Count(cards, "tap") != 2 {
				t.Errorf("the guest let its card go: %v\n%s", err, cards)
			}
			if left, err := g.PortsOf(g.ctx(), guest); err != nil || len(left) != 2 || left[1].HostID != Host {
				t.Errorf("ports %v, %v", left, err)
			}
			if _, err := netlink.LinkByName(tap); (err == nil) != (c == network.Bridged) {
				t.Errorf("the tap: %v", err)
			}

			g.must(g.Act(g.ctx(), guest, "reboot", map[string]string{"type": "HARD"}))
			g.await(guest, "ACTIVE")
			g.must(Until(g.ctx(), settleLimit, func() error { return connected(g, guest) }))
			g.drop(guest)
		})
	}
}
