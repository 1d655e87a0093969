package rpc

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"
)

// shelf keeps requests in memory.
type shelf struct {
	mu   sync.Mutex
	last int
	kept map[int]string
}

func (s *shelf) keep(message []byte) func() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kept == nil {
		s.kept = map[int]string{}
	}
	s.last++
	n := s.last
	s.kept[n] = string(message)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.kept, n)
	}
}

func (s *shelf) messages() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Values(s.kept))
}

// TestRequestsAreKept: casts are kept until they have begun or cannot, and the next
// process has those left, once.
func TestRequestsAreKept(t *testing.T) {
	var s shelf
	taken := make(chan *Request, 8)
	serve := func(n *node) *Server {
		server := n.Serve("compute", echo, Endpoint{Version: "6.0", Methods: map[string]Handler{
			"wait": func(_ context.Context, r *Request) (any, error) { taken <- r; return nil, nil },
			"fail": func(context.Context, *Request) (any, error) { return nil, errors.New("no") },
		}})
		server.KeepRequests(s.keep)
		return server
	}
	n := run(t, nil)
	serve(n).Start()
	p := n.up(t).peer(t)
	cast := func(method, id string) {
		p.send(map[string]any{"method": method, "version": "6.0", "args": map[string]any{}, "_unique_id": id})
	}
	cast("wait", "first")
	first := receive(t, taken)
	cast("wait", "first") // again
	cast("wait", "second")
	second := receive(t, taken)
	cast("fail", "third")
	cast("unknown", "fourth")
	p.call(map[string]any{"method": "echo", "version": "6.0", "args": map[string]any{"value": 1}})
	p.answer()
	eventually(t, "two kept requests", func() bool { return len(s.messages()) == 2 })
	if !first.Kept() || !second.Kept() {
		t.Error("a handler is not told that its request is kept")
	}
	second.Begun()
	left := s.messages()
	if len(left) != 1 {
		t.Fatalf("kept after one of two has begun: %q", left)
	}
	n.stop()

	next := run(t, nil)
	server := serve(next)
	forgotten := make(chan struct{})
	server.TakeUp(t.Context(), []byte(left[0]), func() { close(forgotten) })
	server.Start()
	again := receive(t, taken)
	p = next.up(t).peer(t)
	cast("wait", "first") // the broker had it, too
	p.nothing()
	again.Begun()
	receive(t, forgotten)
	if len(taken) > 0 || again.Method != "wait" || !again.Kept() {
		t.Errorf("taken up: %+v, and %d more", again, len(taken))
	}
}

// TestNotAcknowledgedNotKept: a message that could not be acknowledged comes again, and
// is kept then.
func TestNotAcknowledgedNotKept(t *testing.T) {
	var s shelf
	server := run(t, nil).Serve("compute")
	server.KeepRequests(s.keep)
	m := server.read(&amqp.Delivery{Body: sealEnvelope([]byte(`{"method": "wait", "args": {}, "_unique_id": "u"}`))})
	if got := s.messages(); len(got) != 1 {
		t.Errorf("before its acknowledgement %q is kept", got)
	}
	m.giveBack()
	if got := s.messages(); len(got) != 0 {
		t.Errorf("%q is kept of what comes again", got)
	}
}
