package hypervisor

import (
	"fmt"
	"sync"
	"time"

	"libvirt.org/go/libvirt"
)

// loop is libvirt's event loop. libvirt has one for the whole process and allows
// one thread to run it, so every Host of the process shares it: this is the
// package's only variable, and it holds what libvirt holds anyway.
var loop eventLoop

type eventLoop struct {
	mu         sync.Mutex
	registered bool
	users      int
	quit       chan struct{} // closed to end the goroutine
	done       chan struct{} // closed when it has ended
}

// loopPause is how long the loop rests after a failure.
const loopPause = 100 * time.Millisecond

// use starts the event loop if it does not run. Connections must be opened after it
// and closed before the function returned is called, which ends the loop with its
// last user.
func (e *eventLoop) use() (func(), error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.registered {
		if err := libvirt.EventRegisterDefaultImpl(); err != nil {
			return nil, fmt.Errorf("libvirt: register event loop: %w", err)
		}
		e.registered = true
	}
	if e.users == 0 {
		e.quit, e.done = make(chan struct{}), make(chan struct{})
		go run(e.quit, e.done)
	}
	e.users++
	return sync.OnceFunc(e.leave), nil
}

// leave ends the loop with its last user.
func (e *eventLoop) leave() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.users--; e.users > 0 {
		return
	}
	close(e.quit)
	// A timer that is due makes the loop come out of its poll.
	_, _ = libvirt.EventAddTimeout(0, func(timer int) { _ = libvirt.EventRemoveTimeout(timer) })
	<-e.done
}

// run turns the loop until quit is closed.
func run(quit <-chan struct{}, done chan<- struct{}) {
	defer close(done)
	for {
		select {
		case <-quit:
			return
		default:
		}
		if err := libvirt.EventRunDefaultImpl(); err != nil { // poll failed, as without memory
			select {
			case <-quit:
				return
			case <-time.After(loopPause):
			}
		}
	}
}
