// Package periodic runs tasks again and again, each at its own pace.
//
// [Run] owns one goroutine per task and returns when they have ended. Tasks do not wait for each other; one task
// never overlaps itself. A failing task is tried again at its next turn and logged once per change of outcome.
package periodic

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sync/errgroup"
)

// Task is something to be done again and again.
type Task struct {
	Name     string        // in logs; required
	Interval time.Duration // from one end to the next start; 0 or less: never
	Limit    time.Duration // how long one run may take; 0: no limit
	AtStart  bool          // the first run comes at once instead of after the delay
	Do       func(ctx context.Context) error
}

// Options of a [Run].
type Options struct {
	// Delay bounds the random wait before the first runs, so that the nodes of a cloud that were started together
	// do not all ask at once.
	Delay time.Duration
	Log   *logrus.Entry // required
}

// Run runs the tasks until ctx ends.
func Run(ctx context.Context, o Options, tasks ...Task) error {
	var g errgroup.Group
	for _, t := range tasks {
		if t.Interval <= 0 {
			continue
		}
		g.Go(func() error {
			t.loop(ctx, o)
			return nil
		})
	}
	return g.Wait()
}

func (t Task) loop(ctx context.Context, o Options) {
	log := o.Log.WithField("task", t.Name)
	first := t.Interval
	if o.Delay > 0 {
		first = rand.N(o.Delay)
	}
	if t.AtStart {
		first = 0
	}
	timer := time.NewTimer(first)
	defer timer.Stop()
	var last error
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		err := t.attempt(ctx)
		if ctx.Err() != nil {
			return
		}
		switch {
		case err != nil && last == nil:
			log.WithError(err).Warn("periodic task failed; it will be tried again")
		case err == nil && last != nil:
			log.Info("periodic task works again")
		}
		last = err
		timer.Reset(t.Interval)
	}
}

// attempt runs the task once. A panic is its error: one broken task does not end the node.
func (t Task) attempt(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	if t.Limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, t.Limit)
		defer cancel()
	}
	return t.Do(ctx)
}
