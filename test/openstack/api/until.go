package api

import (
	"context"
	"fmt"
	"time"
)

// poll is how often a wait asks again. It bounds how exactly waits can be timed.
const poll = 100 * time.Millisecond

// Until asks check again and again until it is done, and returns its error then.
// A check that is not done says in its error what is missing; when limit has
// passed, or ctx ends, that is the error of the whole wait.
func Until(ctx context.Context, limit time.Duration, check func(context.Context) (done bool, err error)) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	start := time.Now()
	var missing error
	for {
		done, err := check(ctx)
		cut := err != nil && ctx.Err() != nil && missing != nil // the deadline ended the question
		if done && !cut {
			return err
		}
		if !cut {
			missing = err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("gave up after %s: %w", time.Since(start).Round(poll), missing)
		case <-time.After(poll):
		}
	}
}
