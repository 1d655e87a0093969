package status

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// clock is a time that the test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func TestBoardFollowsAnOperation(t *testing.T) {
	c := &clock{now: began}
	var ended []Operation
	b := NewBoard(BoardOptions{Now: c.Now, Ended: func(op Operation) { ended = append(ended, op) }})
	e := b.Begin(Operation{Name: "build", Instance: "i1", RequestID: "req-1"})
	e.Step("claim", 1, 2)
	c.advance(time.Second)
	e.Step("image", 2, 2)
	e.Progress(3, 10)
	c.advance(2 * time.Second)

	want := Operation{
		ID: 1, Name: "build", Instance: "i1", RequestID: "req-1", Step: "image", StepIndex: 2, Steps: 2, Done: 3, Total: 10,
		Started: began, StepStarted: began.Add(time.Second), History: []StepTime{{"claim", 1, began}},
	}
	if d := cmp.Diff([]Operation{want}, b.Operations()); d != "" {
		t.Error(d)
	}

	e.End(fmt.Errorf("fetch: %w", advice{errors.New("disk full")}))
	e.End(nil)
	e.Step("late", 1, 1)
	e.Progress(9, 9)
	want.Ended, want.Error = began.Add(3*time.Second), "fetch: disk full"
	want.History = append(want.History, StepTime{"image", 2, began.Add(time.Second)})
	if d := cmp.Diff([]Operation{want}, b.Finished()); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]Operation{want}, ended); d != "" {
		t.Error(d)
	}
	if n := len(b.Operations()); n != 0 {
		t.Errorf("%d operations still run", n)
	}
	failures := []Failure{{
		Time: want.Ended, Instance: "i1", RequestID: "req-1", Operation: "build", Step: "image",
		Reason: "fetch: disk full", Next: "free some disk",
	}}
	if d := cmp.Diff(failures, b.Failures()); d != "" {
		t.Error(d)
	}
}

func TestBoardForgetsTheOldest(t *testing.T) {
	b := NewBoard(BoardOptions{Finished: 3, Failures: 2})
	for i := range 5 {
		b.Begin(Operation{Name: fmt.Sprint(i)}).End(errors.New("x"))
	}
	var finished, failed []string
	for _, o := range b.Finished() {
		finished = append(finished, o.Name)
	}
	for _, f := range b.Failures() {
		failed = append(failed, f.Operation)
	}
	if d := cmp.Diff([]string{"4", "3", "2"}, finished); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"4", "3"}, failed); d != "" {
		t.Error(d)
	}
}

func TestBoardOfManyAtOnce(t *testing.T) {
	b := NewBoard(BoardOptions{Finished: 1000})
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			for range 10 {
				e := b.Begin(Operation{Name: "op", Instance: fmt.Sprint(i)})
				e.Step("a", 1, 1)
				e.Progress(1, 2)
				b.Operations()
				e.End(nil)
			}
		})
	}
	wg.Wait()
	if n := len(b.Finished()); n != 500 {
		t.Errorf("%d operations finished, want 500", n)
	}
}

// A watcher that does not read never holds the board up, and learns that it
// missed something.
func TestSlowWatcher(t *testing.T) {
	b := NewBoard(BoardOptions{})
	events, stop := b.Watch()
	defer stop()
	for range 2 * cap(events) {
		b.Begin(Operation{Name: "op"})
	}
	for range cap(events) {
		if e := <-events; e.Kind != EventBegin {
			t.Fatalf("event %s before any was lost", e.Kind)
		}
	}
	b.Begin(Operation{Name: "last"})
	if e := <-events; e.Kind != EventLost {
		t.Errorf("event %s, want %s", e.Kind, EventLost)
	}
	if e := <-events; e.Kind != EventBegin || e.Operation.Name != "last" {
		t.Errorf("event %+v, want the last begin", e)
	}
}

func TestProgressEventsAreFew(t *testing.T) {
	c := &clock{now: began}
	b := NewBoard(BoardOptions{Now: c.Now})
	e := b.Begin(Operation{Name: "op"})
	events, stop := b.Watch()
	defer stop()
	for range 100 {
		e.Progress(1, 100)
		c.advance(10 * time.Millisecond)
	}
	if n := len(events); n != 4 {
		t.Errorf("%d progress events in a second, want 4", n)
	}
	stop()
	e.Progress(2, 100)
	if n := len(events); n != 4 {
		t.Error("an event after stop")
	}
}

func TestBoardMetrics(t *testing.T) {
	c := &clock{now: began}
	r := prometheus.NewPedanticRegistry()
	b := NewBoard(BoardOptions{Now: c.Now, Metrics: r})
	done := b.Begin(Operation{Name: "build"})
	done.Step("claim", 1, 1)
	c.advance(50 * time.Millisecond)
	done.End(nil)
	b.Begin(Operation{Name: "build"}).End(errors.New("x"))
	b.Begin(Operation{Name: "delete"})

	if got := testutil.ToFloat64(b.metrics.running.WithLabelValues("delete")); got != 1 {
		t.Errorf("deletes in flight: %v", got)
	}
	if got := testutil.ToFloat64(b.metrics.running.WithLabelValues("build")); got != 0 {
		t.Errorf("builds in flight: %v", got)
	}
	for name, want := range map[string]int{
		"bolide_operation_duration_seconds": 2, "bolide_operation_step_duration_seconds": 1, "bolide_operations_in_flight": 2,
	} {
		if n, err := testutil.GatherAndCount(r, name); err != nil || n != want {
			t.Errorf("%s: %d series, want %d (%v)", name, n, want, err)
		}
	}
	if problems, err := testutil.GatherAndLint(r); err != nil || len(problems) > 0 {
		t.Errorf("lint: %v %v", problems, err)
	}
}

func TestNodeMetrics(t *testing.T) {
	m := NewMetrics()
	m.RPC(RPCIn, "reboot_instance", time.Second, nil)
	m.RPC(RPCOut, "object_action", time.Second, errors.New("x"))
	m.ImageCache(CacheHit)
	m.Queues(someQueues{})
	m.ImageCacheSize(func() (int64, error) { return 4096, nil })
	m.Libvirt("start", 20*time.Millisecond, nil)
	want := `
# HELP bolide_image_cache_requests_total Images asked of the cache.
# TYPE bolide_image_cache_requests_total counter
bolide_image_cache_requests_total{result="hit"} 1
# HELP bolide_operations_queued Operations that run or wait for their instance.
# TYPE bolide_operations_queued gauge
bolide_operations_queued 3
`
	if err := testutil.GatherAndCompare(m.Registry, strings.NewReader(want), "bolide_image_cache_requests_total", "bolide_operations_queued"); err != nil {
		t.Error(err)
	}
	if n, err := testutil.GatherAndCount(m.Registry, "bolide_rpc_duration_seconds"); n != 2 || err != nil {
		t.Errorf("%d RPC series, want 2 (%v)", n, err)
	}
	if problems, err := testutil.GatherAndLint(m.Registry); err != nil || len(problems) > 0 {
		t.Errorf("lint: %v %v", problems, err)
	}
}
