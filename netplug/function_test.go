package netplug

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const functionAddress = "0000:81:00.4"

// cardTree is a /sys with a card eth1 whose second function is functionAddress, which
// the host has as eth1v1. The card does its switching itself; eth1_1 represents the
// function.
func cardTree(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	dir := filepath.Join(root, "bus/pci/devices")
	for _, d := range []string{"0000:81:00.0/net/eth1", functionAddress + "/net/eth1v1", "0000:81:00.2"} {
		makeDir(t, filepath.Join(dir, d))
	}
	for name, target := range map[string]string{
		functionAddress + "/physfn": "../0000:81:00.0",
		"0000:81:00.0/virtfn0":      "../0000:81:00.2",
		"0000:81:00.0/virtfn1":      "../" + functionAddress,
	} {
		makeLink(t, target, filepath.Join(dir, name))
	}
	makeFile(t, filepath.Join(dir, "0000:81:00.0/sriov_totalvfs"), "2")
	for link, says := range map[string][2]string{ // its switch, and its name there
		"eth1": {"a1", "p0"}, "eth1_0": {"a1", "pf0vf0"}, "eth1_1": {"a1", "pf0vf1"}, "eth2_1": {"a1", "pf1vf1"},
		"eth3_1": {"b2", "pf0vf1"}, "eth4": {},
	} {
		at := filepath.Join(root, "class/net", link)
		makeDir(t, at)
		makeLink(t, "..", filepath.Join(at, "subsystem"))
		if says[0] != "" {
			makeLink(t, "../../../bus/pci/devices/0000:81:00.0", filepath.Join(at, "device"))
			makeFile(t, filepath.Join(at, "phys_switch_id"), says[0])
			makeFile(t, filepath.Join(at, "phys_port_name"), says[1])
		}
	}
	return root
}

func makeDir(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(path, 0o755); err != nil {
		t.Fatal(err)
	}
}

func makeLink(t *testing.T, target, path string) {
	t.Helper()
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
}

func makeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
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
			v := &virtualFunction{links: k, sys: sysfs{cardTree(t)}}
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
	v := &virtualFunction{links: newFakeLinks(), sys: sysfs{t.TempDir()}}
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
