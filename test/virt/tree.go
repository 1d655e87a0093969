package virt

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"

	"github.com/google/uuid"
)

// binds names the directories of the private tree and what they stand in for.
var binds = map[string]string{
	"run":   "/run/libvirt",
	"lib":   "/var/lib/libvirt",
	"etc":   "/etc/libvirt",
	"log":   "/var/log/libvirt",
	"cache": "/var/cache/libvirt",
	"lock":  "/run/lock", // of consoles; not there where no init system made it
}

// capabilityCache is where libvirt keeps what it found out about each QEMU.
const capabilityCache = "/var/cache/libvirt/qemu/capabilities"

// daemonConf has a host UUID of its own, or a guest could not be migrated between
// two daemons on one machine: libvirt takes equal UUIDs for the same host.
const daemonConf = `unix_sock_rw_perms = "0700"
auth_unix_ro = "none"
auth_unix_rw = "none"
host_uuid = %q
log_outputs = "3:file:/var/log/libvirt/libvirtd.log"
`

// qemuConf lets go of what needs systemd or is shared with the machine: virtlogd,
// security labels, cgroups, mount namespaces per guest and owner records in xattrs.
// The ports of displays are a range of its own: libvirt looks for a free port before
// QEMU takes it, so two libvirtds on one loopback would now and then choose the same.
const qemuConf = `stdio_handler = "file"
security_driver = "none"
cgroup_controllers = []
namespaces = []
remember_owner = 0
remote_display_port_min = %d
remote_display_port_max = %d
`

// displays is how many guests of one libvirtd have a display at a time.
const displays = 64

// writeTree makes the private directories and the configuration below dir.
func writeTree(dir string) error {
	for name := range binds {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			return err
		}
	}
	for _, name := range []string{"guests", "empty"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			return err
		}
	}
	display := 5900 + displays*rand.IntN(400)
	files := map[string]string{
		"etc/libvirtd.conf": fmt.Sprintf(daemonConf, uuid.NewString()),
		"etc/qemu.conf":     fmt.Sprintf(qemuConf, display, display+displays-1),
		"nokvm":             "",
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	// Mode 0: libvirt, asking on behalf of QEMU's user, finds KVM out of reach.
	if err := os.Chmod(filepath.Join(dir, "nokvm"), 0); err != nil {
		return err
	}
	return seedCapabilities(filepath.Join(dir, "cache", "qemu", "capabilities"))
}

// seedCapabilities copies what the system's libvirt knows of each QEMU, so that the
// private one need not start all of them to find out. libvirt checks each file
// against the binary it speaks of; a stale one costs time, not truth.
func seedCapabilities(to string) error {
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(capabilityCache)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, entry := range entries {
		b, err := os.ReadFile(filepath.Join(capabilityCache, entry.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue // libvirt replaced it just now
		}
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(to, entry.Name()), b, 0o600); err != nil {
			return err
		}
	}
	return nil
}
