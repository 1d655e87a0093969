package netplug

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// host is a place to plug ports in: the fake, or a network namespace with an
// Open vSwitch.
type host struct {
	links    links
	vswitch  vswitch
	add      func(name, kind string, up bool)
	put      func(switchState)
	do       func(func()) // runs f where the links are
	describe func() []string
}

func fakeHost() (host, *fakeLinks, *fakeSwitch) {
	k, s := newFakeLinks(), newFakeSwitch()
	return host{
		links: k, vswitch: s, add: k.add, put: s.put, do: func(f func()) { f() },
		describe: func() []string { return append(k.describe(), s.describe()...) },
	}, k, s
}

// realHost has a switch only where a test has use for it.
func realHost(t *testing.T, withSwitch bool) (host, *ovs) {
	n := newNamespace(t)
	h := host{links: kernel{}, add: n.add, do: n.do, describe: n.describe}
	if !withSwitch {
		return h, nil
	}
	o := newOVS(t, n)
	h.vswitch, h.put = o.database(), o.put
	h.describe = func() []string { return append(n.describe(), o.describe()...) }
	return h, o
}

// onEveryHost runs a test of the contract on the fake, on the kernel's links,
// and on Open vSwitch's rows where that matters.
func onEveryHost(t *testing.T, withSwitch bool, test func(t *testing.T, h host)) {
	t.Run("fake", func(t *testing.T) {
		h, _, _ := fakeHost()
		test(t, h)
	})
	t.Run("kernel", func(t *testing.T) {
		h, _ := realHost(t, withSwitch)
		test(t, h)
	})
}

func (h host) net(o OVSOptions) *Net { return newNet(Options{OVS: o}, h.links, h.vswitch) }

const (
	portID   = "3b6bd0c8-9a4f-4f39-9a57-1c2d3e4f5a6b"
	tapName  = "tap3b6bd0c8-9a"
	network  = "63c18993-9fd1-4f6b-8a1e-0a1b2c3d4e5f"
	brq      = "brq63c18993-9f"
	instance = "0d7c2b1a-3f5e-4d6c-8b9a-7e6f5d4c3b2a"
	guestMAC = "fa:16:3e:12:34:56"
	tapMAC   = "ee:ee:ee:ee:ee:ee" // Calico's
)

func bridgePort() Port {
	return Port{ID: portID, MAC: guestMAC, InstanceUUID: instance, NetworkID: network, Bridge: brq,
		Device: DeviceName(portID), VIFType: VIFBridge, MTU: 1500}
}

// preset is a link that is there before the port is plugged.
type preset struct {
	name, kind string
	up         bool
}

// contractCase is a port on a host, and what becomes of the host.
type contractCase struct {
	name     string
	before   []preset
	switched switchState // that Open vSwitch has before
	options  OVSOptions
	port     Port
	ensured  string // the host after Ensure, a link, bridge or port of the switch per line
	refused  string // Ensure's error contains this
	removed  string // the host after Remove
}

// with changes a port.
func (p Port) with(change func(*Port)) Port {
	change(&p)
	return p
}

// runContract plugs and unplugs each port twice on every host.
func runContract(t *testing.T, withSwitch bool, cases []contractCase) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			onEveryHost(t, withSwitch, func(t *testing.T, h host) {
				for _, l := range c.before {
					h.add(l.name, l.kind, l.up)
				}
				if withSwitch {
					h.put(c.switched)
				}
				n := h.net(c.options)
				for _, round := range []string{"first", "again"} {
					var err error
					h.do(func() { err = n.Ensure(t.Context(), c.port) })
					if c.refused == "" && err != nil || c.refused != "" && (err == nil || !strings.Contains(err.Error(), c.refused)) {
						t.Fatalf("%s Ensure: error %v, want %q", round, err, c.refused)
					}
					compare(t, h, round+" Ensure", c.ensured)
				}
				for _, round := range []string{"first", "again"} {
					var err error
					h.do(func() { err = n.Remove(t.Context(), c.port) })
					if err != nil {
						t.Fatalf("%s Remove: %v", round, err)
					}
					compare(t, h, round+" Remove", c.removed)
				}
			})
		})
	}
}

func compare(t *testing.T, h host, after, want string) {
	t.Helper()
	if d := cmp.Diff(want, sorted(h.describe())); d != "" {
		t.Fatalf("host after %s (-want +got):\n%s", after, d)
	}
}

