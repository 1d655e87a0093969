package hypervisor

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"libvirt.org/go/libvirt"
)

// call names what is asked of libvirt and how long it may take.
type call struct {
	op    string
	guest string        // UUID, empty for a question about the host
	limit time.Duration // 0 = CallTimeout
	force bool          // goes ahead though another call hangs for the guest
	link  *link         // the shared connection, when the call is made on it
}

// hungGuestLimit is how long a question about a guest may take for which another call hangs.
const hungGuestLimit = 5 * time.Second

// unlimited is the limit of calls that take as long as their context allows.
const unlimited time.Duration = -1

// none is the result of calls that have no other.
type none struct{}

// bounded runs f on a goroutine of its own and waits for it as long as the context
// allows. When it is given up, f runs on; drop gets what it returns in the end.
func bounded[T any](ctx context.Context, h *Host, c call, f func() (T, error), drop func(T)) (T, error) {
	type result struct {
		value T
		err   error
	}
	var (
		zero   T
		mu     sync.Mutex
		forget func() // set when the call is given up
		done   = make(chan result, 1)
	)
	err := h.spawn(func() {
		var value T
		err := spare()
		if err == nil {
			value, err = f()
		}
		h.answered(err)
		mu.Lock()
		defer mu.Unlock()
		done <- result{value, err}
		if forget != nil {
			forget()
			if err == nil && drop != nil {
				drop(value)
			}
		}
	})
	if err != nil {
		return zero, err
	}
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
	}
	mu.Lock()
	defer mu.Unlock()
	select {
	case r := <-done: // it returned at this very moment
		return r.value, r.err
	default:
		forget = h.hung.add(c)
		if err := ctx.Err(); !errors.Is(err, context.DeadlineExceeded) {
			return zero, err
		}
		return zero, fmt.Errorf("%w: %w", ErrTimeout, context.DeadlineExceeded)
	}
}

// spawn runs f on a goroutine that Run waits for, unless Run is over.
func (h *Host) spawn(f func()) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ended {
		return fmt.Errorf("%w: closed", ErrUnavailable)
	}
	h.calls.Go(f)
	return nil
}

// limited bounds a call's context.
func (h *Host) limited(ctx context.Context, c call) (context.Context, context.CancelFunc) {
	switch {
	case c.limit == unlimited:
		return context.WithCancel(ctx)
	case c.limit == 0:
		return context.WithTimeout(ctx, h.opts.CallTimeout)
	default:
		return context.WithTimeout(ctx, c.limit)
	}
}

// ask puts a question to libvirtd on the shared connection. It must change nothing:
// when the connection breaks it is asked again on the next one.
func ask[T any](ctx context.Context, h *Host, c call, f func(*libvirt.Connect) (T, error)) (T, error) {
	started := time.Now()
	ctx, cancel := h.limited(ctx, c)
	defer cancel()
	value, err := askOnce(ctx, h, c, f)
	if isLost(err) {
		value, err = askOnce(ctx, h, c, f)
	}
	if err := h.outcome(c, err, started); err != nil {
		var zero T
		return zero, err
	}
	return value, nil
}

func askOnce[T any](ctx context.Context, h *Host, c call, f func(*libvirt.Connect) (T, error)) (T, error) {
	var zero T
	if err := h.hung.admit(ctx, ""); err != nil {
		return zero, err
	}
	l, err := h.acquire(ctx)
	if err != nil {
		return zero, err
	}
	value, err := bounded(ctx, h, call{op: c.op, link: l}, func() (T, error) {
		defer h.release(l)
		return f(l.conn)
	}, nil)
	if isLost(err) {
		h.leave(l) // or the next question would be put to it again
	}
	return value, err
}

// askGuest puts a question about one guest to libvirtd. Where a call hangs for the guest, libvirtd may hold the guest's
// lock, and this question hangs as well: it is not waited for as long again.
func askGuest[T any](ctx context.Context, h *Host, c call, f func(*libvirt.Domain) (T, error)) (T, error) {
	if c.limit == 0 && h.hung.has(c.guest) {
		c.limit = min(hungGuestLimit, h.opts.CallTimeout)
	}
	return ask(ctx, h, c, func(conn *libvirt.Connect) (T, error) { return withGuest(ctx, conn, c.guest, f) })
}

// act does something with a guest on a connection of its own. After ErrTimeout or
// ErrUnavailable it may have happened nevertheless.
func act[T any](ctx context.Context, h *Host, c call, f func(*libvirt.Domain) (T, error)) (T, error) {
	return actHost(ctx, h, c, func(ctx context.Context, conn *libvirt.Connect) (T, error) {
		return withGuest(ctx, conn, c.guest, f)
	})
}

// actHost does something on a connection of its own.
func actHost[T any](ctx context.Context, h *Host, c call, f func(context.Context, *libvirt.Connect) (T, error)) (T, error) {
	var zero T
	started := time.Now()
	ctx, cancel := h.limited(ctx, c)
	defer cancel()
	value, err := func() (T, error) {
		if err := h.awaitSoon(ctx, func(*link) {}); err != nil {
			return zero, err
		}
		gate := c.guest
		if c.force {
			gate = ""
		}
		if err := h.hung.admit(ctx, gate); err != nil {
			return zero, err
		}
		return bounded(ctx, h, c, func() (T, error) {
			conn, err := h.open()
			if err != nil {
				return zero, err
			}
			defer conn.Close()
			if ctx.Err() != nil { // given up while libvirtd hung: it must not happen now
				return zero, ctx.Err()
			}
			return f(ctx, conn)
		}, nil)
	}()
	if err := h.outcome(c, err, started); err != nil {
		return zero, err
	}
	return value, nil
}

// outcome makes an Error of what a call came to, and lets Called hear of it.
func (h *Host) outcome(c call, err error, started time.Time) error {
	took := time.Since(started)
	err = newError(c, err, took)
	h.opts.Called(c.op, took, err)
	return err
}

// do is act for what has no result.
func (h *Host) do(ctx context.Context, c call, f func(*libvirt.Domain) error) error {
	_, err := act(ctx, h, c, func(d *libvirt.Domain) (none, error) { return none{}, f(d) })
	return err
}

// withGuest looks a guest up for f and frees it afterwards.
func withGuest[T any](ctx context.Context, conn *libvirt.Connect, uuid string, f func(*libvirt.Domain) (T, error)) (T, error) {
	var zero T
	d, err := conn.LookupDomainByUUIDString(uuid)
	if err != nil {
		return zero, err
	}
	defer free(d)
	if ctx.Err() != nil { // given up while libvirtd hung: it must not happen now
		return zero, ctx.Err()
	}
	return f(d)
}

// free gives a handle back. That fails only for what is no handle.
func free(handle interface{ Free() error }) { _ = handle.Free() }

// answered notes that libvirt said something, even if it was no.
func (h *Host) answered(err error) {
	var lv libvirt.Error
	if err != nil && (!errors.As(err, &lv) || connectionLost(lv)) {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.state.LastSuccess = time.Now()
}
