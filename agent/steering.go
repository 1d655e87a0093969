package agent

import (
	"context"
	"errors"
	"sync"
)

// errAborted is why a live migration ends that the user aborted.
var errAborted = errors.New("the migration was aborted")

// stage is how far a departure has come, as far as it matters to who wants to steer it.
type stage int

const (
	stageWaiting stage = iota // for its turn, or for the destination to prepare
	stageRunning              // libvirt is at it
	stageAway                 // the guest runs at the destination while its memory follows
	stageDecided              // there is nothing left to steer
)

// steering lets other operations speak to a departure. Its methods are safe for concurrent use.
type steering struct {
	mu     sync.Mutex
	at     stage
	abort  bool
	force  bool
	notify chan struct{} // something was asked for

	called context.Context // ends when the user aborts what waits
	end    context.CancelCauseFunc
}

func newSteering() *steering {
	called, end := context.WithCancelCause(context.Background()) // ended by askAbort or settle
	return &steering{notify: make(chan struct{}, 1), called: called, end: end}
}

// enter moves on to a stage; not to running when the user has aborted.
func (s *steering) enter(next stage) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if next == stageRunning && s.abort {
		return errAborted
	}
	s.at = next
	return nil
}

// askAbort ends the migration, if it is not too late, and reports whether it will.
func (s *steering) askAbort() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.at >= stageAway {
		return false
	}
	s.abort = true
	if s.at == stageWaiting {
		s.end(errAborted)
	}
	s.wakeLocked()
	return true
}

// askForce makes the migration end soon, at the price of the guest's speed; it reports whether one is under way.
func (s *steering) askForce() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.at != stageRunning && s.at != stageAway {
		return false
	}
	s.force = true
	s.wakeLocked()
	return true
}

func (s *steering) wakeLocked() {
	select {
	case s.notify <- struct{}{}:
	default: // it is awake
	}
}

// wishes takes what was asked for. An abort stands, a force is to be done once.
func (s *steering) wishes() (abort, force bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	force, s.force = s.force, false
	return s.abort, force
}

// departures are the live migrations from this host, by instance. Its methods are safe for concurrent use.
type departures struct {
	mu   sync.Mutex
	byID map[string]*departure
}

func (d *departures) of(instance string) *departure {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.byID[instance]
}

// add takes a departure in; false when the instance has one.
func (d *departures) add(instance string, one *departure) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.byID[instance] != nil {
		return false
	}
	if d.byID == nil {
		d.byID = map[string]*departure{}
	}
	d.byID[instance] = one
	return true
}

func (d *departures) drop(instance string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.byID, instance)
}