func TestBridgePorts(t *testing.T) {
	runContract(t, false, []contractCase{
		{
			name:    "bridge is made",
			port:    bridgePort(),
			ensured: brq + " bridge up plain isolated",
			removed: brq + " bridge up plain isolated",
		},
		{
			name:    "bridge of Neutron's agent is used as it is",
			before:  []preset{{brq, kindBridge, true}},
			port:    bridgePort(),
			ensured: brq + " bridge up",
			removed: brq + " bridge up",
		},
		{
			name:    "bridge left half made is finished",
			before:  []preset{{brq, kindBridge, false}},
			port:    bridgePort(),
			ensured: brq + " bridge up isolated",
			removed: brq + " bridge up isolated",
		},
		{
			name:    "left-over tap goes, other ports' taps stay",
			before:  []preset{{tapName, kindTap, true}, {"tap00000000-00", kindTap, true}},
			port:    bridgePort(),
			ensured: brq + " bridge up plain isolated\ntap00000000-00 tun up\n" + tapName + " tun up",
			removed: brq + " bridge up plain isolated\ntap00000000-00 tun up",
		},
		{
			name:    "link of the tap's name that is no tap stays",
			before:  []preset{{tapName, kindBridge, false}},
			port:    bridgePort(),
			ensured: brq + " bridge up plain isolated\n" + tapName + " bridge",
			removed: brq + " bridge up plain isolated\n" + tapName + " bridge",
		},
		{
			name:    "link of the bridge's name that is no bridge",
			before:  []preset{{brq, kindTap, true}},
			port:    bridgePort(),
			refused: "look up bridge " + brq + ": it is a tun",
			ensured: brq + " tun up",
			removed: brq + " tun up",
		},
		{
			name:    "port without a bridge",
			port:    bridgePort().with(func(p *Port) { p.Bridge = "" }),
			refused: "port has no bridge",
		},
		{
			name:    "unbound port",
			port:    bridgePort().with(func(p *Port) { p.VIFType = VIFUnbound }),
			refused: `vif type "unbound" with vnic type "" is not supported`,
		},
		{
			name:    "hardware port",
			port:    bridgePort().with(func(p *Port) { p.VNICType = "direct" }),
			refused: `vif type "bridge" with vnic type "direct" is not supported`,
		},
		{
			name: "card that the domain's description connects",
			port: bridgePort().with(func(p *Port) { p.VIFType, p.VNICType = VIFHostdev, VNICDirectPhysical }),
		},
		{
			name:    "tap is made",
			port:    bridgePort().with(func(p *Port) { p.VIFType, p.Tap.MAC, p.MTU = VIFTap, tapMAC, 1480 }),
			ensured: tapName + " tun up mtu=1480 mac=" + tapMAC,
		},
		{
			name:    "tap left half made is finished",
			before:  []preset{{tapName, kindTap, false}},
			port:    bridgePort().with(func(p *Port) { p.VIFType, p.MTU = VIFTap, 0 }),
			ensured: tapName + " tun up",
		},
		{
			name:    "tap's name is taken",
			before:  []preset{{tapName, kindBridge, false}},
			port:    bridgePort().with(func(p *Port) { p.VIFType = VIFTap }),
			refused: "look up tap " + tapName + ": it is a bridge",
			ensured: tapName + " bridge",
			removed: tapName + " bridge",
		},
		{
			name:    "macvtap over a card",
			before:  []preset{{"eth7", kindVeth, true}},
			port:    bridgePort().with(func(p *Port) { p.VIFType, p.Device = VIFMacvtap, "eth7" }),
			ensured: "eth7 veth up to=to-eth7\nto-eth7 veth to=eth7",
			removed: "eth7 veth up to=to-eth7\nto-eth7 veth to=eth7",
		},
	})
}

func TestVLAN(t *testing.T) {
	if !hasVLANs(newNamespace(t)) {
		t.Skip("needs a kernel with VLANs (8021q)")
	}
	runContract(t, false, []contractCase{
		{
			name:    "macvtap over a VLAN",
			before:  []preset{{"eth7", kindVeth, true}},
			port:    bridgePort().with(func(p *Port) { p.VIFType, p.Device, p.VLAN = VIFMacvtap, "eth7.12", VLAN{ID: 12, Parent: "eth7"} }),
			ensured: "eth7 veth up to=to-eth7\neth7.12 vlan up vlan=eth7.12\nto-eth7 veth to=eth7",
			removed: "eth7 veth up to=to-eth7\neth7.12 vlan up vlan=eth7.12\nto-eth7 veth to=eth7",
		},
		{
			name:    "macvtap over a VLAN of a card that is not there",
			port:    bridgePort().with(func(p *Port) { p.VIFType, p.Device, p.VLAN = VIFMacvtap, "eth7.12", VLAN{ID: 12, Parent: "eth7"} }),
			refused: "add vlan 12 of eth7 as eth7.12: no such link",
		},
	})
}

