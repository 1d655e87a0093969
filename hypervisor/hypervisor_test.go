package hypervisor

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"go.uber.org/goleak"

	"bolide/test/virt"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// patience is how long tests wait for what should come soon.
const patience = 30 * time.Second

func testLog(t testing.TB) *logrus.Entry {
	l := logrus.New()
	l.SetOutput(io.Discard)
	if testing.Verbose() {
		l.SetOutput(os.Stderr)
		l.SetLevel(logrus.DebugLevel)
	}
	return l.WithField("test", t.Name())
}

// connect starts a Host on a daemon, with emulated guests, for the length of the test.
func connect(t testing.TB, d *virt.Daemon, o Options) *Host {
	t.Helper()
	o.URI, o.VirtType, o.Log = d.URI(), "qemu", testLog(t)
	h := New(o)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Run: %v", err)
		}
	})
	if err := h.WaitReady(within(t, patience)); err != nil {
		t.Fatal(err)
	}
	return h
}

// within is a context for something that should take no longer.
func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// define makes a guest known to the daemon.
func define(t testing.TB, h *Host, d *virt.Daemon, o virt.GuestOptions) virt.Guest {
	t.Helper()
	g := d.NewGuest(t, o)
	if err := h.Define(within(t, patience), g.XML); err != nil {
		t.Fatal(err)
	}
	return g
}

// boot defines and starts a guest and waits until it runs.
func boot(t testing.TB, h *Host, d *virt.Daemon, o virt.GuestOptions) virt.Guest {
	t.Helper()
	g := define(t, h, d, o)
	if err := h.Start(within(t, patience), g.UUID, StartOptions{}); err != nil {
		t.Fatal(err)
	}
	g.WaitConsole(t, virt.Banner)
	return g
}

// expect reads events until one of the kind comes and returns it.
func expect(t testing.TB, events <-chan Event, kind Kind) Event {
	t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case e := <-events:
			if e.Kind == kind {
				return e
			}
		case <-deadline:
			t.Fatalf("no event %q in %s", kind, patience)
		}
	}
}

// waitFor waits until something holds.
func waitFor(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no %s in %s", what, patience)
		}
	}
}

// TestNotRunning: without Run a call fails, it does not hang.
func TestNotRunning(t *testing.T) {
	h := New(Options{URI: "qemu:///none", Grace: 10 * time.Millisecond, Log: testLog(t)})
	if _, err := h.Guests(within(t, patience)); !errors.Is(err, ErrUnavailable) {
		t.Errorf("guests: %v", err)
	}
	if s := h.State(); s.Up || s.Err == "" {
		t.Errorf("state: %+v", s)
	}
}

// TestEnded: after Run a call fails, it does not hang.
func TestEnded(t *testing.T) {
	d := virt.Start(t)
	h := New(Options{URI: d.URI(), Grace: 10 * time.Millisecond, Log: testLog(t)})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	if err := h.WaitReady(within(t, patience)); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Run: %v", err)
	}
	if _, err := h.Guests(within(t, patience)); !errors.Is(err, ErrUnavailable) {
		t.Errorf("guests: %v", err)
	}
	if _, err := h.Facts(within(t, patience)); !errors.Is(err, ErrUnavailable) {
		t.Errorf("facts: %v", err)
	}
}

// TestNoServer: a libvirtd that is not there is reported once, in words.
func TestNoServer(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "none")
	h := New(Options{URI: "qemu+unix:///system?socket=" + socket, Grace: 10 * time.Millisecond, Log: testLog(t)})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	waitFor(t, "reason", func() bool { return strings.Contains(h.State().Err, socket) })
	if err := h.Start(within(t, patience), "u", StartOptions{}); !errors.Is(err, ErrUnavailable) ||
		!strings.Contains(err.Error(), socket) {
		t.Errorf("start: %v", err)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Run: %v", err)
	}
}
