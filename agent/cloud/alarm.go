package cloud

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// alarm cancels a transfer that stands still, which no deadline for the whole of
// it could: an image takes seconds or hours. Safe for concurrent use.
type alarm struct {
	after  time.Duration
	cancel context.CancelCauseFunc

	mu    sync.Mutex
	timer *time.Timer // nil once stopped
	rang  error
}

// newAlarm returns a context that ends when nothing moves for that long, and
// the alarm, which is running and must be stopped.
func newAlarm(ctx context.Context, after time.Duration) (context.Context, *alarm) {
	ctx, cancel := context.WithCancelCause(ctx)
	a := &alarm{after: after, cancel: cancel}
	a.timer = time.AfterFunc(after, a.ring)
	return ctx, a
}

func (a *alarm) ring() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.rang = fmt.Errorf("nothing was transferred for %s", a.after)
	a.cancel(a.rang)
}

// reset gives the transfer that long from now on.
func (a *alarm) reset(after time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.timer != nil {
		a.timer.Reset(after)
	}
}

// pause lets the transfer rest for as long as it likes.
func (a *alarm) pause() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.timer != nil {
		a.timer.Stop()
	}
}

// stop releases the context.
func (a *alarm) stop() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.timer != nil {
		a.timer.Stop()
		a.timer = nil
	}
	a.cancel(nil)
}

// cause prefers the alarm's own reason to the bare "canceled" that a reader
// sees.
func (a *alarm) cause(err error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil && !errors.Is(err, io.EOF) && a.rang != nil {
		return a.rang
	}
	return err
}

// download watches an answer's body on its way.
type download struct {
	io.ReadCloser
	alarm *alarm
}

// Read waits for the network no longer than the alarm allows. Between two reads
// the alarm rests: a slow disk behind the reader is no fault of the service.
func (d *download) Read(p []byte) (int, error) {
	d.alarm.reset(d.alarm.after)
	n, err := d.ReadCloser.Read(p)
	d.alarm.pause()
	return n, d.alarm.cause(err)
}

func (d *download) Close() error {
	defer d.alarm.stop()
	return d.ReadCloser.Close()
}