func hasVLANs(n *namespace) (has bool) {
	n.do(func() { has = kernel{}.AddVLAN("lo.1", "lo", 1) == nil })
	return has
}

// fakeNet plugs into links in memory, where there is no Open vSwitch.
func fakeNet(k *fakeLinks) *Net { return newNet(Options{}, k, newFakeSwitch()) }

// TestTapInUse: a guest that does not let go of its card keeps the tap on its Linux
// bridge, as with Nova's own node.
func TestTapInUse(t *testing.T) {
	n := newNamespace(t)
	var tap *os.File
	n.do(func() {
		var err error
		if tap, err = openTap(bridgePort()); err == nil {
			err = kernel{}.Up(tapName)
		}
		if err == nil {
			err = newNet(Options{}, kernel{}, newFakeSwitch()).Remove(t.Context(), bridgePort())
		}
		if err != nil {
			t.Error(err)
		}
	})
	if t.Failed() {
		t.FailNow()
	}
	defer tap.Close()
	compare(t, host{describe: n.describe}, "Remove of a tap in use", tapName+" tun up")
}

func TestUnsupportedIsAType(t *testing.T) {
	p := bridgePort()
	p.VIFType = VIFBindingFailed
	err := fakeNet(newFakeLinks()).Ensure(t.Context(), p)
	var unsupported *UnsupportedError
	if !errors.As(err, &unsupported) || unsupported.VIFType != VIFBindingFailed {
		t.Fatalf("error %v, want an UnsupportedError for binding_failed", err)
	}
}

// TestNamesFromOutside: names reach paths below /proc/sys.
func TestNamesFromOutside(t *testing.T) {
	for _, name := range []string{"../../kernel", "a/b", "..", ".", "sixteen-letters-", "a b", "a:1", "tab\t", "é"} {
		k := newFakeLinks()
		k.fail = func(call, name string) error {
			t.Errorf("%s %q reached the kernel", call, name)
			return unix.EINVAL
		}
		n := fakeNet(k)
		for _, change := range []func(*Port){func(p *Port) { p.Bridge = name }, func(p *Port) { p.Device = name }} {
			p := bridgePort()
			change(&p)
			if err := n.Ensure(t.Context(), p); err == nil {
				t.Errorf("Ensure of %+v: no error", p)
			}
			if err := n.Remove(t.Context(), p); err == nil {
				t.Errorf("Remove of %+v: no error", p)
			}
		}
	}
}

// TestManyAtOnce: builds on one network race for its bridge.
func TestManyAtOnce(t *testing.T) {
	onEveryHost(t, false, func(t *testing.T, h host) {
		n := h.net(OVSOptions{})
		errs := make([]error, 16)
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() { h.do(func() { errs[i] = n.Ensure(t.Context(), bridgePort()) }) })
		}
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		compare(t, h, "many at once", brq+" bridge up plain isolated")
	})
}

// TestCrashAtEveryStep stops Ensure and Remove before each of their calls, as a
// crash would, and expects the next run to finish the work.
func TestCrashAtEveryStep(t *testing.T) {
	crash := errors.New("crash")
	for step := range 8 {
		t.Run(fmt.Sprint(step), func(t *testing.T) {
			k := newFakeLinks()
			k.add(tapName, kindTap, true)
			n := fakeNet(k)
			run := func(f func(context.Context, Port) error) {
				left := step
				k.fail = func(string, string) error {
					if left--; left < 0 {
						return crash
					}
					return nil
				}
				if err := f(t.Context(), bridgePort()); err != nil && !errors.Is(err, crash) {
					t.Fatalf("error %v, want the crash", err)
				}
				k.fail = nil
				if err := f(t.Context(), bridgePort()); err != nil {
					t.Fatalf("after the crash: %v", err)
				}
			}
			run(n.Ensure)
			run(n.Remove)
			h := host{describe: k.describe}
			compare(t, h, "recovery", brq+" bridge up plain isolated")
		})
	}
}

func TestEndedContextChangesNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	k := newFakeLinks()
	k.add(tapName, kindTap, true)
	n := fakeNet(k)
	for _, f := range []func(context.Context, Port) error{n.Ensure, n.Remove} {
		if err := f(ctx, bridgePort()); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want %v", err, context.Canceled)
		}
	}
	compare(t, host{describe: k.describe}, "ended context", tapName+" tun up")
}

func TestDeviceName(t *testing.T) {
	if got := DeviceName(portID); got != tapName {
		t.Errorf("DeviceName(%s) = %s, want %s", portID, got, tapName)
	}
}
