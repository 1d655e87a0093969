package cloud

import (
	"sync"
	"time"
)

// LinkState tells how the calls to one service have gone. A refusal by the
// service (not found, conflict, …) counts as success: it answered.
type LinkState struct {
	// Name is image, network, placement, volume or key.
	Name string
	// Up is whether the last call was answered; false before the first.
	Up bool
	// Since is when Up last changed; zero before the first call.
	Since time.Time
	// LastSuccess and LastFailure are zero if there was none.
	LastSuccess, LastFailure time.Time
	// Err is the last failure's text while Up is false.
	Err string
}

type tracker struct {
	now func() time.Time

	mu    sync.Mutex
	state LinkState
}

func (t *tracker) snapshot() LinkState {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.state
}

func (t *tracker) succeeded() {
	now := t.now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.state.Up {
		t.state.Up, t.state.Since = true, now
	}
	t.state.LastSuccess, t.state.Err = now, ""
}

func (t *tracker) failed(err error) {
	now := t.now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.state.Up || t.state.Since.IsZero() {
		t.state.Up, t.state.Since = false, now
	}
	t.state.LastFailure, t.state.Err = now, err.Error()
}
