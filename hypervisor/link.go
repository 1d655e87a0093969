package hypervisor

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"libvirt.org/go/libvirt"
)

const (
	keepAliveCount = 5                      // unanswered messages that end a connection
	lateCalls      = 3                      // calls given up that end a connection: libvirtd serves five at a time
	minBackoff     = 100 * time.Millisecond // between attempts to connect
	maxBackoff     = 2 * time.Second        // libvirtd is on this host: asking it often costs nobody else
	drainTimeout   = 3 * time.Second        // how long Run waits for calls when it ends
)

// link is the shared connection while it stands.
type link struct {
	conn      *libvirt.Connect
	callbacks []int         // registered for events
	lost      chan error    // libvirt says why it closed the connection; buffered
	tired     chan struct{} // closed when too many calls were given up
	tire      func()

	mu   sync.Mutex
	refs int // the owner and the calls in flight
	late int // calls given up that have not returned
}

// overdue counts calls given up on the link.
func (l *link) overdue(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.late += n; l.late == lateCalls {
		l.tire()
	}
}

// Run keeps the connection to libvirt until ctx ends, whose error it returns. It is
// to be called once.
func (h *Host) Run(ctx context.Context) error {
	leave, err := loop.use()
	if err != nil {
		return err
	}
	defer leave()
	defer h.drain()
	backoff := minBackoff
	for ctx.Err() == nil {
		l, err := h.connect(ctx)
		if err != nil {
			h.markDown(err)
			sleep(ctx, backoff/2+rand.N(backoff))
			backoff = min(2*backoff, maxBackoff)
			continue
		}
		backoff = minBackoff
		h.markUp(l)
		err = h.watch(ctx, l)
		h.markDown(err)
		h.disconnect(l)
	}
	return ctx.Err()
}

// connect opens the shared connection and registers for events.
func (h *Host) connect(ctx context.Context) (*link, error) {
	c := call{op: "connect"}
	ctx, cancel := h.limited(ctx, c)
	defer cancel()
	started := time.Now()
	if err := h.hung.admit(ctx, ""); err != nil {
		return nil, newError(c, err, time.Since(started))
	}
	l, err := bounded(ctx, h, c, h.openLink, func(l *link) { h.closeLink(l) })
	return l, newError(c, err, time.Since(started))
}

func (h *Host) openLink() (*link, error) {
	// Without libvirt's own keep-alive messages: where many calls wait on one connection, libvirt 9.0 crashes the process
	// when they end it. watch asks instead.
	conn, err := libvirt.NewConnect(h.opts.URI)
	if err != nil {
		return nil, err
	}
	l := &link{conn: conn, refs: 1, lost: make(chan error, 1), tired: make(chan struct{})}
	l.tire = sync.OnceFunc(func() { close(l.tired) })
	err = conn.RegisterCloseCallback(func(_ *libvirt.Connect, reason libvirt.ConnectCloseReason) {
		l.lose(closeReason(reason))
	})
	if err == nil || isCode(err, libvirt.ERR_NO_SUPPORT) { // drivers inside the process have nothing to close
		err = h.register(l)
	}
	if err != nil {
		h.closeLink(l)
		return nil, err
	}
	return l, nil
}

// open opens a connection for one call, which a dead libvirtd ends.
func (h *Host) open() (*libvirt.Connect, error) {
	conn, err := libvirt.NewConnect(h.opts.URI)
	if err != nil {
		return nil, err
	}
	seconds := max(1, int(h.opts.KeepAlive/time.Second))
	if err := conn.SetKeepAlive(seconds, keepAliveCount); err != nil && !isCode(err, libvirt.ERR_NO_SUPPORT) {
		return nil, errors.Join(err, closeConn(conn))
	}
	return conn, nil
}

func closeConn(conn *libvirt.Connect) error {
	_, err := conn.Close()
	return err
}

// watch returns when the link is no longer good, and why.
func (h *Host) watch(ctx context.Context, l *link) error {
	tick := time.NewTicker(h.opts.KeepAlive)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-l.lost:
			return err
		case <-l.tired:
			return fmt.Errorf("%w: %d calls on the connection were given up", ErrTimeout, lateCalls)
		case <-tick.C:
			if err := h.probe(ctx, l); err != nil {
				return err
			}
		}
	}
}

// probe asks libvirtd something that it can always answer.
func (h *Host) probe(ctx context.Context, l *link) error {
	c := call{op: "ask version", link: l, limit: keepAliveCount * h.opts.KeepAlive}
	ctx, cancel := h.limited(ctx, c)
	defer cancel()
	started := time.Now()
	l.hold()
	_, err := bounded(ctx, h, c, func() (uint32, error) {
		defer h.release(l)
		return l.conn.GetLibVersion()
	}, nil)
	return newError(c, err, time.Since(started))
}

// disconnect gives the owner's hold on a link up, without waiting for libvirtd. Run
// has not ended yet, so that it is done.
func (h *Host) disconnect(l *link) {
	if err := h.spawn(func() { h.closeLink(l) }); err != nil {
		h.log.WithError(err).Error("libvirt connection left open")
	}
}

