package disk

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// confined runs a shell the way qemu-img is run.
func confined(t *testing.T, tool *Tool, j job) (string, error) {
	t.Helper()
	if j.limits == (Limits{}) {
		j.limits = tool.opts.Inspect
	}
	out, err := tool.run(context.Background(), j)
	return string(out), err
}

func TestSandbox(t *testing.T) {
	tool := newTool(t)
	if !tool.sandbox.landlock {
		t.Skip("the kernel offers no Landlock")
	}
	dir := t.TempDir()
	secret, named := filepath.Join(dir, "secret"), filepath.Join(dir, "named")
	for _, p := range []string{secret, named} {
		if err := os.WriteFile(p, []byte("content"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct {
		name, script string
		works        bool
	}{
		{"reads what is named", "cat " + named, true},
		{"reads nothing else", "cat " + secret, false},
		{"not even the system's settings", "cat /etc/passwd", false},
		{"does not write what is only to be read", "echo >> " + named, false},
		{"makes no file", "echo > " + filepath.Join(dir, "new"), false},
		{"removes no file", "rm -f " + secret, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			out, err := confined(t, tool, job{argv: []string{"sh", "-c", tc.script}, reads: []string{named}})
			if (err == nil) != tc.works {
				t.Errorf("%q: %q, %v", tc.script, out, err)
			}
		})
	}
	if b, err := os.ReadFile(secret); err != nil || string(b) != "content" {
		t.Errorf("the file outside is %q, %v", b, err)
	}
	if _, err := confined(t, tool, job{argv: []string{"sh", "-c", "echo >> " + named}, writes: []string{named}}); err != nil {
		t.Errorf("a named file cannot be written: %v", err)
	}
}

func TestSandboxAsRoot(t *testing.T) {
	tool := newTool(t)
	if s := tool.sandbox; !s.landlock || !s.otherUser || !s.namespaces {
		t.Skip("needs root and Landlock")
	}
	out, err := confined(t, tool, job{argv: []string{"sh", "-c", "id -u; id -G; grep -c : /proc/net/dev; ulimit -v; ulimit -t"},
		reads: []string{"/proc"}})
	if err != nil {
		t.Fatal(err)
	}
	// The new network namespace has a loopback and nothing else.
	if want := "65534\n65534\n1\n1048576\n30\n"; out != want {
		t.Errorf("got %q, want %q", out, want)
	}
	out, err = confined(t, tool, job{argv: []string{"sh", "-c", "grep -E 'Cap(Eff|Prm)|NoNewPrivs' /proc/self/status"},
		reads: []string{"/proc"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"CapPrm:\t0000000000000002", "CapEff:\t0000000000000002", "NoNewPrivs:\t1"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in %q", want, out)
		}
	}
}

func TestLimits(t *testing.T) {
	tool := newTool(t)
	out := filepath.Join(t.TempDir(), "out")
	if err := os.WriteFile(out, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		job  job
	}{
		{"output", job{argv: []string{"dd", "if=/dev/urandom", "of=" + out, "bs=1M", "count=4"}, writes: []string{out},
			limits: tool.opts.Inspect, output: 1 << 20}},
		{"processor time", job{argv: []string{"sh", "-c", "while :; do :; done"},
			limits: Limits{AddressSpace: 1 << 30, CPU: time.Second, Timeout: time.Minute}}},
		{"time", job{argv: []string{"sleep", "60"},
			limits: Limits{AddressSpace: 1 << 30, CPU: time.Second, Timeout: 50 * time.Millisecond}}},
		{"memory", job{argv: []string{"dd", "if=/dev/zero", "of=/dev/null", "bs=64M", "count=1"},
			limits: Limits{AddressSpace: 32 << 20, CPU: time.Second, Timeout: time.Minute}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			start := time.Now()
			_, err := confined(t, tool, tc.job)
			var tool *ErrTool
			if !errors.As(err, &tool) {
				t.Errorf("not stopped: %v", err)
			}
			if took := time.Since(start); took > 20*time.Second {
				t.Errorf("stopped after %s", took)
			}
		})
	}
	if st, err := os.Stat(out); err != nil || st.Size() > 1<<20 {
		t.Errorf("%d bytes were written", st.Size())
	}
}

func TestCancelKillsTheCommand(t *testing.T) {
	tool := newTool(t)
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		_, err := tool.run(ctx, job{argv: []string{"sh", "-c", "echo started >" + pipe + "; exec sleep 600 >" + pipe},
			writes: []string{pipe}, limits: Limits{1 << 30, time.Minute, time.Hour}})
		done <- err
	}()
	r, err := os.Open(pipe)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := io.ReadFull(r, make([]byte, len("started\n"))); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	// The pipe ends when nobody has it open any more: the command is gone.
	if _, err := io.Copy(io.Discard, r); err != nil {
		t.Error(err)
	}
}

// TestHeavyWorkIsIdleClass asks the kernel in which class commands and copies do their I/O.
func TestHeavyWorkIsIdleClass(t *testing.T) {
	out, err := confined(t, newTool(t), job{argv: []string{"ionice", "-p", "0"}})
	if err != nil || out != "idle\n" {
		t.Errorf("commands: %q, %v", out, err)
	}
	err = Background(func() error {
		class, _, errno := unix.Syscall(unix.SYS_IOPRIO_GET, ioprioSelf, 0, 0)
		if errno != 0 || class != ioprioIdle {
			t.Errorf("copies: class %#x, %v", class, errno)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestSlots(t *testing.T) {
	tool := newTool(t, func(o *Options) { o.MaxConcurrent = 2 })
	first, err1 := tool.Slot(t.Context())
	_, err2 := tool.Slot(t.Context())
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := tool.Slot(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("a third at once: %v", err)
	}
	first()
	if _, err := tool.Slot(t.Context()); err != nil {
		t.Error(err)
	}
}
