package hypervisor

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"libvirt.org/go/libvirt"
	"pgregory.net/rapid"
)

// TestSubscriptionNeverLosesSilently: whatever the order of publishing and reading,
// what a subscriber misses lies before a Resync that it has yet to read.
func TestSubscriptionNeverLosesSilently(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var f fanout
		size := rapid.IntRange(1, 5).Draw(t, "size")
		events, unsubscribe := f.subscribe(size)
		defer unsubscribe()
		published, seen := 0, 0 // events up to seen are known to the reader
		read := func() {
			switch e := <-events; {
			case e.Kind == EventResync:
				seen = published // it looks at everything now
			case e.Iteration > seen+1:
				t.Fatalf("event %d follows %d", e.Iteration, seen)
			default:
				seen = max(seen, e.Iteration)
			}
		}
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			if rapid.Bool().Draw(t, "publish") {
				published++
				f.publish(Event{Kind: EventMigrationIteration, Iteration: published})
			} else if len(events) > 0 {
				read()
			}
		}
		for len(events) > 0 {
			read()
		}
		if seen != published {
			t.Fatalf("reader knows %d of %d", seen, published)
		}
	})
}

func TestUnsubscribe(t *testing.T) {
	var f fanout
	first, leave := f.subscribe(1)
	second, leaveSecond := f.subscribe(1)
	defer leaveSecond()
	leave()
	leave() // may be repeated
	f.publish(Event{Kind: EventStarted})
	if e, ok := <-first; ok {
		t.Errorf("event %+v after the end of the subscription", e)
	}
	if e := <-second; e.Kind != EventStarted {
		t.Errorf("event %+v", e)
	}
}

func TestHungCalls(t *testing.T) {
	h := newHungCalls(2)
	ctx := context.Background()
	first := h.add(call{op: "start", guest: "a"})
	if err := h.admit(ctx, "b"); err != nil {
		t.Errorf("another guest: %v", err)
	}
	brief, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
	defer cancel()
	if err := h.admit(brief, "a"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the guest whose call hangs: %v", err)
	}
	admitted := make(chan error, 1)
	go func() { admitted <- h.admit(ctx, "a") }()
	first()
	if err := <-admitted; err != nil {
		t.Errorf("after the call returned: %v", err)
	}
	second, third := h.add(call{op: "start", guest: "a"}), h.add(call{op: "ask"})
	if err := h.admit(ctx, "b"); !errors.Is(err, ErrUnavailable) {
		t.Errorf("over the limit: %v", err)
	}
	second()
	third()
	if n := h.count(); n != 0 || len(h.guests) != 0 {
		t.Errorf("%d calls hang, %v", n, h.guests)
	}
}

func TestErrors(t *testing.T) {
	rpcLost := libvirt.Error{Code: libvirt.ERR_INTERNAL_ERROR, Domain: libvirt.FROM_RPC, Message: "client socket is closed"}
	for _, test := range []struct {
		err  error
		kind error
		text string
	}{
		{libvirt.Error{Code: libvirt.ERR_NO_DOMAIN, Message: "Domain not found"}, ErrNotFound,
			"libvirt: start guest u: Domain not found"},
		{libvirt.Error{Code: libvirt.ERR_INTERNAL_ERROR, Domain: libvirt.FROM_QEMU, Message: "boom"}, nil,
			"libvirt: start guest u: boom"},
		{libvirt.Error{Code: libvirt.ERR_INTERNAL_ERROR, Domain: libvirt.FROM_QEMU,
			Message: "Device vdb is already in the process of unplug"}, ErrBusy,
			"libvirt: start guest u: Device vdb is already in the process of unplug"},
		{rpcLost, ErrUnavailable, "libvirt: start guest u: client socket is closed"},
		{fmt.Errorf("%w: %w", ErrTimeout, context.DeadlineExceeded), ErrTimeout,
			"libvirt: start guest u: no answer after 1.5s"},
		{fmt.Errorf("call to reset hangs: %w", context.DeadlineExceeded), ErrTimeout,
			"libvirt: start guest u: call to reset hangs: context deadline exceeded"},
		{fmt.Errorf("%w: no socket", ErrUnavailable), ErrUnavailable, "libvirt: start guest u: unavailable: no socket"},
		{context.Canceled, nil, "libvirt: start guest u: context canceled"},
	} {
		err := newError(call{op: "start", guest: "u"}, test.err, 1500*time.Millisecond)
		if err.Error() != test.text {
			t.Errorf("got %q, want %q", err, test.text)
		}
		var e *Error
		if !errors.As(err, &e) || !errors.Is(e.Kind, test.kind) {
			t.Errorf("%v: kind %v, want %v", err, e.Kind, test.kind)
		}
		if !errors.Is(err, test.err) {
			t.Errorf("%v lost its cause", err)
		}
	}
	if err := newError(call{}, nil, 0); err != nil {
		t.Errorf("no error became %v", err)
	}
}

