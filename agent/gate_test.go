package agent

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

func TestAGateLetsSoManyThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		g := newGate(2)
		var passed atomic.Int64
		enter := func() {
			if g.Acquire(ctx, 1) == nil {
				passed.Add(1)
			}
		}
		for range 5 {
			go enter()
		}
		expect := func(what string, want int64) {
			t.Helper()
			synctest.Wait()
			if n := passed.Load(); n != want {
				t.Errorf("%s: %d are through, want %d", what, n, want)
			}
		}
		expect("of 5 with a limit of 2", 2)
		g.Release(1)
		expect("after one left", 3)
		g.SetLimit(3)
		expect("after the limit was raised", 4)
		g.SetLimit(1)
		g.Release(1)
		expect("after it was lowered and one left", 4)
		cancel(errShutdown)
		expect("after the others gave up", 4)
		if err := g.Acquire(ctx, 1); !errors.Is(err, errShutdown) {
			t.Errorf("a gate that is full says %v, want the cause", err)
		}
		g.SetLimit(0)
		if err := g.Acquire(ctx, 100); err != nil {
			t.Errorf("a gate without a limit: %v", err)
		}
	})
}