// closeLink takes back the callbacks, each of which holds the connection.
func (h *Host) closeLink(l *link) {
	for _, id := range l.callbacks {
		_ = l.conn.DomainEventDeregister(id) // gone here even if libvirtd no longer answers
	}
	_ = l.conn.UnregisterCloseCallback()
	h.release(l)
}

// acquire waits for the link to be up, for Grace at most, and holds it.
func (h *Host) acquire(ctx context.Context) (*link, error) {
	var l *link
	err := h.awaitSoon(ctx, func(up *link) {
		l = up
		l.hold()
	})
	return l, err
}

// awaitSoon waits for the link to be up for Grace at most.
func (h *Host) awaitSoon(ctx context.Context, use func(*link)) error {
	grace := time.NewTimer(h.opts.Grace)
	defer grace.Stop()
	return h.await(ctx, grace.C, use)
}

// await waits for the link to be up, at most until tooLate. It calls use under the
// lock that keeps the link.
func (h *Host) await(ctx context.Context, tooLate <-chan time.Time, use func(*link)) error {
	for {
		h.mu.Lock()
		l, up, reason := h.link, h.up, h.state.Err
		if l != nil {
			use(l)
			h.mu.Unlock()
			return nil
		}
		h.mu.Unlock()
		select {
		case <-up:
		case <-tooLate:
			return fmt.Errorf("%w: %s", ErrUnavailable, reason)
		case <-ctx.Done():
			return fmt.Errorf("%w: %s: %w", ErrUnavailable, reason, ctx.Err())
		}
	}
}

// leave makes later calls wait for the next link, and Run close this one.
func (h *Host) leave(l *link) {
	h.mu.Lock()
	if h.link == l {
		h.link, h.up = nil, make(chan struct{})
	}
	h.mu.Unlock()
	l.lose("connection broken")
}

// lose tells Run that the link is lost. It never blocks: the event loop calls it.
func (l *link) lose(reason string) {
	select {
	case l.lost <- fmt.Errorf("%w: %s", ErrUnavailable, reason):
	default: // it has been told
	}
}

func (l *link) hold() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refs++
}

// release lets a link go. The last one closes the connection, for which libvirtd is
// asked: only goroutines that may hang call it.
func (h *Host) release(l *link) {
	l.mu.Lock()
	l.refs--
	last := l.refs == 0
	l.mu.Unlock()
	if !last {
		return
	}
	if err := closeConn(l.conn); err != nil {
		h.log.WithError(err).Debug("libvirt connection closed badly")
	}
}

// markUp declares the link good and tells subscribers to look at everything anew.
func (h *Host) markUp(l *link) {
	h.mu.Lock()
	h.link = l
	h.state.Up, h.state.Since, h.state.Err = true, time.Now(), ""
	h.warned = false
	close(h.up)
	h.mu.Unlock()
	h.log.WithField("uri", h.opts.URI).Info("libvirt is connected")
	h.events.publish(Event{Kind: EventResync, Time: time.Now()})
}

// markDown notes why there is no link, and logs when that is news.
func (h *Host) markDown(err error) {
	h.mu.Lock()
	if h.state.Up {
		h.state.Up, h.state.Since = false, time.Now()
	}
	if h.link != nil {
		h.link, h.up = nil, make(chan struct{})
	}
	h.state.Err = reason(err)
	news := !h.warned && !errors.Is(err, context.Canceled)
	h.warned = h.warned || news
	h.mu.Unlock()
	if errors.Is(err, ErrUnavailable) { // the next libvirtd may be another one
		h.facts.forget()
	}
	if news {
		h.log.WithError(err).WithField("uri", h.opts.URI).Warn("libvirt is not connected, trying again")
	}
}

// reason is what an error says beyond that libvirt is unavailable.
func reason(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Message
	}
	return strings.TrimPrefix(err.Error(), ErrUnavailable.Error()+": ")
}

// drain ends the taking of calls and waits for those in flight, but not for long:
// some may hang.
func (h *Host) drain() {
	h.mu.Lock()
	h.ended = true
	h.mu.Unlock()
	done := make(chan struct{})
	go func() {
		h.calls.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(drainTimeout):
		h.log.WithField("calls", h.hung.count()).Warn("libvirt calls left hanging")
	}
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

func closeReason(r libvirt.ConnectCloseReason) string {
	switch r {
	case libvirt.CONNECT_CLOSE_REASON_ERROR:
		return "connection closed by an error"
	case libvirt.CONNECT_CLOSE_REASON_EOF:
		return "libvirtd closed the connection"
	case libvirt.CONNECT_CLOSE_REASON_KEEPALIVE:
		return "libvirtd does not answer keep-alive messages"
	case libvirt.CONNECT_CLOSE_REASON_CLIENT:
		return "closed by us"
	}
	return "connection closed"
}
