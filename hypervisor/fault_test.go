package hypervisor

import (
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"bolide/test/virt"
)

// recovery is how long after libvirtd's return everything must be as before.
const recovery = 5 * time.Second

// waitLink waits until the link is up or down.
func waitLink(t *testing.T, h *Host, up bool, limit time.Duration) {
	t.Helper()
	for deadline := time.Now().Add(limit); h.State().Up != up; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("link is not up=%v after %s: %+v", up, limit, h.State())
		}
	}
}

// checkRecovered lets things happen after libvirtd has come back: calls succeed,
// subscribers are told to look at everything, and then see events again.
func checkRecovered(t *testing.T, h *Host, events <-chan Event, g virt.Guest) {
	t.Helper()
	start := time.Now()
	ctx := within(t, recovery)
	if err := h.WaitReady(ctx); err != nil {
		t.Fatal(err)
	}
	if one, err := h.Guest(ctx, g.UUID); err != nil || one.State != Running {
		t.Fatalf("guest after return of libvirtd: %+v, %v", one, err)
	}
	expect(t, events, EventResync)
	if err := h.Suspend(ctx, g.UUID); err != nil {
		t.Fatal(err)
	}
	expect(t, events, EventSuspended)
	if err := h.Resume(ctx, g.UUID); err != nil {
		t.Fatal(err)
	}
	expect(t, events, EventResumed)
	if took := time.Since(start); took > recovery {
		t.Errorf("recovery took %s", took)
	} else {
		t.Logf("recovered in %s", took.Round(time.Millisecond))
	}
}

// drainEvents forgets the events so far.
func drainEvents(events <-chan Event) {
	for len(events) > 0 {
		<-events
	}
}

func TestRecovery(t *testing.T) {
	d := virt.Start(t)
	h := connect(t, d, Options{})
	events, unsubscribe := h.Subscribe()
	defer unsubscribe()
	g := boot(t, h, d, virt.GuestOptions{})

	for _, test := range []struct {
		name string
		end  func() error
	}{
		{"stop", d.Stop},
		{"kill", func() error { d.Kill(); return nil }},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := test.end(); err != nil {
				t.Fatal(err)
			}
			waitLink(t, h, false, recovery)
			if s := h.State(); s.Err == "" || time.Since(s.Since) > recovery {
				t.Errorf("state: %+v", s)
			}
			drainEvents(events)
			if err := d.Launch(); err != nil {
				t.Fatal(err)
			}
			checkRecovered(t, h, events, g)
		})
	}
	t.Run("restart while questions are asked", func(t *testing.T) {
		drainEvents(events)
		var wg sync.WaitGroup
		stop := make(chan struct{})
		for range 2 { // libvirt 9.0's client can crash where many threads wait on one connection that breaks (CVE-2024-4418)
			wg.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					if _, err := h.Guests(within(t, patience)); err != nil {
						t.Errorf("question during restart: %v", err)
						return
					}
				}
			})
		}
		err := d.Restart()
		close(stop)
		wg.Wait()
		if err != nil {
			t.Fatal(err)
		}
		checkRecovered(t, h, events, g)
	})
}

// TestUnavailable: without libvirtd a call fails after Grace and says what is wrong.
func TestUnavailable(t *testing.T) {
	d := virt.Start(t)
	h := connect(t, d, Options{Grace: 300 * time.Millisecond})
	g := define(t, h, d, virt.GuestOptions{})
	if err := d.Stop(); err != nil {
		t.Fatal(err)
	}
	waitLink(t, h, false, recovery)
	started := time.Now()
	for name, err := range map[string]error{
		"question": func() error { _, err := h.Guest(within(t, patience), g.UUID); return err }(),
		"action":   h.Start(within(t, patience), g.UUID, StartOptions{}),
	} {
		if !errors.Is(err, ErrUnavailable) || !strings.HasPrefix(err.Error(), "libvirt: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if took := time.Since(started); took > recovery {
		t.Errorf("calls took %s", took)
	}
}

// TestFrozenDaemon: every call returns in time, nothing given up happens later.
func TestFrozenDaemon(t *testing.T) {
	d := virt.Start(t)
	patient := connect(t, d, Options{})
	running := boot(t, patient, d, virt.GuestOptions{})
	idle := define(t, patient, d, virt.GuestOptions{})
	h := connect(t, d, Options{CallTimeout: 2 * time.Second, KeepAlive: time.Minute})
	events, unsubscribe := h.Subscribe()
	defer unsubscribe()
	if err := d.Freeze(); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			_, err := h.Guest(within(t, patience), running.UUID)
			checkTimeout(t, err)
		})
		wg.Go(func() {
			checkTimeout(t, h.Start(within(t, patience), idle.UUID, StartOptions{}))
		})
	}
	wg.Wait()
	if n := h.State().Hung; n == 0 {
		t.Error("no call counts as hanging")
	}
	drainEvents(events)
	if err := d.Thaw(); err != nil {
		t.Fatal(err)
	}
	checkRecovered(t, h, events, running)
	for deadline := time.Now().Add(patience); h.State().Hung > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d calls still hang", h.State().Hung)
		}
	}
	if g, err := h.Guest(within(t, patience), idle.UUID); err != nil || g.State != Shutoff {
		t.Errorf("a start that was given up happened later: %+v, %v", g, err)
	}
}

