package agent

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// waitFor fails the test when c is not closed in good time.
func waitFor(t *testing.T, c <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(10 * time.Second):
		t.Fatalf("%s did not happen", what)
	}
}

func TestQueueRunsOneInstanceInOrder(t *testing.T) {
	q := newQueues(context.Background())
	release := make(chan struct{})
	var order []int
	var last <-chan struct{}
	for i := range 5 {
		done, err := q.add("a", &job{name: "n", run: func(context.Context) {
			if i == 0 {
				<-release
			}
			order = append(order, i)
		}})
		if err != nil {
			t.Fatal(err)
		}
		last = done
	}
	close(release)
	waitFor(t, last, "the last job")
	if diff := cmp.Diff([]int{0, 1, 2, 3, 4}, order); diff != "" {
		t.Error(diff)
	}
}

func TestQueueRunsInstancesSideBySide(t *testing.T) {
	q := newQueues(context.Background())
	var met atomic.Int32
	both := make(chan struct{})
	meet := func(context.Context) {
		if met.Add(1) == 2 {
			close(both)
		}
		<-both
	}
	for _, id := range []string{"a", "b"} {
		if _, err := q.add(id, &job{run: meet}); err != nil {
			t.Fatal(err)
		}
	}
	waitFor(t, both, "the meeting of two instances' jobs")
}

func TestQueueInterrupt(t *testing.T) {
	q := newQueues(context.Background())
	cause := errors.New("deleted")
	running := make(chan struct{})
	var got error
	done, err := q.add("a", &job{name: "build", interruptible: true, run: func(ctx context.Context) {
		close(running)
		<-ctx.Done()
		got = context.Cause(ctx)
	}})
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, running, "the job's start")
	if name, ok := q.interrupt("a", cause); !ok || name != "build" {
		t.Errorf("interrupt = %q, %v", name, ok)
	}
	waitFor(t, done, "the job's end")
	if !errors.Is(got, cause) {
		t.Errorf("cause = %v", got)
	}
	if _, ok := q.interrupt("b", cause); ok {
		t.Error("interrupted an instance without a job")
	}
}

func TestQueueLeavesUninterruptibleAlone(t *testing.T) {
	q := newQueues(context.Background())
	running, release := make(chan struct{}), make(chan struct{})
	done, err := q.add("a", &job{name: "resize", run: func(ctx context.Context) {
		close(running)
		<-release
		if ctx.Err() != nil {
			t.Error("the job was cancelled")
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, running, "the job's start")
	if _, ok := q.interrupt("a", errors.New("x")); ok {
		t.Error("interrupted")
	}
	if name, since := q.busy("a"); name != "resize" || since.IsZero() {
		t.Errorf("busy = %q %v", name, since)
	}
	close(release)
	waitFor(t, done, "the job's end")
}

func TestQueueStopWaitsAndRefuses(t *testing.T) {
	q := newQueues(context.Background())
	running, release := make(chan struct{}), make(chan struct{})
	if _, err := q.add("a", &job{run: func(context.Context) { close(running); <-release }}); err != nil {
		t.Fatal(err)
	}
	waitFor(t, running, "the job's start")
	short, cancel := context.WithCancel(context.Background())
	cancel()
	if err := q.stop(short); !errors.Is(err, context.Canceled) {
		t.Errorf("stop with work left = %v", err)
	}
	if _, err := q.add("b", &job{run: func(context.Context) {}}); !errors.Is(err, errStopping) {
		t.Errorf("add after stop = %v", err)
	}
	close(release)
	if err := q.stop(context.Background()); err != nil {
		t.Errorf("stop = %v", err)
	}
	if n := q.depth(); n != 0 {
		t.Errorf("depth = %d", n)
	}
}

func TestQueueTellsRequestsFromItsOwnWork(t *testing.T) {
	q := newQueues(context.Background())
	running, end := make(chan struct{}), make(chan struct{})
	add := func(j *job) <-chan struct{} {
		t.Helper()
		done, err := q.add("a", j)
		if err != nil {
			t.Fatal(err)
		}
		return done
	}
	add(&job{requested: true, run: func(context.Context) { close(running); <-end }})
	waitFor(t, running, "the first job")
	nothing := func(context.Context) {}
	add(&job{run: nothing})
	over, cancel := context.WithCancel(context.Background())
	cancel()
	if q.awaitRequest(over, "a") {
		t.Error("the running job, or the node's own work behind it, is taken for a request that waits")
	}
	stands := make(chan bool)
	go func() { stands <- q.awaitRequest(t.Context(), "a") }()
	add(&job{run: nothing})
	last := add(&job{requested: true, run: nothing})
	if !<-stands || !q.awaitRequest(over, "a") || q.awaitRequest(over, "b") {
		t.Error("a request that waits is not seen, or one is seen that is not there")
	}
	close(end)
	waitFor(t, last, "the last job")
}
