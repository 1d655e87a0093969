package status

import "time"

// Kinds of Event.
const (
	EventBegin    = "begin"
	EventStep     = "step"
	EventProgress = "progress"
	EventEnd      = "end"
	EventLost     = "lost" // events were dropped because the watcher was slow
)

// Event is a change on the Board.
type Event struct {
	Kind      string     `json:"kind"`
	Time      time.Time  `json:"time"`
	Operation *Operation `json:"operation,omitempty"`
}

// progressPause is the least time between two progress events of an operation,
// which would otherwise drown the others.
const progressPause = 250 * time.Millisecond

// watcher receives events until it is slow: then they are dropped and Lost is
// told when there is room again.
type watcher struct {
	events   chan Event
	lost     bool
	progress map[uint64]time.Time // when an operation's progress was last told
}

// Watch returns the changes on the board from now on. stop ends it; the channel
// is not closed.
func (b *Board) Watch() (events <-chan Event, stop func()) {
	w := &watcher{events: make(chan Event, 256), progress: map[uint64]time.Time{}}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.watchers[w] = struct{}{}
	return w.events, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.watchers, w)
	}
}

func (b *Board) tellLocked(kind string, op Operation) {
	if len(b.watchers) == 0 {
		return
	}
	now := b.opts.Now()
	op = op.clone()
	for w := range b.watchers {
		w.tell(Event{Kind: kind, Time: now, Operation: &op})
	}
}

func (w *watcher) tell(e Event) {
	switch e.Kind {
	case EventProgress:
		if e.Time.Sub(w.progress[e.Operation.ID]) < progressPause {
			return
		}
		w.progress[e.Operation.ID] = e.Time
	case EventEnd:
		delete(w.progress, e.Operation.ID)
	}
	if w.lost && !w.send(Event{Kind: EventLost, Time: e.Time}) {
		return
	}
	w.lost = !w.send(e)
}

func (w *watcher) send(e Event) bool {
	select {
	case w.events <- e:
		return true
	default:
		return false
	}
}
