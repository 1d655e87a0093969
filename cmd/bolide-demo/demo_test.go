package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"bolide/test/child"
)

// demoRun is the real program in a process group of its own, as a shell starts it.
type demoRun struct {
	t     *testing.T
	dir   string
	cmd   *exec.Cmd
	ended <-chan struct{}
	out   *lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

const guestKernel = "../../build/guest-kernel"

// built is the directory of both binaries, made by the first test that needs them.
var built struct {
	sync.Once
	dir string
	err error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if built.dir != "" {
		_ = os.RemoveAll(built.dir)
	}
	os.Exit(code)
}

// binaries builds bolide and bolide-demo.
func binaries(t *testing.T) string {
	t.Helper()
	built.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "demo"); built.err != nil {
			return
		}
		out, err := exec.Command("go", "build", "-o", built.dir, "bolide/cmd/bolide", "bolide/cmd/bolide-demo").CombinedOutput()
		if err != nil {
			built.err = fmt.Errorf("build: %w: %s", err, out)
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return built.dir
}

func needMachine(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("it boots guests")
	}
	if os.Geteuid() != 0 {
		t.Skip("namespaces need root")
	}
	if _, err := os.Stat(guestKernel + "/complete"); err != nil {
		t.Skip("the guests' kernel is not unpacked: .ci/deps openstack")
	}
	for _, tool := range []string{"libvirtd", "qemu-system-x86_64", "/usr/lib/rabbitmq/bin/rabbitmq-server", "syslinux", "mcopy"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(err)
		}
	}
}

func start(t *testing.T, bin string, args ...string) *demoRun {
	t.Helper()
	kernel, err := filepath.Abs(guestKernel)
	if err != nil {
		t.Fatal(err)
	}
	r := &demoRun{t: t, dir: filepath.Join(t.TempDir(), "demo"), out: &lockedBuffer{}}
	all := append([]string{"--dir", r.dir, "--bolide", filepath.Join(bin, "bolide"), "--kernel", kernel}, args...)
	r.cmd = exec.Command(filepath.Join(bin, "bolide-demo"), all...)
	r.cmd.Stdout, r.cmd.Stderr = r.out, io.MultiWriter(r.out)
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if r.ended, err = child.Start(r.cmd); err != nil {
		t.Fatal(err)
	}
	return r
}

// end waits for the program and returns its status.
func (r *demoRun) end(limit time.Duration) int {
	r.t.Helper()
	select {
	case <-r.ended:
		return r.cmd.ProcessState.ExitCode()
	case <-time.After(limit):
		_ = r.cmd.Process.Kill()
		<-r.ended
		r.t.Fatalf("it did not end within %s:\n%s", limit, r.out)
		return -1
	}
}

// says waits until the program has printed text.
func (r *demoRun) says(text string) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	for tick := time.NewTicker(20 * time.Millisecond); ; {
		if strings.Contains(r.out.String(), text) {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			r.t.Fatalf("it never said %q:\n%s", text, r.out)
		}
	}
}

// leavesNothing looks for processes that work in the program's directory, and for
// what is in it.
func (r *demoRun) leavesNothing() {
	r.t.Helper()
	commands, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		r.t.Fatal(err)
	}
	for _, path := range commands {
		line, err := os.ReadFile(path)
		if err == nil && bytes.Contains(line, []byte(r.dir)) {
			r.t.Errorf("left running: %s", bytes.ReplaceAll(line, []byte{0}, []byte{' '}))
		}
	}
	entries, err := os.ReadDir(r.dir)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != "log" && e.Name() != "lock" {
			r.t.Errorf("left: %s", filepath.Join(r.dir, e.Name()))
		}
	}
}

// links of this machine's own.
func links(t *testing.T) string {
	t.Helper()
	names, err := filepath.Glob("/sys/class/net/*")
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(names)
}

func TestTheWholeStory(t *testing.T) {
	needMachine(t)
	before := links(t)
	r := start(t, binaries(t))
	if code := r.end(5 * time.Minute); code != 0 {
		log, _ := os.ReadFile(filepath.Join(r.dir, "log", "bolide.log"))
		t.Fatalf("exit status %d:\n%s\n%s", code, r.out, log)
	}
	for _, text := range []string{
		"demo is ACTIVE on node1, with address 10.77.0.", "guest: ready", "pass, serving", "it is ACTIVE again", "image demo-snapshot has",
		"the guest still answers", "knows 1 guest", "no file and no link of it is left", "That was a guest's life",
	} {
		if !strings.Contains(r.out.String(), text) {
			t.Errorf("it did not say %q", text)
		}
	}
	if t.Failed() {
		t.Log(r.out)
	}
	r.leavesNothing()
	if after := links(t); after != before {
		t.Logf("links before: %s", before) // others may make some meanwhile
	}
}

func TestInterruptedItLeavesNothing(t *testing.T) {
	needMachine(t)
	bin := binaries(t)
	for _, at := range []string{"libvirt", "guest: ready"} {
		t.Run(at, func(t *testing.T) {
			r := start(t, bin)
			r.says(at)
			if err := syscall.Kill(-r.cmd.Process.Pid, syscall.SIGINT); err != nil { // as Ctrl-C does
				t.Fatal(err)
			}
			if code := r.end(time.Minute); code == 0 {
				t.Error("it ended as if nothing had happened")
			}
			r.leavesNothing()
		})
	}
}

func TestVerbs(t *testing.T) {
	needMachine(t)
	bin := binaries(t)
	up := start(t, bin, "up")
	verb := func(args ...string) string {
		t.Helper()
		r := start(t, bin, append([]string{"--dir", up.dir}, args...)...)
		code := r.end(3 * time.Minute)
		if code != 0 {
			t.Fatalf("%v: exit status %d:\n%s", args, code, r.out)
		}
		return r.out.String()
	}
	t.Cleanup(func() { _ = exec.Command(filepath.Join(bin, "bolide-demo"), "--dir", up.dir, "down").Run() })
	if code := up.end(3 * time.Minute); code != 0 {
		t.Fatalf("up: exit status %d:\n%s", code, up.out)
	}
	for _, step := range []struct {
		args string
		says string
	}{
		{"boot web", "web is ACTIVE"}, {"list", "web"}, {"show web", "ACTIVE"}, {"stop web", "web is SHUTOFF"}, {"start web", "web is ACTIVE"},
		{"reboot web", "web is ACTIVE"}, {"snapshot web", "image web-snapshot has"}, {"console web", ""}, {"status", "1 instance"},
		{"exec virsh --connect qemu:///system list --name", "instance-00000001"}, {"delete web", "web is gone"},
	} {
		if out := verb(strings.Fields(step.args)...); !strings.Contains(out, step.says) {
			t.Errorf("%s: %q does not say %q", step.args, out, step.says)
		}
	}
	verb("down")
	up.leavesNothing()
}
