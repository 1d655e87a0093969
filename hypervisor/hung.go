package hypervisor

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// hungCalls remembers calls that were given up and have not returned: each holds a
// thread here and a worker in libvirtd, so there must not be many.
type hungCalls struct {
	limit int

	mu     sync.Mutex
	total  int
	guests map[string]*hungCall // by UUID
}

// hungCall is the latest call that hangs for a guest.
type hungCall struct {
	op    string
	since time.Time
	done  chan struct{} // closed when it returns
}

func newHungCalls(limit int) *hungCalls {
	return &hungCalls{limit: limit, guests: map[string]*hungCall{}}
}

func (h *hungCalls) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.total
}

// has reports whether a call hangs for the guest.
func (h *hungCalls) has(guest string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.guests[guest] != nil
}

// admit waits until no call hangs for the guest, and refuses when too many hang in
// all. An empty guest is about no guest in particular.
func (h *hungCalls) admit(ctx context.Context, guest string) error {
	for {
		h.mu.Lock()
		total, hung := h.total, h.guests[guest]
		h.mu.Unlock()
		if total >= h.limit {
			return fmt.Errorf("%w: %d calls hang", ErrUnavailable, total)
		}
		if guest == "" || hung == nil {
			return nil
		}
		select {
		case <-hung.done:
		case <-ctx.Done():
			return fmt.Errorf("call to %s hangs since %s: %w", hung.op,
				hung.since.Format(time.TimeOnly), ctx.Err())
		}
	}
}

// add remembers a call that was given up; the function returned forgets it.
func (h *hungCalls) add(c call) func() {
	if c.link != nil {
		c.link.overdue(1)
	}
	hung := &hungCall{op: c.op, since: time.Now(), done: make(chan struct{})}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.total++
	if c.guest != "" {
		h.guests[c.guest] = hung
	}
	return func() {
		if c.link != nil {
			c.link.overdue(-1)
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		h.total--
		if h.guests[c.guest] == hung {
			delete(h.guests, c.guest)
		}
		close(hung.done)
	}
}
