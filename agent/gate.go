package agent

import (
	"context"
	"sync"
)

// gate lets so many through at a time; how many may change while it is used. Its methods are safe for concurrent use.
type gate struct {
	mu      sync.Mutex
	limit   int64 // 0: all
	inside  int64
	changed chan struct{} // closed and replaced when somebody may get through
}

func newGate(limit int) *gate {
	g := &gate{changed: make(chan struct{})}
	g.SetLimit(limit)
	return g
}

// SetLimit lets n through from now on; 0 or less is all. Those inside stay.
func (g *gate) SetLimit(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.limit = int64(max(n, 0))
	g.wakeLocked()
}

// Acquire waits for n places, or until ctx ends, whose error it then returns.
func (g *gate) Acquire(ctx context.Context, n int64) error {
	for {
		g.mu.Lock()
		if g.limit == 0 || g.inside+n <= g.limit {
			g.inside += n
			g.mu.Unlock()
			return nil
		}
		changed := g.changed
		g.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Release gives n places back.
func (g *gate) Release(n int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside -= n
	g.wakeLocked()
}

func (g *gate) wakeLocked() {
	close(g.changed)
	g.changed = make(chan struct{})
}
