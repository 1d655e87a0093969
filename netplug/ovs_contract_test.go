package netplug

import (
	"errors"
	"strings"
	"testing"
)

const (
	brInt    = "br-int"
	qbr      = "qbr3b6bd0c8-9a"
	qvb      = "qvb3b6bd0c8-9a"
	qvo      = "qvo3b6bd0c8-9a"
	vhu      = "vhu3b6bd0c8-9a"
	own      = "pb3b6bd0c8-9a4" // the port's own bridge
	strange  = "9e107d9d-372b-4b68-8bd1-3a1f5c6d7e8f"
	sockPath = "/run/vhost/" + vhu
)

func ovsPort() Port {
	return bridgePort().with(func(p *Port) { p.VIFType, p.Bridge, p.Switch.Datapath = VIFOVS, brInt, DatapathNetdev })
}

func hybridPort() Port {
	return ovsPort().with(func(p *Port) { p.Switch.Hybrid, p.MTU = true, 1450 })
}

func vhostUserPort() Port {
	return ovsPort().with(func(p *Port) { p.VIFType, p.Socket.Path = VIFVHostUser, sockPath })
}

// ids is how the tests show a port's external ids.
func ids(iface string) string {
	return " attached-mac=" + guestMAC + " iface-id=" + iface + " iface-status=active vm-uuid=" + instance
}

func lines(l ...string) string { return sorted(l) }

// integration is a bridge as Neutron's agent makes it.
func integration(ports ...switchPort) switchState {
	return switchState{Bridges: []switchBridge{{Name: brInt, Datapath: DatapathNetdev}}, Ports: ports}
}

