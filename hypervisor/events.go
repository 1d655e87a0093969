package hypervisor

import (
	"sync"
	"time"
)

// Event is something that libvirt reported of a guest, or a Resync.
type Event struct {
	Kind Kind
	Time time.Time // when it arrived here

	UUID, Name string // of the guest; empty for Resync

	Detail    string // libvirt's word for how or why, as in "destroyed" for EventStopped; may be empty
	Device    string // EventDevice…: alias of the device; EventBlockJob: target of the disk, as in "vda"
	Iteration int    // EventMigrationIteration: which pass over memory begins
	Job       *Job   // EventJobCompleted: the finished job's figures
}

// Kind says what happened.
type Kind string

// Kinds of events. Details are given where they matter; libvirt may add others.
const (
	// EventResync: events may have been missed; whoever follows guests by events must look
	// at all of them. It follows every connect and every overflow of a subscription.
	EventResync Kind = "resync"

	EventDefined     Kind = "defined"
	EventUndefined   Kind = "undefined"
	EventStarted     Kind = "started"      // booted, migrated, restored, from snapshot, wakeup
	EventSuspended   Kind = "suspended"    // paused, migrated, I/O error, watchdog, restored, from snapshot, API error, post-copy, post-copy failed
	EventResumed     Kind = "resumed"      // unpaused, migrated, from snapshot, post-copy, post-copy failed
	EventShutdown    Kind = "shutdown"     // the guest has shut down and EventStopped follows: finished, guest, host
	EventStopped     Kind = "stopped"      // shutdown, destroyed, crashed, migrated, saved, failed, from snapshot
	EventPMSuspended Kind = "pm-suspended" // memory, disk
	EventCrashed     Kind = "crashed"      // panicked, crashloaded
	EventRebooted    Kind = "rebooted"

	EventDeviceRemoved       Kind = "device-removed"
	EventDeviceRemovalFailed Kind = "device-removal-failed"

	EventBlockJob           Kind = "block-job" // ready, completed, failed, cancelled
	EventJobCompleted       Kind = "job-completed"
	EventMigrationIteration Kind = "migration-iteration"

	EventAgentUp   Kind = "agent-up"
	EventAgentDown Kind = "agent-down"
)

// subscriptionSize is how many events a subscriber may leave unread.
const subscriptionSize = 1024

// Subscribe returns a channel of events from now on and a function that ends the
// subscription and closes the channel. A subscriber that does not keep up misses
// events and is told so by a Resync; it never holds up libvirt or other subscribers.
func (h *Host) Subscribe() (<-chan Event, func()) {
	return h.events.subscribe(subscriptionSize)
}

// fanout hands each event to every subscriber. The zero value is ready.
type fanout struct {
	mu   sync.Mutex
	subs map[*subscription]struct{}
}

// subscription is one subscriber's queue. Its last place is kept for a Resync.
type subscription struct {
	events     chan Event
	overflowed bool // the last thing put into the queue is a Resync
}

func (f *fanout) subscribe(size int) (<-chan Event, func()) {
	s := &subscription{events: make(chan Event, size+1)}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.subs == nil {
		f.subs = map[*subscription]struct{}{}
	}
	f.subs[s] = struct{}{}
	return s.events, sync.OnceFunc(func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.subs, s)
		close(s.events)
	})
}

// publish never blocks.
func (f *fanout) publish(e Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for s := range f.subs {
		s.put(e)
	}
}

// put queues an event, or a Resync in its stead when only the last place is free.
// While a Resync is the last in a full queue it stands for all that is dropped: the
// subscriber looks at everything only after it has come to it.
func (s *subscription) put(e Event) {
	switch {
	case len(s.events) < cap(s.events)-1: // only the subscriber changes this meanwhile, and only downwards
		s.overflowed = false
		s.events <- e
	case !s.overflowed:
		s.overflowed = true
		s.events <- Event{Kind: EventResync, Time: e.Time}
	}
}
