package agent

import (
	"context"
	"fmt"
	"sort"
	"strings"
	"sync"
)

// eventKey names one external event that an operation waits for.
type eventKey struct {
	Instance string
	Name     string // "network-vif-plugged", …
	Tag      string // the port's, volume's or target's id
}

// waiters hands the external events that Neutron, Cinder and the API send to the operations that wait for them.
// An operation expects its events before it causes them, so none can be missed. Its methods are safe for
// concurrent use.
type waiters struct {
	mu    sync.Mutex
	byKey map[eventKey]*expectation
}

func newWaiters() *waiters { return &waiters{byKey: map[eventKey]*expectation{}} }

// expectation is a set of events that one operation waits for.
type expectation struct {
	from *waiters

	count int // how many events were expected at first

	// guarded by from.mu
	open   map[eventKey]bool
	failed []eventKey
	done   chan struct{} // closed when nothing is open any more
}

// expect registers the keys. A key that another operation expects already is taken over from it: the instance's
// queue lets only one operation run, so the older one has gone.
func (w *waiters) expect(keys ...eventKey) *expectation {
	w.mu.Lock()
	defer w.mu.Unlock()
	e := &expectation{from: w, count: len(keys), open: map[eventKey]bool{}, done: make(chan struct{})}
	for _, k := range keys {
		e.open[k] = true
		w.byKey[k] = e
	}
	if len(keys) == 0 {
		close(e.done)
	}
	return e
}

// deliver gives an event to who waits for it and reports whether anyone did.
func (w *waiters) deliver(k eventKey, status string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	e := w.byKey[k]
	if e == nil {
		return false
	}
	delete(w.byKey, k)
	delete(e.open, k)
	if status != "completed" {
		e.failed = append(e.failed, k)
	}
	if len(e.open) == 0 {
		close(e.done)
	}
	return true
}

// drop fails every expectation of the instance; a delete has made them pointless.
func (w *waiters) drop(instance string) {
	w.mu.Lock()
	var keys []eventKey
	for k := range w.byKey {
		if k.Instance == instance {
			keys = append(keys, k)
		}
	}
	w.mu.Unlock()
	for _, k := range keys {
		w.deliver(k, "dropped")
	}
}

// wait returns nil when all events have come, an error naming the failed ones when a sender reported failure, or
// the cause of ctx's end naming those that never came. It forgets the expectation.
func (e *expectation) wait(ctx context.Context) error {
	defer e.forget()
	select {
	case <-e.done:
		e.from.mu.Lock()
		defer e.from.mu.Unlock()
		if len(e.failed) > 0 {
			return fmt.Errorf("%s reported as failed", tags(e.failed))
		}
		return nil
	case <-ctx.Done():
		e.from.mu.Lock()
		defer e.from.mu.Unlock()
		missing := make([]eventKey, 0, len(e.open))
		for k := range e.open {
			missing = append(missing, k)
		}
		return fmt.Errorf("%s did not come: %w", tags(missing), context.Cause(ctx))
	}
}

// expected reports whether any event was expected, come or not.
func (e *expectation) expected() bool { return e != nil && e.count > 0 }

// forget stops waiting; events that come later find nobody.
func (e *expectation) forget() {
	e.from.mu.Lock()
	defer e.from.mu.Unlock()
	for k := range e.open {
		if e.from.byKey[k] == e {
			delete(e.from.byKey, k)
		}
	}
}

func tags(keys []eventKey) string {
	names := make([]string, len(keys))
	for i, k := range keys {
		names[i] = k.Name + " for " + k.Tag
	}
	sort.Strings(names)
	return strings.Join(names, ", ")
}