func TestSwitchPorts(t *testing.T) {
	const bridgeLine, tapLine = "switch br-int netdev", "port " + tapName + " on=br-int"
	qbrLine := qbr + " bridge up plain forgetful isolated mtu=1450"
	hybridLinks := []string{
		qbrLine,
		qvb + " veth up mtu=1450 to=" + qvo + " on=" + qbr,
		qvo + " veth up mtu=1450 to=" + qvb,
	}
	hybrid := append(hybridLinks, bridgeLine, "port "+qvo+" on=br-int"+ids(portID))
	runContract(t, true, []contractCase{
		{
			name:    "bridge and port are made",
			port:    ovsPort(),
			ensured: lines(bridgeLine, tapLine+ids(portID)),
			removed: bridgeLine,
		},
		{
			name:    "bridge of the kernel's datapath",
			port:    ovsPort().with(func(p *Port) { p.Switch.Datapath = "" }),
			ensured: lines("switch br-int system", tapLine+ids(portID)),
			removed: "switch br-int system",
		},
		{
			name:     "bridge of Neutron's agent is used as it is",
			switched: integration(switchPort{Name: "tap00000000-00", Bridge: brInt, IDs: map[string]string{idInterface: strange}}),
			port:     ovsPort().with(func(p *Port) { p.Switch.Datapath = DatapathSystem }),
			ensured:  lines(bridgeLine, "port tap00000000-00 on=br-int iface-id="+strange, tapLine+ids(portID)),
			removed:  lines(bridgeLine, "port tap00000000-00 on=br-int iface-id="+strange),
		},
		{
			name: "stale port is corrected, what others put there stays",
			switched: integration(switchPort{Name: tapName, Bridge: brInt, Tag: 3,
				IDs: map[string]string{idInterface: portID, idInstance: strange, "ovn-installed": "true"}}),
			options: OVSOptions{Isolate: true},
			port:    ovsPort(),
			ensured: lines(bridgeLine, tapLine+" tag=3 attached-mac="+guestMAC+" iface-id="+portID+
				" iface-status=active ovn-installed=true vm-uuid="+instance),
			removed: bridgeLine,
		},
		{
			name: "port moves to the bridge it is to be on",
			switched: switchState{
				Bridges: []switchBridge{{brInt, DatapathNetdev}, {"br-old", DatapathNetdev}},
				Ports:   []switchPort{{Name: tapName, Bridge: "br-old", Tag: 3, IDs: map[string]string{idInterface: portID}}},
			},
			port:    ovsPort(),
			ensured: lines(bridgeLine, "switch br-old netdev", tapLine+ids(portID)),
			removed: lines(bridgeLine, "switch br-old netdev"),
		},
		{
			name:     "port of somebody else that has the name",
			switched: integration(switchPort{Name: tapName, Bridge: brInt, IDs: map[string]string{idInterface: strange}}),
			port:     ovsPort(),
			refused:  "open vswitch: port " + tapName + " belongs to " + strange,
			ensured:  lines(bridgeLine, tapLine+" iface-id="+strange),
			removed:  lines(bridgeLine, tapLine+" iface-id="+strange),
		},
		{
			name:    "port known by another id",
			port:    ovsPort().with(func(p *Port) { p.Switch.InterfaceID = strange }),
			ensured: lines(bridgeLine, tapLine+ids(strange)),
			removed: bridgeLine,
		},
		{
			name:    "isolated until Neutron's agent takes it",
			options: OVSOptions{Isolate: true},
			port:    ovsPort(),
			ensured: lines(bridgeLine, tapLine+" tag=4095"+ids(portID)),
			removed: bridgeLine,
		},
		{
			name:    "left-over tap goes",
			before:  []preset{{tapName, kindTap, true}},
			port:    ovsPort(),
			ensured: lines(bridgeLine, tapLine+ids(portID), tapName+" tun up"),
			removed: bridgeLine,
		},
		{
			name:    "libvirt makes the port",
			port:    ovsPort().with(func(p *Port) { p.Switch.ByLibvirt = true }),
			ensured: bridgeLine,
			removed: bridgeLine,
		},
		{
			name:    "hybrid",
			port:    hybridPort(),
			ensured: lines(hybrid...),
			removed: bridgeLine,
		},
		{
			name:    "hybrid on a network without an MTU",
			options: OVSOptions{MTU: 1450},
			port:    hybridPort().with(func(p *Port) { p.MTU = 0 }),
			ensured: lines(hybrid...),
			removed: bridgeLine,
		},
		{
			name:    "hybrid with half a pair left",
			before:  []preset{{qvo, kindVeth, true}},
			port:    hybridPort(),
			ensured: lines(hybrid...),
			removed: bridgeLine,
		},
		{
			name:    "hybrid with a name taken",
			before:  []preset{{qvb, kindTap, true}},
			port:    hybridPort(),
			refused: "look up veth " + qvb + ": it is a tun",
			ensured: lines(qbr+" bridge up plain forgetful isolated", qvb+" tun up"),
			removed: qvb + " tun up",
		},
		{
			name:    "a bridge of its own",
			options: OVSOptions{PerPortBridge: true, Isolate: true},
			port:    ovsPort(),
			ensured: lines(bridgeLine, "switch "+own+" netdev", "port "+tapName+" on="+own,
				"port pbp"+portID+" on="+own+" type=patch peer=ibp"+portID,
				"port ibp"+portID+" on=br-int type=patch tag=4095 peer=pbp"+portID+ids(portID)),
			removed: bridgeLine,
		},
		{
			name:    "trunk's bridge goes with its port",
			port:    ovsPort().with(func(p *Port) { p.Bridge = "tbr-1a2b3c4d-5" }),
			ensured: lines("switch tbr-1a2b3c4d-5 netdev", "port "+tapName+" on=tbr-1a2b3c4d-5"+ids(portID)),
		},
		{
			name: "vhost-user, the guest's side makes the socket",
			port: vhostUserPort(),
			ensured: lines(bridgeLine, "port "+vhu+" on=br-int type=dpdkvhostuserclient mtu=1500 vhost-server-path="+sockPath+
				ids(portID)),
			removed: bridgeLine,
		},
		{
			name:    "vhost-user, the switch makes the socket",
			options: OVSOptions{MTU: 9000},
			port:    vhostUserPort().with(func(p *Port) { p.Socket.Client, p.MTU, p.Switch.Datapath = true, 0, "" }),
			ensured: lines(bridgeLine, "port "+vhu+" on=br-int type=dpdkvhostuser mtu=9000"+ids(portID)),
			removed: bridgeLine,
		},
		{
			name: "vhost-user that another program connects",
			port: vhostUserPort().with(func(p *Port) { p.Elsewhere, p.Bridge = true, "" }),
		},
		{
			name:    "port without a bridge",
			port:    ovsPort().with(func(p *Port) { p.Bridge = "" }),
			refused: "port has no bridge",
		},
	})
}

