package api

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestUntil(t *testing.T) {
	failed, missing := errors.New("failed"), errors.New("still missing")
	for name, c := range map[string]struct {
		doneAt int // of the questions; 0 for never
		end    error
		want   error
		took   time.Duration
	}{
		"at once":     {doneAt: 1, took: 0},
		"at last":     {doneAt: 4, took: 3 * poll},
		"with error":  {doneAt: 2, end: failed, want: failed, took: poll},
		"not in time": {want: missing, took: time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start, asked := time.Now(), 0
				err := Until(t.Context(), time.Minute, func(context.Context) (bool, error) {
					if asked++; asked == c.doneAt {
						return true, c.end
					}
					return false, missing
				})
				if !errors.Is(err, c.want) || time.Since(start) != c.took {
					t.Errorf("error %v after %s, want %v after %s", err, time.Since(start), c.want, c.took)
				}
			})
		})
	}
}

func TestUntilEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	missing := errors.New("still missing")
	err := Until(ctx, time.Minute, func(context.Context) (bool, error) {
		defer cancel()
		return false, missing
	})
	if !errors.Is(err, missing) {
		t.Errorf("error %v, want %v", err, missing)
	}
}

func TestUntilSaysWhatWasMissingWhenAQuestionIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		missing, asked := errors.New("still missing"), 0
		err := Until(t.Context(), time.Minute, func(ctx context.Context) (bool, error) {
			if asked++; asked == 1 {
				return false, missing
			}
			<-ctx.Done()
			return true, ctx.Err()
		})
		if !errors.Is(err, missing) {
			t.Errorf("error %v, want %v", err, missing)
		}
	})
}
