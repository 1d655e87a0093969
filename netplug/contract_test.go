package netplug

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// host is a place to plug ports in: the fake, or a network namespace.
type host struct {
	links    links
	add      func(name, kind string, up bool)
	do       func(func()) // runs f where the links are
	describe func() []string
}

// onEveryHost runs a test of the contract on the fake and on the kernel.
func onEveryHost(t *testing.T, test func(t *testing.T, h host)) {
	t.Run("fake", func(t *testing.T) {
		k := newFakeLinks()
		test(t, host{links: k, add: k.add, do: func(f func()) { f() }, describe: k.describe})
	})
	t.Run("kernel", func(t *testing.T) {
		n := newNamespace(t)
		test(t, host{links: kernel{}, add: n.add, do: n.do, describe: n.describe})
	})
}

func (f *fakeLink) String() string {
	s := f.Name + " " + f.Kind
	for _, x := range []struct {
		is   bool
		word string
	}{{f.Up, "up"}, {f.plain, "plain"}, {f.isolated, "isolated"}} {
		if x.is {
			s += " " + x.word
		}
	}
	return s
}

func (k *fakeLinks) describe() (lines []string) {
	for _, l := range k.links {
		lines = append(lines, l.String())
	}
	return lines
}

const (
	portID  = "3b6bd0c8-9a4f-4f39-9a57-1c2d3e4f5a6b"
	tap     = "tap3b6bd0c8-9a"
	network = "63c18993-9fd1-4f6b-8a1e-0a1b2c3d4e5f"
	bridge  = "brq63c18993-9f"
)

func bridgePort() Port {
	return Port{ID: portID, NetworkID: network, Bridge: bridge, Device: DeviceName(portID), VIFType: VIFBridge, MTU: 1500}
}

// preset is a link that is there before the port is plugged.
type preset struct {
	name, kind string
	up         bool
}

func TestPort(t *testing.T) {
	unbound := bridgePort()
	unbound.VIFType = VIFUnbound
	direct := bridgePort()
	direct.VNICType = "direct"
	nowhere := bridgePort()
	nowhere.Bridge = ""

	cases := []struct {
		name    string
		before  []preset
		port    Port
		ensured string // the host after Ensure, a link per line
		refused string // Ensure's error contains this
		removed string // the host after Remove
	}{
		{
			name:    "bridge is made",
			port:    bridgePort(),
			ensured: bridge + " bridge up plain isolated",
			removed: bridge + " bridge up plain isolated",
		},
		{
			name:    "bridge of Neutron's agent is used as it is",
			before:  []preset{{bridge, "bridge", true}},
			port:    bridgePort(),
			ensured: bridge + " bridge up",
			removed: bridge + " bridge up",
		},
		{
			name:    "bridge left half made is finished",
			before:  []preset{{bridge, "bridge", false}},
			port:    bridgePort(),
			ensured: bridge + " bridge up isolated",
			removed: bridge + " bridge up isolated",
		},
		{
			name:    "left-over tap goes, other ports' taps stay",
			before:  []preset{{tap, "tun", true}, {"tap00000000-00", "tun", true}},
			port:    bridgePort(),
			ensured: bridge + " bridge up plain isolated\ntap00000000-00 tun up\n" + tap + " tun up",
			removed: bridge + " bridge up plain isolated\ntap00000000-00 tun up",
		},
		{
			name:    "link of the tap's name that is no tap stays",
			before:  []preset{{tap, "bridge", false}},
			port:    bridgePort(),
			ensured: bridge + " bridge up plain isolated\n" + tap + " bridge",
			removed: bridge + " bridge up plain isolated\n" + tap + " bridge",
		},
		{
			name:    "link of the bridge's name that is no bridge",
			before:  []preset{{bridge, "tun", true}},
			port:    bridgePort(),
			refused: "look up bridge " + bridge + ": it is a tun",
			ensured: bridge + " tun up",
			removed: bridge + " tun up",
		},
		{
			name:    "port without a bridge",
			port:    nowhere,
			refused: "port has no bridge",
		},
		{
			name:    "unbound port",
			port:    unbound,
			refused: `vif type "unbound" with vnic type "" is not supported`,
		},
		{
			name:    "hardware port",
			port:    direct,
			refused: `vif type "bridge" with vnic type "direct" is not supported`,
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			onEveryHost(t, func(t *testing.T, h host) {
				for _, l := range c.before {
					h.add(l.name, l.kind, l.up)
				}
				n := newNet(Options{}, h.links)
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
	lines := h.describe()
	slices.Sort(lines)
	if d := cmp.Diff(want, strings.Join(lines, "\n")); d != "" {
		t.Fatalf("host after %s (-want +got):\n%s", after, d)
	}
}

func TestUnsupportedIsAType(t *testing.T) {
	p := bridgePort()
	p.VIFType = VIFBindingFailed
	err := newNet(Options{}, newFakeLinks()).Ensure(t.Context(), p)
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
		n := newNet(Options{}, k)
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
	onEveryHost(t, func(t *testing.T, h host) {
		n := newNet(Options{}, h.links)
		errs := make([]error, 16)
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() { h.do(func() { errs[i] = n.Ensure(t.Context(), bridgePort()) }) })
		}
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		compare(t, h, "many at once", bridge+" bridge up plain isolated")
	})
}

// TestCrashAtEveryStep stops Ensure and Remove before each of their calls, as a
// crash would, and expects the next run to finish the work.
func TestCrashAtEveryStep(t *testing.T) {
	crash := errors.New("crash")
	for step := range 8 {
		t.Run(fmt.Sprint(step), func(t *testing.T) {
			k := newFakeLinks()
			k.add(tap, "tun", true)
			n := newNet(Options{}, k)
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
			compare(t, h, "recovery", bridge+" bridge up plain isolated")
		})
	}
}

func TestEndedContextChangesNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	k := newFakeLinks()
	k.add(tap, "tun", true)
	n := newNet(Options{}, k)
	for _, f := range []func(context.Context, Port) error{n.Ensure, n.Remove} {
		if err := f(ctx, bridgePort()); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want %v", err, context.Canceled)
		}
	}
	compare(t, host{describe: k.describe}, "ended context", tap+" tun up")
}

func TestDeviceName(t *testing.T) {
	if got := DeviceName(portID); got != tap {
		t.Errorf("DeviceName(%s) = %s, want %s", portID, got, tap)
	}
}
