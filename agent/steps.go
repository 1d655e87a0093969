package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
)

// undoLimit bounds the undoing of one step, so that a service that is away cannot hold an instance for ever.
const undoLimit = 2 * time.Minute

// step is one part of an operation. Do measures, then acts, and may be repeated. Undo takes back what Do did,
// wholly or in part, and finds nothing to do where Do never ran.
type step struct {
	name string
	do   func(context.Context) error
	undo func(context.Context) error // nil: nothing to take back

	beside []step // run at the same time as this one; the step ends when all have
}

// stepError says which step failed.
type stepError struct {
	Step string
	Err  error
}

func (e *stepError) Error() string { return e.Step + ": " + e.Err.Error() }
func (e *stepError) Unwrap() error { return e.Err }

// undoError is that a failed operation could not be taken back wholly.
type undoError struct{ error }

func (e *undoError) Unwrap() error { return e.error }

// run does the steps in order. When one fails it undoes that one and all before it, last first, each with a
// deadline of its own that a cancelled ctx does not shorten, and returns the failure joined with what could not
// be undone. Nothing is begun that could not be undone for want of file descriptors.
func (t *task) run(ctx context.Context, steps []step) error {
	if err := spareDescriptors(); err != nil {
		return &stepError{Step: steps[0].name, Err: err}
	}
	for i, s := range steps {
		t.reach(s.name, i+1, len(steps))
		began := time.Now()
		err := t.obstructed(s).perform(ctx)
		t.log.WithField("step", s.name).WithField("dur", time.Since(began).Round(time.Millisecond)).Debug("step done")
		if err := withCause(ctx, err); err != nil {
			return errors.Join(err, t.undo(ctx, steps[:i+1]))
		}
	}
	return nil
}

// obstacle says why a step of an operation fails instead of being done; nil if it does not. It is how tests break steps.
type obstacle func(operation, step string) error

// obstructed is the step, and those beside it, with the obstacle in the way.
func (t *task) obstructed(s step) step {
	if t.obstacle == nil {
		return s
	}
	do := s.do
	s.do = func(ctx context.Context) error {
		if err := t.obstacle(t.op.method, s.name); err != nil {
			return err
		}
		return do(ctx)
	}
	beside := make([]step, len(s.beside))
	for i, b := range s.beside {
		beside[i] = t.obstructed(b)
	}
	s.beside = beside
	return s
}

// withCause adds to how something ended why ctx has, if it has: calls that were cut off say only that they were.
func withCause(ctx context.Context, err error) error {
	cause := context.Cause(ctx)
	if cause == nil || errors.Is(err, cause) {
		return err
	}
	return errors.Join(err, cause)
}

// reach tells everyone who follows the operation that its next step begins.
func (t *task) reach(step string, index, steps int) {
	t.entry.Step(step, index, steps)
	t.page.Step(step)
	if t.hooks.Step != nil {
		t.hooks.Step(t.op.method, t.inst.UUID(), step)
	}
}

// perform does the step and those beside it; the first failure cancels the others.
func (s step) perform(ctx context.Context) error {
	if len(s.beside) == 0 {
		return s.attempt(ctx)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.attempt(ctx) })
	for _, b := range s.beside {
		g.Go(func() error { return b.attempt(ctx) })
	}
	return g.Wait()
}

func (s step) attempt(ctx context.Context) error {
	if err := s.do(ctx); err != nil {
		return &stepError{Step: s.name, Err: err}
	}
	return nil
}

// undo takes the steps back, last first, and goes on past failures.
func (t *task) undo(ctx context.Context, steps []step) error {
	var errs []error
	for i := len(steps) - 1; i >= 0; i-- {
		for _, s := range append([]step{steps[i]}, steps[i].beside...) {
			if s.undo == nil {
				continue
			}
			t.reach("undo "+s.name, i+1, len(steps))
			bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoLimit)
			if err := s.undo(bounded); err != nil {
				errs = append(errs, fmt.Errorf("undo %s: %w", s.name, err))
			}
			cancel()
		}
	}
	if err := errors.Join(errs...); err != nil {
		return &undoError{err}
	}
	return nil
}