func TestStates(t *testing.T) {
	for _, test := range []struct {
		state  libvirt.DomainState
		reason int
		want   State
		word   string
	}{
		{libvirt.DOMAIN_RUNNING, int(libvirt.DOMAIN_RUNNING_POSTCOPY), Running, "post-copy"},
		{libvirt.DOMAIN_PAUSED, int(libvirt.DOMAIN_PAUSED_IOERROR), Paused, "I/O error"},
		{libvirt.DOMAIN_PAUSED, int(libvirt.DOMAIN_PAUSED_API_ERROR), Paused, "API error"},
		{libvirt.DOMAIN_SHUTOFF, int(libvirt.DOMAIN_SHUTOFF_DAEMON), Shutoff, "daemon"},
		{libvirt.DOMAIN_CRASHED, int(libvirt.DOMAIN_CRASHED_PANICKED), Crashed, "panicked"},
		{libvirt.DOMAIN_PMSUSPENDED, 0, PMSuspended, ""},
		{libvirt.DOMAIN_RUNNING, 99, Running, "99"},
		{99, 1, NoState, "1"},
	} {
		if state, word := stateOf(test.state, test.reason); state != test.want || word != test.word {
			t.Errorf("%d/%d is %q, %q, not %q, %q", test.state, test.reason, state, word, test.want, test.word)
		}
	}
}

func TestLifecycleDetails(t *testing.T) {
	for _, test := range []struct {
		event  libvirt.DomainEventType
		detail int
		kind   Kind
		word   string
	}{
		{libvirt.DOMAIN_EVENT_STOPPED, int(libvirt.DOMAIN_EVENT_STOPPED_MIGRATED), EventStopped, "migrated"},
		{libvirt.DOMAIN_EVENT_STOPPED, int(libvirt.DOMAIN_EVENT_STOPPED_FROM_SNAPSHOT), EventStopped, "from snapshot"},
		{libvirt.DOMAIN_EVENT_SUSPENDED, int(libvirt.DOMAIN_EVENT_SUSPENDED_POSTCOPY_FAILED), EventSuspended, "post-copy failed"},
		{libvirt.DOMAIN_EVENT_RESUMED, int(libvirt.DOMAIN_EVENT_RESUMED_POSTCOPY), EventResumed, "post-copy"},
		{libvirt.DOMAIN_EVENT_STARTED, int(libvirt.DOMAIN_EVENT_STARTED_WAKEUP), EventStarted, "wakeup"},
		{libvirt.DOMAIN_EVENT_SHUTDOWN, int(libvirt.DOMAIN_EVENT_SHUTDOWN_HOST), EventShutdown, "host"},
		{libvirt.DOMAIN_EVENT_CRASHED, int(libvirt.DOMAIN_EVENT_CRASHED_PANICKED), EventCrashed, "panicked"},
	} {
		l := lifecycles[test.event]
		if l.kind != test.kind || word(l.details, test.detail) != test.word {
			t.Errorf("%d/%d is %s %q", test.event, test.detail, l.kind, word(l.details, test.detail))
		}
	}
}
