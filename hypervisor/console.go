package hypervisor

import (
	"context"
	"io"
	"sync"
	"time"

	"libvirt.org/go/libvirt"
)

// wouldBlock is what libvirt answers where a stream has nothing to give, or no room.
const wouldBlock = -2

// ConsoleOptions says how a guest's console is opened.
type ConsoleOptions struct {
	Force bool // take it from who has it; else that is an error
}

// Console is a guest's first console, opened for reading and writing, on a
// connection of its own. Its methods may be called concurrently; Close ends a Read
// and a Write that wait.
type Console struct {
	host   *Host
	conn   *libvirt.Connect
	stream *libvirt.Stream

	calls              sync.RWMutex  // read-held during a call on the stream, written once it is freed
	readable, writable chan struct{} // the event loop tells; of one place
	closed             chan struct{}
	close              func() // closes closed, once

	mu     sync.Mutex // held for moments only: the event loop takes it
	freed  bool
	events libvirt.StreamEventType // waited for
}

var _ io.ReadWriteCloser = (*Console)(nil)

// OpenConsole opens a guest's first console, which must be a pty. libvirt refuses
// one that somebody has open.
func (h *Host) OpenConsole(ctx context.Context, uuid string, o ConsoleOptions) (*Console, error) {
	flags := libvirt.DOMAIN_CONSOLE_SAFE
	if o.Force {
		flags = libvirt.DOMAIN_CONSOLE_FORCE
	}
	c := call{op: "open console of", guest: uuid}
	started := time.Now()
	ctx, cancel := h.limited(ctx, c)
	defer cancel()
	err := h.awaitSoon(ctx, func(*link) {})
	if err == nil {
		err = h.hung.admit(ctx, uuid)
	}
	if err != nil {
		return nil, h.outcome(c, err, started)
	}
	console, err := bounded(ctx, h, c,
		func() (*Console, error) { return h.openConsole(ctx, uuid, flags) },
		func(late *Console) { _ = late.Close() })
	return console, h.outcome(c, err, started)
}

func (h *Host) openConsole(ctx context.Context, uuid string, flags libvirt.DomainConsoleFlags) (*Console, error) {
	conn, err := h.open()
	if err != nil {
		return nil, err
	}
	c := &Console{
		host: h, conn: conn, closed: make(chan struct{}),
		readable: make(chan struct{}, 1), writable: make(chan struct{}, 1),
	}
	c.close = sync.OnceFunc(func() { close(c.closed) })
	if c.stream, err = conn.NewStream(libvirt.STREAM_NONBLOCK); err != nil {
		_ = closeConn(conn)
		return nil, err
	}
	_, err = withGuest(ctx, conn, uuid, func(d *libvirt.Domain) (none, error) {
		return none{}, d.OpenConsole("", c.stream, flags)
	})
	if err == nil {
		err = c.stream.EventAddCallback(0, func(_ *libvirt.Stream, e libvirt.StreamEventType) { c.happened(e) })
	}
	if err != nil {
		c.free()
		return nil, err
	}
	return c, nil
}

// Read returns what the guest wrote, and waits for it; io.EOF when the guest is off
// or the console is closed.
func (c *Console) Read(p []byte) (int, error) {
	return c.transfer(c.stream.Recv, p, libvirt.STREAM_EVENT_READABLE, c.readable)
}

// Write sends what somebody types. It waits while the guest does not read.
func (c *Console) Write(p []byte) (sent int, err error) {
	for sent < len(p) && err == nil {
		var n int
		n, err = c.transfer(c.stream.Send, p[sent:], libvirt.STREAM_EVENT_WRITABLE, c.writable)
		sent += n
	}
	return sent, err
}

// transfer calls f until it does not block any more.
func (c *Console) transfer(f func([]byte) (int, error), p []byte, event libvirt.StreamEventType, told <-chan struct{}) (int, error) {
	for {
		n, err := c.try(f, p, event)
		if n != wouldBlock {
			return n, err
		}
		select {
		case <-told:
		case <-c.closed:
			return 0, io.EOF
		}
	}
}

// try calls f once, and asks to be told where it would block.
func (c *Console) try(f func([]byte) (int, error), p []byte, event libvirt.StreamEventType) (int, error) {
	c.calls.RLock()
	defer c.calls.RUnlock()
	select {
	case <-c.closed:
		return 0, io.EOF
	default:
	}
	n, err := f(p)
	if n == wouldBlock {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.events |= event | libvirt.STREAM_EVENT_ERROR | libvirt.STREAM_EVENT_HANGUP
		err = c.stream.EventUpdateCallback(c.events)
		if err != nil {
			n = 0
		}
	}
	return n, err
}

// happened passes on what the event loop says. What happened is not waited for any
// more: libvirt would say it again and again.
func (c *Console) happened(e libvirt.StreamEventType) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.freed {
		return
	}
	if e&(libvirt.STREAM_EVENT_ERROR|libvirt.STREAM_EVENT_HANGUP) != 0 {
		e |= libvirt.STREAM_EVENT_READABLE | libvirt.STREAM_EVENT_WRITABLE // both will find out
	}
	c.events &^= e
	_ = c.stream.EventUpdateCallback(c.events) // a stream that is broken says so when it is read
	if e&libvirt.STREAM_EVENT_READABLE != 0 {
		wake(c.readable)
	}
	if e&libvirt.STREAM_EVENT_WRITABLE != 0 {
		wake(c.writable)
	}
}

func wake(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default: // told already
	}
}

// Close gives the console back. It does not wait for libvirtd, which may hang.
func (c *Console) Close() error {
	c.close()
	return c.host.spawn(func() {
		c.calls.Lock() // waits for a call on the stream
		defer c.calls.Unlock()
		c.free()
	})
}

// free ends the stream and its connection, once.
func (c *Console) free() {
	c.mu.Lock()
	if c.freed {
		c.mu.Unlock()
		return
	}
	c.freed = true
	_ = c.stream.EventRemoveCallback() // fails where there was none
	c.mu.Unlock()
	_ = c.stream.Abort() // fails where it has ended already
	_ = c.stream.Free()
	_ = closeConn(c.conn)
}
