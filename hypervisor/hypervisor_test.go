package hypervisor

import (
	"context"
	"errors"
	"io"
	"os"
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
