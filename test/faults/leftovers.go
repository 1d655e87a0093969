package faults

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
)

// Leftovers are what a deleted guest has left on the host or in a service, and
// what operations have left in the node's directories. Nil is nothing.
func (c *Cloud) Leftovers(ctx context.Context, guest string) error {
	return errors.Join(
		c.leftDomain(guest), c.leftFiles(guest), c.leftTaps(), c.leftPlugs(ctx), c.leftPorts(ctx, guest), c.leftAllocation(ctx, guest), c.leftPages())
}

func (c *Cloud) leftDomain(guest string) error {
	domains, err := c.virsh("list", "--all", "--uuid")
	if err == nil && strings.Contains(domains, guest) {
		err = errors.New("the domain is left")
	}
	return err
}

// virsh asks libvirt.
func (c *Cloud) virsh(args ...string) (string, error) {
	cmd := exec.Command("virsh", append([]string{"--connect", c.Virt.URI()}, args...)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%q: %w: %s", cmd.Args, err, out)
	}
	return string(out), nil
}

func (c *Cloud) instances() string { return filepath.Join(c.dir, "state", "instances") }

func (c *Cloud) leftFiles(guest string) error {
	left, err := filepath.Glob(filepath.Join(c.instances(), guest+"*"))
	if err != nil {
		return err
	}
	copies, err := filepath.Glob(filepath.Join(c.instances(), "snapshots", "*"))
	if err != nil {
		return err
	}
	if left = append(left, copies...); len(left) > 0 {
		return fmt.Errorf("files are left: %v", left)
	}
	return nil
}

// leftTaps looks for taps without a guest; this network is the test's own.
func (c *Cloud) leftTaps() error {
	links, err := netlink.LinkList()
	if err != nil {
		return err
	}
	described, err := c.liveInterfaces()
	if err != nil {
		return err
	}
	for _, l := range links {
		if name := l.Attrs().Name; strings.HasPrefix(name, "tap") && !slices.Contains(described, name) {
			return fmt.Errorf("%s is left", name)
		}
	}
	return nil
}

// liveInterfaces are the taps of running guests.
func (c *Cloud) liveInterfaces() ([]string, error) {
	running, err := c.virsh("list", "--uuid")
	if err != nil {
		return nil, err
	}
	var taps []string
	for _, guest := range strings.Fields(running) {
		table, err := c.virsh("domiflist", guest)
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(table) {
			if fields := strings.Fields(line); len(fields) > 0 && strings.HasPrefix(fields[0], "tap") {
				taps = append(taps, fields[0])
			}
		}
	}
	return taps, nil
}

// Port is a port of the network service's.
type Port struct {
	ID       string
	Status   string
	HostID   string `json:"binding:host_id"`
	FixedIPs []struct {
		Address string `json:"ip_address"`
	} `json:"fixed_ips"`
}

// PortsOf are a guest's ports.
func (c *Cloud) PortsOf(ctx context.Context, guest string) ([]Port, error) {
	var out struct{ Ports []Port }
	err := c.Ask(ctx, http.MethodGet, "network", "/v2.0/ports?device_id="+guest, nil, &out)
	return out.Ports, err
}

func (c *Cloud) leftPorts(ctx context.Context, guest string) error {
	ports, err := c.PortsOf(ctx, guest)
	if err == nil && len(ports) > 0 {
		err = fmt.Errorf("ports are left: %v", ports)
	}
	return err
}

func (c *Cloud) leftAllocation(ctx context.Context, guest string) error {
	var out struct{ Allocations map[string]any }
	err := c.Ask(ctx, http.MethodGet, "placement", "/allocations/"+guest, nil, &out)
	if err == nil && len(out.Allocations) > 0 {
		err = fmt.Errorf("the allocation is left: %v", out.Allocations)
	}
	return err
}

// leftPages looks for operations that the journal takes for unfinished, and for requests
// that were kept for the next start.
func (c *Cloud) leftPages() error {
	var left []string
	for _, dir := range []string{"journal", "requests"} {
		files, err := filepath.Glob(filepath.Join(c.dir, "state", "bolide", dir, "*"))
		if err != nil {
			return err
		}
		left = append(left, files...)
	}
	if len(left) > 0 {
		return fmt.Errorf("not done, says the node: %v", left)
	}
	return nil
}

// HalfImages are the images that have no data.
func (c *Cloud) HalfImages(ctx context.Context) ([]string, error) {
	var out struct {
		Images []struct{ ID, Status string }
	}
	if err := c.Ask(ctx, http.MethodGet, "image", "/v2/images", nil, &out); err != nil {
		return nil, err
	}
	var half []string
	for _, i := range out.Images {
		if i.Status != "active" {
			half = append(half, i.ID)
		}
	}
	return half, nil
}
