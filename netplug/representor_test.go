package netplug

import (
	"errors"
	"io/fs"
	"testing"
)

const representor = "eth1_1" // of functionAddress, see cardTree

func offloadedPort() Port {
	return ovsPort().with(func(p *Port) {
		p.VNICType, p.Function.Address, p.Switch.Hybrid, p.MTU = VNICDirect, functionAddress, true, 1450
	})
}

// TestOffloadedPort: the switch gets the link that stands for the function, whatever
// Neutron says of other ways, and gives it back.
func TestOffloadedPort(t *testing.T) {
	onEveryHost(t, true, func(t *testing.T, h host) {
		h.add(representor, kindBridge, false)
		o := &openVSwitch{links: h.links, vswitch: h.vswitch, sys: sysfs{cardTree(t)}, log: Options{}.logger()}
		for _, step := range []struct {
			what string
			do   func() error
			want string
		}{
			{"Ensure", func() error { return o.Ensure(t.Context(), offloadedPort()) },
				lines(representor+" bridge up mtu=1450", "switch br-int system", "port "+representor+" on=br-int"+ids(portID))},
			{"Remove", func() error { return o.Remove(t.Context(), offloadedPort()) },
				lines(representor+" bridge mtu=1450", "switch br-int system")},
		} {
			for range 2 {
				var err error
				h.do(func() { err = step.do() })
				if err != nil {
					t.Fatalf("%s: %v", step.what, err)
				}
				compare(t, h, step.what, step.want)
			}
		}
	})
}

// TestOffloadedPortOfNoCard: a card that is gone is an error for a guest that is to have
// it, and none for one that had it.
func TestOffloadedPortOfNoCard(t *testing.T) {
	h, _, s := fakeHost()
	o := &openVSwitch{links: h.links, vswitch: s, sys: sysfs{t.TempDir()}, log: Options{}.logger()}
	if err := o.Ensure(t.Context(), offloadedPort()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Ensure: %v", err)
	}
	if err := o.Remove(t.Context(), offloadedPort()); err != nil {
		t.Errorf("Remove: %v", err)
	}
}

func TestRepresentor(t *testing.T) {
	for address, want := range map[string]string{functionAddress: representor, "0000:81:00.2": "", "0000:81:00.0": ""} {
		if got, err := (sysfs{cardTree(t)}).representor(address); got != want || (err == nil) != (want != "") {
			t.Errorf("representor of %s: %q, %v; want %q", address, got, err, want)
		}
	}
}
