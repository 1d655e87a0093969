package resources

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// Everybody who asks while one works is served by one more round, and gets its error.
func TestRoundsAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRounds()
		var worked atomic.Int32
		failure := errors.New("failure")
		hold := make(chan struct{})
		var all sync.WaitGroup
		all.Go(func() {
			if err := r.do(t.Context(), func() error { worked.Add(1); <-hold; return nil }); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		for range 10 {
			all.Go(func() {
				if err := r.do(t.Context(), func() error { worked.Add(1); return failure }); !errors.Is(err, failure) {
					t.Errorf("got %v", err)
				}
			})
		}
		synctest.Wait()
		if n := worked.Load(); n != 1 {
			t.Errorf("%d rounds at a time", n)
		}
		close(hold)
		all.Wait()
		if n := worked.Load(); n != 2 {
			t.Errorf("%d rounds for 11 callers, want 2", n)
		}
	})
}

// A leader that is cancelled, waiting or working, does not take the others with it.
func TestRoundsOutliveTheirLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRounds()
		if err := r.take(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() {
			if err := r.do(ctx, func() error { t.Error("worked"); return nil }); !errors.Is(err, context.Canceled) {
				t.Errorf("the leader got %v", err)
			}
		})
		synctest.Wait()
		var worked atomic.Int32
		all.Go(func() {
			if err := r.do(t.Context(), func() error { worked.Add(1); return nil }); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		cancel()
		synctest.Wait()
		r.release()
		all.Wait()
		if worked.Load() != 1 {
			t.Error("the second caller's work was not done")
		}
	})
}

func TestRoundsWaitNoLongerThanAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRounds()
		hold := make(chan struct{})
		var all sync.WaitGroup
		for range 2 { // one works, one leads the next round
			all.Go(func() {
				if err := r.do(t.Context(), func() error { <-hold; return nil }); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := r.do(ctx, func() error { return nil }); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		close(hold)
		all.Wait()
	})
}
