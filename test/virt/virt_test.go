package virt

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// virsh runs a command against the daemon and returns its output.
func virsh(t *testing.T, d *Daemon, args ...string) string {
	t.Helper()
	out, err := exec.Command("virsh", append([]string{"-q", "-c", d.URI()}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("virsh %v: %v: %s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// boot defines and starts a guest and waits until it runs.
func boot(t *testing.T, d *Daemon) Guest {
	t.Helper()
	g := d.NewGuest(t, GuestOptions{})
	file := g.Disk + ".xml"
	if err := os.WriteFile(file, []byte(g.XML), 0o600); err != nil {
		t.Fatal(err)
	}
	virsh(t, d, "define", file)
	virsh(t, d, "start", g.Name)
	g.WaitConsole(t, Banner)
	return g
}

// waitState waits until virsh reports the guest's state.
func waitState(t *testing.T, d *Daemon, g Guest, want string) {
	t.Helper()
	var got string
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if got = virsh(t, d, "domstate", g.Name); got == want {
			return
		}
	}
	t.Fatalf("guest is %q, not %q", got, want)
}

func TestGuestObeysThePowerButton(t *testing.T) {
	d := Start(t)
	g := boot(t, d)
	virsh(t, d, "shutdown", g.Name)
	waitState(t, d, g, "shut off")
}

func TestGuestsSurviveTheDaemon(t *testing.T) {
	d := Start(t)
	g := boot(t, d)
	if err := d.Restart(); err != nil {
		t.Fatal(err)
	}
	waitState(t, d, g, "running")
	d.Kill()
	if err := d.Launch(); err != nil {
		t.Fatal(err)
	}
	waitState(t, d, g, "running")
}

func TestCloseLeavesNothing(t *testing.T) {
	if err := Missing(); err != nil {
		t.Skip(err)
	}
	d, err := New()
	if err != nil {
		t.Fatal(err)
	}
	g := boot(t, d)
	pidFile, err := os.ReadFile(d.dir + "/run/qemu/" + g.Name + ".pid")
	if err != nil {
		t.Fatal(err)
	}
	pid, err := outerPID(d.holder.pid, strings.TrimSpace(string(pidFile)))
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("QEMU of the guest lives on: %v", err)
	}
	if _, err := os.Stat(d.dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("directory %s is left: %v", d.dir, err)
	}
}

func TestFrozenDaemonAnswersAfterThaw(t *testing.T) {
	d := Start(t)
	if err := d.Freeze(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("virsh", "-q", "-c", d.URI(), "version", "--daemon")
	answered := make(chan error, 1)
	go func() { answered <- cmd.Run() }()
	select {
	case err := <-answered:
		t.Fatalf("a frozen daemon answered: %v", err)
	case <-time.After(300 * time.Millisecond):
	}
	if err := d.Thaw(); err != nil {
		t.Fatal(err)
	}
	if err := <-answered; err != nil {
		t.Fatal(err)
	}
}
