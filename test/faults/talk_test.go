package faults

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bolide/test/controller/compute"
	"bolide/test/controller/network"
	"bolide/test/guest"
)

// guestKernel is where the guests' kernel is unpacked, by .ci/deps.
const guestKernel = "../../build/guest-kernel"

// bootLimit is how long a guest with a kernel may take, emulated on a busy machine.
const bootLimit = 5 * time.Minute

// TestGuestsTalk has one guest ping another over Open vSwitch, as it was plugged by the
// node.
func TestGuestsTalk(t *testing.T) {
	g := newLongGround(t, "")
	if _, err := os.Stat(filepath.Join(guestKernel, "complete")); err != nil {
		t.Skip("needs the guests' kernel: .ci/deps demo")
	}
	image, err := g.addImage("linux", "qcow2", func(path string) error {
		return guest.Build(t.Context(), guest.Options{Kernel: guestKernel, Out: path})
	})
	g.must(err)
	flavor, err := g.Compute.AddFlavor(compute.FlavorOptions{Name: "linux", MemoryMB: 192, VCPUs: 1, RootGB: 1})
	g.must(err)
	for _, c := range []network.Connection{network.Switched, network.Hybrid} {
		t.Run(string(c), func(t *testing.T) {
			g.on(t, c)
			g.want["imageRef"], g.want["flavorRef"] = image, flavor
			one := g.boot()
			g.says(one, "guest: ready")
			ports, err := g.PortsOf(g.ctx(), one)
			g.must(err)
			address := ports[0].FixedIPs[0].Address
			g.want["user_data"] = base64.StdEncoding.EncodeToString([]byte("#ping " + address + "\n"))
			other := g.boot()
			g.says(other, "guest: ping "+address+" ok")
			g.drop(one)
			g.drop(other)
		})
	}
}

// says waits for a guest to say something on its serial console.
func (g *ground) says(id, what string) {
	g.t.Helper()
	g.must(Until(g.ctx(), bootLimit, func() error {
		console, err := os.ReadFile(filepath.Join(g.instances(), id, "console.log"))
		if err == nil && !strings.Contains(string(console), what) {
			err = fmt.Errorf("guest does not say %q but\n%s", what, console)
		}
		return err
	}))
}
