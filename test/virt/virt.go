// Package virt gives a test a libvirtd of its own.
//
// The daemon runs in private mount and PID namespaces, and in a network of its own
// where a Host asks for it, with its own /run/libvirt, /run/lock,
// /var/lib/libvirt, /etc/libvirt, /var/log/libvirt and /var/cache/libvirt, so a
// libvirtd of the system on the same machine is neither seen nor touched, and
// neither systemd, polkit nor D-Bus is needed. It can be stopped, killed, restarted
// and frozen while its guests run on. /dev/kvm is hidden from it: guests are of
// type "qemu" on every machine.
//
// Everything in the PID namespace dies with its first process, the holder, which in
// turn dies with the test: no guest outlives a test, not even one that panics.
//
// It needs root, libvirtd and qemu-system-x86_64; Start skips the test when one of
// them is missing.
package virt

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// readyTimeout bounds how long a started libvirtd may take to accept connections;
// the first one on a machine asks every QEMU for its capabilities.
const readyTimeout = 60 * time.Second

// stopTimeout bounds how long libvirtd may take to end after SIGTERM.
const stopTimeout = 20 * time.Second

// Daemon is a private libvirtd. Its methods are for one goroutine at a time.
type Daemon struct {
	dir    string
	holder *process // first process of the namespaces
	daemon *process // libvirtd, nil while it is stopped
}

// Host is what a daemon's host has of its own, for tests with several hosts.
type Host struct {
	Name    string            // "" is the machine's
	Dir     string            // where its files lie; "" is the system's directory of temporary files
	Network bool              // a network without links, see Daemon.Network; else it is the machine's
	Binds   map[string]string // directories that stand in for others, which must be there
}

// Start runs a private libvirtd for the length of the test.
func Start(tb testing.TB) *Daemon {
	tb.Helper()
	if err := Missing(); err != nil {
		tb.Skip(err)
	}
	d, err := New()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Logf("libvirtd log:\n%s", d.logTail())
		}
		if err := d.Close(); err != nil {
			tb.Error(err)
		}
	})
	return d
}

// Missing tells what this machine lacks for a private libvirtd; nil if nothing.
func Missing() error {
	if os.Geteuid() != 0 {
		return errors.New("a private libvirtd needs root")
	}
	for _, tool := range []string{"libvirtd", "qemu-system-x86_64"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("a private libvirtd needs %s: %w", tool, err)
		}
	}
	return nil
}

// New starts a private libvirtd for a TestMain. The caller must Close it.
func New() (*Daemon, error) { return NewOn(Host{}) }

// NewOn is New for a daemon on a host of its own.
func NewOn(h Host) (*Daemon, error) {
	dir, err := os.MkdirTemp(h.Dir, "virt") // short: a unix socket's path has 108 bytes
	if err != nil {
		return nil, err
	}
	d := &Daemon{dir: dir}
	if err := d.prepare(h); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	if err := d.Launch(); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// prepare lays out the directories and starts the holder of the namespaces.
func (d *Daemon) prepare(h Host) error {
	if err := os.Chmod(d.dir, 0o755); err != nil { // QEMU runs as a user of its own
		return err
	}
	if err := writeTree(d.dir); err != nil {
		return err
	}
	holder, err := startHolder(d.dir, h)
	if err != nil {
		return err
	}
	d.holder = holder
	return nil
}

// Close ends libvirtd and every guest and removes their files.
func (d *Daemon) Close() error {
	if d.holder != nil {
		d.holder.kill()
		d.holder = nil
	}
	if d.daemon != nil {
		d.daemon.kill() // the kernel killed it with the holder: this collects it
		d.daemon = nil
	}
	return os.RemoveAll(d.dir)
}

// URI is the libvirt URI of the daemon, for a local read-write connection.
func (d *Daemon) URI() string {
	return "qemu+unix:///system?socket=" + d.socket()
}

// Dir is a directory that guests of the daemon may read, removed by Close.
func (d *Daemon) Dir() string { return filepath.Join(d.dir, "guests") }

// Root is where the directory that the daemon and its guests see as /var/lib/libvirt lies for
// everybody else.
func (d *Daemon) Root() string { return filepath.Join(d.dir, "lib") }

// Network is the path of the network namespace that the daemon, its guests and programs
// are in.
func (d *Daemon) Network() string { return fmt.Sprintf("/proc/%d/ns/net", d.holder.pid) }

func (d *Daemon) socket() string { return filepath.Join(d.dir, "run", "libvirt-sock") }

// Launch starts libvirtd, which must not be running, and waits until it accepts.
func (d *Daemon) Launch() error {
	if d.daemon != nil {
		return errors.New("libvirtd runs already")
	}
	p, err := startIn(d.holder, "libvirtd", "--timeout", "0", "--pid-file", "/run/libvirt/libvirtd.pid")
	if err != nil {
		return err
	}
	d.daemon = p
	return d.waitReady()
}

// waitReady waits until the daemon accepts a connection on its socket.
func (d *Daemon) waitReady() error {
	deadline := time.After(readyTimeout)
	for {
		conn, err := net.Dial("unix", d.socket())
		if err == nil {
			return conn.Close()
		}
		select {
		case <-d.daemon.done:
			return fmt.Errorf("libvirtd ended at once: %s", d.logTail())
		case <-deadline:
			return fmt.Errorf("libvirtd does not accept after %s: %w", readyTimeout, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Stop ends libvirtd as a service manager would; guests run on.
func (d *Daemon) Stop() error {
	if d.daemon == nil {
		return nil
	}
	if err := d.daemon.signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-d.daemon.done:
		d.daemon = nil
		return nil
	case <-time.After(stopTimeout):
		return fmt.Errorf("libvirtd does not end %s after SIGTERM", stopTimeout)
	}
}

// Kill ends libvirtd with SIGKILL; guests run on.
func (d *Daemon) Kill() {
	if d.daemon != nil {
		d.daemon.kill()
		d.daemon = nil
	}
}

// KillAll ends libvirtd, every guest and every program of the host with SIGKILL.
func (d *Daemon) KillAll() error {
	p, err := startIn(d.holder, "sh", "-c", "kill -KILL -1") // of its own PID namespace, but for itself and the holder
	if err != nil {
		return err
	}
	<-p.done
	d.Kill() // collects it
	return nil
}

// Restart stops libvirtd and launches it again; guests run on.
func (d *Daemon) Restart() error {
	if err := d.Stop(); err != nil {
		return err
	}
	return d.Launch()
}

// Freeze stops libvirtd with SIGSTOP: it accepts connections and answers nothing.
func (d *Daemon) Freeze() error { return d.daemon.signal(unix.SIGSTOP) }

// Thaw lets a frozen libvirtd go on.
func (d *Daemon) Thaw() error { return d.daemon.signal(unix.SIGCONT) }

// logTail returns the end of libvirtd's log, for the report of a failed test.
func (d *Daemon) logTail() string {
	const lines = 40
	b, err := os.ReadFile(filepath.Join(d.dir, "log", "libvirtd.log"))
	if err != nil {
		return err.Error()
	}
	all := strings.Split(string(bytes.TrimSpace(b)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