func checkTimeout(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, ErrTimeout) && !errors.Is(err, ErrUnavailable) || !strings.HasPrefix(err.Error(), "libvirt: ") {
		t.Errorf("call to a frozen libvirtd: %v", err)
	}
}

// TestKeepAlive: a frozen libvirtd is found without any call.
func TestKeepAlive(t *testing.T) {
	t.Parallel()
	d := virt.Start(t)
	h := connect(t, d, Options{KeepAlive: time.Second})
	events, unsubscribe := h.Subscribe()
	defer unsubscribe()
	g := boot(t, h, d, virt.GuestOptions{})
	drainEvents(events)
	if err := d.Freeze(); err != nil {
		t.Fatal(err)
	}
	waitLink(t, h, false, 2*(keepAliveCount+1)*time.Second)
	if err := d.Thaw(); err != nil {
		t.Fatal(err)
	}
	checkRecovered(t, h, events, g)
}

// TestHungGuest: a guest whose monitor hangs delays nobody else, holds one thread
// at most, and can still be destroyed.
func TestHungGuest(t *testing.T) {
	t.Parallel()
	d := virt.Start(t)
	patient := connect(t, d, Options{})
	hung := boot(t, patient, d, virt.GuestOptions{})
	other := boot(t, patient, d, virt.GuestOptions{})
	h := connect(t, d, Options{CallTimeout: 2 * time.Second})
	if err := d.FreezeGuest(hung); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := h.Suspend(within(t, patience), hung.UUID); !errors.Is(err, ErrTimeout) {
			t.Fatalf("suspend of a hung guest: %v", err)
		}
	}
	if n := h.State().Hung; n != 1 {
		t.Errorf("%d calls hang", n)
	}
	started := time.Now()
	ctx := within(t, patience)
	if err := errors.Join(h.Suspend(ctx, other.UUID), h.Resume(ctx, other.UUID)); err != nil {
		t.Errorf("another guest: %v", err)
	}
	if guests, err := h.Guests(ctx); err != nil || len(guests) != 2 {
		t.Errorf("guests: %+v, %v", guests, err)
	}
	if took := time.Since(started); took > 2*time.Second { // the CallTimeout
		t.Errorf("other calls took %s", took)
	}
	if err := h.Destroy(ctx, hung.UUID); err != nil {
		t.Fatal(err)
	}
	if g, err := h.Guest(ctx, hung.UUID); err != nil || g.State != Shutoff {
		t.Errorf("hung guest after destroy: %+v, %v", g, err)
	}
	if err := patient.Start(ctx, hung.UUID, StartOptions{}); err != nil {
		t.Errorf("start after destroy: %v", err)
	}
}

// TestQuestionsAboutAHungGuest: after a call that hangs for a guest, questions about it are given up sooner.
func TestQuestionsAboutAHungGuest(t *testing.T) {
	d := virt.Start(t)
	h := connect(t, d, Options{CallTimeout: time.Minute})
	g := boot(t, h, d, virt.GuestOptions{})
	if err := d.Freeze(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Thaw(); err != nil {
			t.Error(err)
		}
	})
	if err := h.Suspend(within(t, time.Second), g.UUID); err == nil {
		t.Fatal("a frozen libvirtd answers")
	}
	began := time.Now()
	if _, err := h.Guest(within(t, time.Minute), g.UUID); !errors.Is(err, ErrTimeout) {
		t.Errorf("a question about the guest: %v", err)
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("it is given up after %s", took)
	}
}

// TestReconnectsLeaveNothing: connections that broke are closed here too.
func TestReconnectsLeaveNothing(t *testing.T) {
	d := virt.Start(t)
	h := connect(t, d, Options{})
	g := boot(t, h, d, virt.GuestOptions{})
	cycle := func() {
		d.Kill()
		waitLink(t, h, false, recovery)
		if err := d.Launch(); err != nil {
			t.Fatal(err)
		}
		ctx := within(t, patience)
		if err := h.WaitReady(ctx); err != nil {
			t.Fatal(err)
		}
		if _, err := h.Stats(ctx, g.UUID); err != nil {
			t.Fatal(err)
		}
	}
	cycle() // what is opened once is open now
	before := openFiles(t)
	for range 10 {
		cycle()
	}
	waitFor(t, "closing of connections", func() bool { return openFiles(t) <= before })
}

// TestNoDescriptors: without file descriptors a call fails, and the process lives; when there are some again the next
// one is answered.
func TestNoDescriptors(t *testing.T) {
	d := virt.Start(t)
	h := connect(t, d, Options{})
	g := boot(t, h, d, virt.GuestOptions{})
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	limit := func(n uint64) {
		t.Helper()
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: n, Max: before.Max}); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { limit(before.Cur) })
	free, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(free)
	limit(uint64(free)) // the lowest: no other can be had
	for what, call := range map[string]func() error{
		"a question": func() error { _, err := h.Stats(within(t, patience), g.UUID); return err },
		"an action":  func() error { return h.Suspend(within(t, patience), g.UUID) },
	} {
		if err := call(); !errors.Is(err, unix.EMFILE) {
			t.Errorf("%s without file descriptors: %v", what, err)
		}
	}
	limit(before.Cur)
	if _, err := h.Stats(within(t, patience), g.UUID); err != nil {
		t.Error(err)
	}
}

// openFiles counts this process's file descriptors.
func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