// TestPlugChanges: a guest's port may be connected in another way after a
// restart, and what the old way made goes with the port.
func TestPlugChanges(t *testing.T) {
	onEveryHost(t, true, func(t *testing.T, h host) {
		h.do(func() {
			n := h.net(OVSOptions{PerPortBridge: true})
			for _, p := range []Port{hybridPort(), vhostUserPort(), ovsPort()} {
				if err := n.Ensure(t.Context(), p); err != nil {
					t.Fatal(err)
				}
			}
			if err := n.Remove(t.Context(), ovsPort()); err != nil {
				t.Fatal(err)
			}
		})
		compare(t, h, "Remove", "switch br-int netdev")
	})
}

// TestSwitchUnreachable: the links of a port go even if the switch's database
// does not answer, and the error says so.
func TestSwitchUnreachable(t *testing.T) {
	h, _, s := fakeHost()
	n := h.net(OVSOptions{})
	if err := n.Ensure(t.Context(), hybridPort()); err != nil {
		t.Fatal(err)
	}
	down := errors.New("down")
	s.fail = func(string, string) error { return down }
	if err := n.Remove(t.Context(), hybridPort()); !errors.Is(err, down) {
		t.Fatalf("error %v, want %v", err, down)
	}
	compare(t, h, "Remove", lines("switch br-int netdev", "port "+qvo+" on=br-int"+ids(portID)))
	s.fail = nil
	if err := n.Remove(t.Context(), hybridPort()); err != nil {
		t.Fatal(err)
	}
	compare(t, h, "Remove again", "switch br-int netdev")
}

// TestFailureAtEveryCall stops Ensure and Remove of every kind of port before
// each of their calls and expects the next run to finish the work.
func TestFailureAtEveryCall(t *testing.T) {
	broken := errors.New("broken")
	for name, p := range kindsOfPort() {
		t.Run(name, func(t *testing.T) {
			for step := 0; ; step++ {
				h, k, s := fakeHost()
				n := h.net(OVSOptions{PerPortBridge: name == "own bridge"})
				want := ""
				left := -1
				fail := func(string, string) error {
					if left--; left == -1 {
						return broken
					}
					return nil
				}
				k.fail, s.fail = fail, fail
				failed := false
				for _, call := range []func() error{
					func() error { return n.Ensure(t.Context(), p) }, func() error { return n.Remove(t.Context(), p) },
				} {
					left = step
					err := call()
					failed = failed || errors.Is(err, broken)
					if err != nil && !errors.Is(err, broken) {
						t.Fatalf("step %d: %v", step, err)
					}
					left = -1
					if err := call(); err != nil {
						t.Fatalf("step %d, again: %v", step, err)
					}
					want = sorted(h.describe())
				}
				if strings.Contains(want, portID[:11]) {
					t.Fatalf("step %d: left is %s", step, want)
				}
				if !failed {
					return // past the last call
				}
			}
		})
	}
}

// kindsOfPort are those that leave something on the host.
func kindsOfPort() map[string]Port {
	return map[string]Port{
		"native": ovsPort(), "hybrid": hybridPort(), "own bridge": ovsPort(), "vhost-user": vhostUserPort(),
		"bare tap": bridgePort().with(func(p *Port) { p.VIFType, p.Tap.MAC, p.MTU = VIFTap, tapMAC, 1450 }),
	}
}
