package ground

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// recorder notes the order in which tasks run.
type recorder struct {
	mu  sync.Mutex
	ran []string
}

func (r *recorder) task(name string, after ...string) task {
	return task{name, after, func(context.Context) error {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.ran = append(r.ran, name)
		return nil
	}}
}

func ignore(string, time.Duration) {}

func TestTasksKeepTheirOrder(t *testing.T) {
	var r recorder
	err := runTasks(t.Context(), []task{r.task("a"), r.task("b", "a"), r.task("c"), r.task("d", "b", "c")}, ignore)
	if err != nil {
		t.Fatal(err)
	}
	for _, before := range [][2]string{{"a", "b"}, {"b", "d"}, {"c", "d"}} {
		first, second := slices.Index(r.ran, before[0]), slices.Index(r.ran, before[1])
		if first < 0 || first >= second {
			t.Errorf("%s did not run before %s: %v", before[0], before[1], r.ran)
		}
	}
}

func TestTasksRunSideBySide(t *testing.T) {
	met := make(chan struct{})
	err := runTasks(t.Context(), []task{
		{"waits", nil, func(ctx context.Context) error {
			select {
			case <-met:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}},
		{"comes", nil, func(context.Context) error { close(met); return nil }},
	}, ignore)
	if err != nil {
		t.Fatal(err)
	}
}

func TestFailedTaskStopsTheRest(t *testing.T) {
	broken := errors.New("broken")
	var r recorder
	err := runTasks(t.Context(), []task{
		{"fails", nil, func(context.Context) error { return broken }},
		r.task("never", "fails"),
		{"stops", nil, func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }},
	}, ignore)
	if !errors.Is(err, broken) || !strings.HasPrefix(err.Error(), "fails: ") {
		t.Errorf("error %v, want that of fails", err)
	}
	if len(r.ran) > 0 {
		t.Errorf("%v ran", r.ran)
	}
}

func TestTaskAfterOneThatIsNotBefore(t *testing.T) {
	var r recorder
	for _, tasks := range [][]task{
		{r.task("a", "b"), r.task("b", "a")},
		{r.task("a", "a")},
		{r.task("a", "unknown")},
	} {
		if err := runTasks(t.Context(), tasks, ignore); err == nil {
			t.Errorf("%v: no error", tasks)
		}
	}
	if len(r.ran) > 0 {
		t.Errorf("%v ran", r.ran)
	}
}
