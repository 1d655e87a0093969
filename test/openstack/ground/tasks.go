package ground

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
)

// task is a part of the bring-up that starts as soon as the tasks it comes
// after are done.
type task struct {
	name  string
	after []string
	run   func(ctx context.Context) error
}

// runTasks runs all tasks, side by side where their order allows it, and
// returns the first error. done is called after each success, by several
// goroutines at once.
func runTasks(ctx context.Context, tasks []task, done func(name string, took time.Duration)) error {
	finished := make(map[string]chan struct{}, len(tasks))
	for _, t := range tasks {
		// Only earlier tasks count, so that no cycle can be written down.
		for _, a := range t.after {
			if finished[a] == nil {
				return fmt.Errorf("task %s comes after %s, which is not before it", t.name, a)
			}
		}
		finished[t.name] = make(chan struct{})
	}
	g, ctx := errgroup.WithContext(ctx)
	for _, t := range tasks {
		g.Go(func() error {
			for _, a := range t.after {
				select {
				case <-finished[a]:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			start := time.Now()
			if err := t.run(ctx); err != nil {
				return fmt.Errorf("%s: %w", t.name, err)
			}
			done(t.name, time.Since(start))
			close(finished[t.name])
			return nil
		})
	}
	return g.Wait()
}
