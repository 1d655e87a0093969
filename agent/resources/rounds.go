package resources

import (
	"context"
	"sync"
)

// rounds lets one caller at a time do a work that serves everybody who asked before it began. Who asks while a round is
// being done shares the next one with all others who do: a burst of builds tells the control plane twice, not once each.
type rounds struct {
	turn chan struct{} // of capacity 1: full while somebody works

	mu   sync.Mutex
	next *round // has a leader and has not begun; nil: the next caller leads
}

type round struct {
	done      chan struct{} // closed when the round has ended
	err       error
	abandoned bool // its leader was cancelled, which says nothing about the others' work
}

func newRounds() *rounds { return &rounds{turn: make(chan struct{}, 1)} }

// do returns when a round of work that began after the call has ended. Work gets no context: it is the leader's own.
func (r *rounds) do(ctx context.Context, work func() error) error {
	for {
		r.mu.Lock()
		joined := r.next
		if joined == nil {
			led := &round{done: make(chan struct{})}
			r.next = led
			r.mu.Unlock()
			return r.lead(ctx, led, work)
		}
		r.mu.Unlock()
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-joined.done:
			if !joined.abandoned {
				return joined.err
			}
		}
	}
}

func (r *rounds) lead(ctx context.Context, led *round, work func() error) error {
	defer close(led.done)
	err := r.take(ctx)
	r.mu.Lock()
	r.next = nil
	r.mu.Unlock()
	if err != nil {
		led.abandoned = true
		return err
	}
	defer r.release()
	led.err = work()
	led.abandoned = ctx.Err() != nil
	return led.err
}

// take waits until nobody works; release must follow.
func (r *rounds) take(ctx context.Context) error {
	select {
	case r.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (r *rounds) release() { <-r.turn }
