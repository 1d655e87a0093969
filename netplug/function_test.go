package netplug

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const functionAddress = "0000:81:00.4"

// cardTree is a /sys/bus/pci/devices with a card eth1 whose second function is
// functionAddress, which the host has as eth1v1.
func cardTree(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{"0000:81:00.0/net/eth1", functionAddress + "/net/eth1v1", "0000:81:00.2"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, target := range map[string]string{
		functionAddress + "/physfn": "../0000:81:00.0",
		"0000:81:00.0/virtfn0":      "../0000:81:00.2",
		"0000:81:00.0/virtfn1":      "../" + functionAddress,
	} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestVirtualFunction(t *testing.T) {
	const before = "6a:00:00:00:00:01"
	for name, c := range map[string]struct {
		vnic             string
		function         Function
		ensured, removed function
		up               bool // the function's own link
	}{
		"direct": {
			vnic: VNICDirect, function: Function{VLAN: 100},
			ensured: function{MAC: before}, removed: function{MAC: before},
		},
		"direct, trusted": {
			vnic: VNICDirect, function: Function{Trusted: true},
			ensured: function{MAC: before, Trusted: true}, removed: function{MAC: before},
		},
		"macvtap": {
			vnic: VNICMacvtap, function: Function{VLAN: 100},
			ensured: function{MAC: guestMAC, VLAN: 100}, removed: function{MAC: noMAC}, up: true,
		},
		"macvtap without a VLAN": {
			vnic:    VNICMacvtap,
			ensured: function{MAC: guestMAC}, removed: function{MAC: noMAC},
		},
	} {
		t.Run(name, func(t *testing.T) {
			h, k, _ := fakeHost()
			h.add("eth1", "", true)
			h.add("eth1v1", "", false)
			k.links["eth1"].functions = []function{{MAC: "6a:00:00:00:00:00"}, {MAC: before}}
			v := &virtualFunction{links: k, pci: cardTree(t)}
			p := bridgePort().with(func(p *Port) {
				p.VIFType, p.VNICType, p.Function = VIFHWVEB, c.vnic, c.function
				p.Function.Address = functionAddress
			})
			for round, want := range []struct {
				do       func() error
				function function
			}{
				{func() error { return v.Ensure(t.Context(), p) }, c.ensured},
				{func() error { return v.Ensure(t.Context(), p) }, c.ensured},
				{func() error { return v.Remove(t.Context(), p) }, c.removed},
				{func() error { return v.Remove(t.Context(), p) }, c.removed},
			} {
				if err := want.do(); err != nil {
					t.Fatal(err)
				}
				functions := []function{{MAC: "6a:00:00:00:00:00"}, want.function}
				if d := cmp.Diff(functions, k.links["eth1"].functions); d != "" {
					t.Fatalf("functions after call %d (-want +got):\n%s", round, d)
				}
			}
			if own := k.links["eth1v1"]; own.Up != c.up || own.Up && own.MAC != guestMAC {
				t.Errorf("the function's link is %v with address %q, should be up: %t", own, own.MAC, c.up)
			}
		})
	}
}

func TestFunctionThatIsGone(t *testing.T) {
	v := &virtualFunction{links: newFakeLinks(), pci: t.TempDir()}
	p := bridgePort().with(func(p *Port) {
		p.VIFType, p.VNICType, p.Function = VIFHWVEB, VNICDirect, Function{Address: functionAddress, Trusted: true}
	})
	if err := v.Ensure(t.Context(), p); err == nil || !strings.Contains(err.Error(), "find function "+functionAddress) {
		t.Errorf("Ensure: error %v", err)
	}
	if err := v.Remove(t.Context(), p); err != nil {
		t.Errorf("Remove: %v", err)
	}
	// an address from outside is no path
	p.Function.Address = "../../../etc"
	if err := fakeNet(newFakeLinks()).Ensure(t.Context(), p); err == nil || !strings.Contains(err.Error(), "PCI address") {
		t.Errorf("Ensure with a path: error %v", err)
	}
}
