package ops

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"bolide/test/openstack/api"
)

// instancesPath is where the node keeps its guests' files.
const instancesPath = "/var/lib/nova/instances"

// tempDir is the cloud's own place for what lasts shorter than an operation.
const tempDir = "/run/tmp"

// virsh asks libvirt.
func virsh(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "virsh", append([]string{"--connect", "qemu:///system"}, args...)...)
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

// leavesNothing makes sure that a deleted guest is gone from the host and from
// every service. It allows for what is cleaned up just after Nova said so.
func (s *Session) leavesNothing(ctx context.Context, id string, ports []string) error {
	checks := []func(context.Context) error{
		func(ctx context.Context) error {
			domains, err := virsh(ctx, "list", "--all", "--uuid")
			if err == nil && strings.Contains(domains, id) {
				err = errors.New("domain is still defined")
			}
			return err
		},
		func(context.Context) error {
			left, err := filepath.Glob(filepath.Join(instancesPath, id+"*"))
			if err == nil && len(left) > 0 {
				err = fmt.Errorf("files are left: %v", left)
			}
			return err
		},
		func(context.Context) error {
			for _, p := range ports {
				if _, err := os.Lstat("/sys/class/net/" + tap(p)); !errors.Is(err, fs.ErrNotExist) {
					return fmt.Errorf("tap is left: %s", tap(p))
				}
			}
			return nil
		},
		func(ctx context.Context) error {
			left, err := s.portsOf(ctx, id)
			if err == nil && len(left) > 0 {
				err = fmt.Errorf("ports are left: %v", left)
			}
			return err
		},
		func(ctx context.Context) error {
			var found struct{ Allocations map[string]any }
			err := s.Get(ctx, api.Placement+"/allocations/"+id, &found)
			if err == nil && len(found.Allocations) > 0 {
				err = fmt.Errorf("allocations are left: %v", found.Allocations)
			}
			return err
		},
	}
	for _, check := range checks {
		err := api.Until(ctx, 10*time.Second, func(ctx context.Context) (bool, error) {
			err := check(ctx)
			return err == nil, err
		})
		if err != nil {
			return fmt.Errorf("server %s: %w", id, err)
		}
	}
	return nil
}
