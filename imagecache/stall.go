package imagecache

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"time"
)

// errStalled reports a stream that sent nothing for too long.
var errStalled = errors.New("image source sent nothing for too long")

// watchedBody closes a stream, and so ends a read that waits on it, when its context ends or nothing came for the
// timeout. Without it a silent server would hold a build, and a place for disk work, for ever.
type watchedBody struct {
	body    io.ReadCloser
	timeout time.Duration
	timer   *time.Timer
	stalled atomic.Bool
	stop    func() bool // ends the watch on the context
}

func watch(ctx context.Context, body io.ReadCloser, timeout time.Duration) *watchedBody {
	w := &watchedBody{body: body, timeout: timeout}
	w.timer = time.AfterFunc(timeout, func() {
		w.stalled.Store(true)
		w.body.Close()
	})
	w.stop = context.AfterFunc(ctx, func() { w.body.Close() })
	return w
}

func (w *watchedBody) Read(p []byte) (int, error) {
	w.timer.Reset(w.timeout)
	n, err := w.body.Read(p)
	if err != nil && w.stalled.Load() {
		err = errStalled
	}
	return n, err
}

// Close ends the watch and closes the stream.
func (w *watchedBody) Close() error {
	w.timer.Stop()
	w.stop()
	return w.body.Close()
}
