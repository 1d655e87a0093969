package rpc

import (
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// relay is a TCP path to the broker that can be cut in several ways.
type relay struct {
	net.Listener
	to string

	mu    sync.Mutex
	hole  bool // swallow everything, without closing
	conns []net.Conn
}

func newRelay(t testing.TB) *relay {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{Listener: l, to: rabbit.Get(t).Addr()}
	go r.accept()
	t.Cleanup(func() { l.Close(); r.cut() })
	return r
}

func (r *relay) accept() {
	for {
		c, err := r.Accept()
		if err != nil {
			return
		}
		up, err := net.Dial("tcp", r.to)
		if err != nil {
			c.Close()
			continue
		}
		r.mu.Lock()
		r.conns = append(r.conns, c, up)
		r.mu.Unlock()
		go r.pipe(c, up)
		go r.pipe(up, c)
	}
}

func (r *relay) pipe(to, from net.Conn) {
	buf := make([]byte, 4096)
	for {
		n, err := from.Read(buf)
		r.mu.Lock()
		hole := r.hole
		r.mu.Unlock()
		if hole {
			io.Copy(io.Discard, from)
			return
		}
		if err != nil {
			to.Close()
			return
		}
		to.Write(buf[:n])
	}
}

func (r *relay) swallow(on bool) {
	r.mu.Lock()
	r.hole = on
	r.mu.Unlock()
}

func (r *relay) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.conns {
		c.Close()
	}
	r.conns = nil
}

// TestHalfOpen has a network that swallows packets on a living connection.
func TestHalfOpen(t *testing.T) {
	r := newRelay(t)
	n := server(t, func(o *Options) { o.TransportURL = "rabbit://guest:guest@" + r.Addr().String() + "/" })
	n.works(t)
	n.logs.Reset()
	r.swallow(true)
	began := time.Now()
	eventually(t, "the link to be down", func() bool { return !n.State().Up })
	if took := time.Since(began); took > proofLimit+2*time.Second {
		t.Errorf("noticed after %s", took)
	}
	r.swallow(false)
	n.up(t)
	n.works(t)
}

// TestTwoHosts loses one of two brokers.
func TestTwoHosts(t *testing.T) {
	one, two := newRelay(t), newRelay(t)
	n := server(t, func(o *Options) {
		o.TransportURL = fmt.Sprintf("rabbit://guest:guest@%s,guest:guest@%s/", one.Addr(), two.Addr())
	})
	n.works(t)
	dead, alive := one, two
	if n.State().Peer == two.Addr().String() {
		dead, alive = two, one
	}
	dead.Close()
	began := time.Now()
	dead.cut()
	eventually(t, "the link to be down", func() bool { return !n.State().Up })
	n.up(t)
	if took := time.Since(began); took > backWithin {
		t.Errorf("back after %s", took)
	}
	n.works(t)
	if s := n.State(); s.Peer != alive.Addr().String() {
		t.Errorf("state %+v, want peer %s", s, alive.Addr())
	}
}
