package ops

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"bolide/test/hosts"
	"bolide/test/openstack/api"
	"bolide/test/openstack/ground"
)

// instancesPath is where the node keeps its guests' files.
const instancesPath = "/var/lib/nova/instances"

// tempDir is the cloud's own place for what lasts shorter than an operation.
const tempDir = "/run/tmp"

// ownLibvirt is the libvirtd of the host that most operations are on.
const ownLibvirt = "qemu:///system"

// virsh asks libvirt.
func virsh(ctx context.Context, args ...string) (string, error) {
	return virshAt(ctx, ownLibvirt, args...)
}

// virshAt asks a libvirtd.
func virshAt(ctx context.Context, uri string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "virsh", append([]string{"--connect", uri}, args...)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("virsh %s: %s: %w", strings.Join(args, " "), strings.TrimSpace(string(out)), err)
	}
	return string(out), nil
}

// tap is the name of a port's device on the host.
func tap(port string) string { return "tap" + port[:11] }

// portsOf returns the IDs of a guest's ports.
func (s *Session) portsOf(ctx context.Context, id string) ([]string, error) {
	var found struct{ Ports []struct{ ID string } }
	if err := s.Get(ctx, api.Network+"/ports?device_id="+id, &found); err != nil {
		return nil, err
	}
	var ids []string
	for _, p := range found.Ports {
		ids = append(ids, p.ID)
	}
	return ids, nil
}

// place is a host as one sees it who looks for what is left of a guest.
type place struct {
	name      string
	libvirt   string // its URI
	instances string // where guests' files are
	taps      func() ([]string, error)
}

// places are all hosts that there are.
func (s *Session) places() []place {
	all := []place{{ground.HostName, ownLibvirt, instancesPath, ownTaps}}
	if s.pair != nil {
		for _, h := range s.pair.All() {
			all = append(all, placeOf(h))
		}
	}
	return all
}

func placeOf(h *hosts.Host) place { return place{h.Name, h.URI(), h.Path("instances"), h.Taps} }

func ownTaps() ([]string, error) {
	paths, err := filepath.Glob("/sys/class/net/tap*")
	for i := range paths {
		paths[i] = filepath.Base(paths[i])
	}
	return paths, err
}

// has tells in its error what a host has of a guest; nil is nothing.
func (p place) has(ctx context.Context, id string, ports []string) error {
	domains, err := virshAt(ctx, p.libvirt, "list", "--all", "--uuid")
	if err != nil {
		return err
	}
	if strings.Contains(domains, id) {
		return fmt.Errorf("domain is still defined on %s", p.name)
	}
	files, err := filepath.Glob(filepath.Join(p.instances, id+"*"))
	if err != nil {
		return err
	}
	if len(files) > 0 {
		return fmt.Errorf("files are left on %s: %v", p.name, files)
	}
	taps, err := p.taps()
	if err != nil {
		return err
	}
	for _, port := range ports {
		if slices.Contains(taps, tap(port)) {
			return fmt.Errorf("tap is left on %s: %s", p.name, tap(port))
		}
	}
	return nil
}

// leavesNothing makes sure that a deleted guest is gone from all hosts and from
// every service. It allows for what is cleaned up just after Nova said so.
func (s *Session) leavesNothing(ctx context.Context, id string, ports []string) error {
	checks := []func(context.Context) error{
		func(ctx context.Context) error {
			left, err := s.portsOf(ctx, id)
			if err == nil && len(left) > 0 {
				err = fmt.Errorf("ports are left: %v", left)
			}
			return err
		},
		func(ctx context.Context) error {
			left, err := s.allocations(ctx, id)
			if err == nil && len(left) > 0 {
				err = fmt.Errorf("allocations are left: %v", left)
			}
			return err
		},
	}
	for _, p := range s.places() {
		checks = append(checks, func(ctx context.Context) error { return p.has(ctx, id, ports) })
	}
	for _, check := range checks {
		err := api.Until(ctx, time.Minute, func(ctx context.Context) (bool, error) {
			err := check(ctx)
			return err == nil, err
		})
		if err != nil {
			return fmt.Errorf("server %s: %w", id, err)
		}
	}
	return nil
}

// allocations returns the resource providers that a consumer takes from.
func (s *Session) allocations(ctx context.Context, consumer string) ([]string, error) {
	var found struct{ Allocations map[string]any }
	err := s.Get(ctx, api.Placement+"/allocations/"+consumer, &found)
	return slices.Collect(maps.Keys(found.Allocations)), err
}
