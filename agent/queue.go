package agent

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// errStopping refuses new work while the agent shuts down.
var errStopping = errors.New("the agent is stopping")

// job is one operation waiting for, or having, its instance to itself.
type job struct {
	name          string
	interruptible bool // a delete may cancel it at any point; its undo copes
	requested     bool // a request, rather than something that the node does by itself
	run           func(ctx context.Context)
	done          chan struct{}
	queued        time.Time
	started       time.Time
	cancel        context.CancelCauseFunc
}

// queues runs jobs: one at a time for each instance in the order they came, different instances side by side.
// It owns one goroutine per instance that has work. Its methods are safe for concurrent use.
type queues struct {
	life context.Context // ends when running jobs must give up

	mu      sync.Mutex
	byID    map[string][]*job // the first of each list is running
	came    chan struct{}     // closed, and made anew, when a request comes
	stopped bool
	wg      sync.WaitGroup
}

// newQueues returns queues whose jobs run until life ends.
func newQueues(life context.Context) *queues {
	return &queues{life: life, byID: map[string][]*job{}, came: make(chan struct{})}
}

// add puts a job at the end of the instance's queue and returns at once. The returned channel is closed when the
// job has run and has left the queue. A job always runs, with a cancelled context if need be, so that who waits for it
// gets an answer.
func (q *queues) add(instance string, j *job) (<-chan struct{}, error) {
	j.done, j.queued = make(chan struct{}), time.Now()
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.stopped {
		return nil, errStopping
	}
	line := append(q.byID[instance], j)
	q.byID[instance] = line
	if j.requested {
		close(q.came)
		q.came = make(chan struct{})
	}
	if len(line) == 1 {
		q.wg.Add(1)
		go q.drain(instance)
	}
	return j.done, nil
}

// drain runs the instance's jobs until none is left.
func (q *queues) drain(instance string) {
	defer q.wg.Done()
	for {
		q.mu.Lock()
		j := q.byID[instance][0]
		ctx, cancel := context.WithCancelCause(q.life)
		j.started, j.cancel = time.Now(), cancel
		q.mu.Unlock()

		j.run(ctx)
		cancel(nil)

		q.mu.Lock()
		rest := q.byID[instance][1:]
		if len(rest) == 0 {
			delete(q.byID, instance)
		} else {
			q.byID[instance] = rest
		}
		q.mu.Unlock()
		close(j.done) // not before: who waited for it finds the instance free
		if len(rest) == 0 {
			return
		}
	}
}

// interrupt cancels the instance's running job with the given cause if that job may be interrupted, and reports
// its name. Jobs that still wait are left to find out for themselves when they read the instance's state.
func (q *queues) interrupt(instance string, cause error) (name string, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	line := q.byID[instance]
	if len(line) == 0 || !line[0].interruptible || line[0].cancel == nil {
		return "", false
	}
	line[0].cancel(cause)
	return line[0].name, true
}

// busy names the operation that has the instance now and since when; "" when none has.
func (q *queues) busy(instance string) (name string, since time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if line := q.byID[instance]; len(line) > 0 {
		return line[0].name, line[0].started
	}
	return "", time.Time{}
}

// all returns the instances that have a job.
func (q *queues) all() map[string]bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	all := make(map[string]bool, len(q.byID))
	for instance := range q.byID {
		all[instance] = true
	}
	return all
}

// awaitRequest waits until a request stands in line behind the job that has the instance now, or ctx ends, and reports
// whether one does.
func (q *queues) awaitRequest(ctx context.Context, instance string) bool {
	for {
		q.mu.Lock()
		line, came := q.byID[instance], q.came
		stands := len(line) > 1 && slices.ContainsFunc(line[1:], func(j *job) bool { return j.requested })
		q.mu.Unlock()
		if stands {
			return true
		}
		select {
		case <-came:
		case <-ctx.Done():
			return false
		}
	}
}

// depth returns how many jobs run or wait.
func (q *queues) depth() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := 0
	for _, line := range q.byID {
		n += len(line)
	}
	return n
}

// Depth implements [status.Queues].
func (q *queues) Depth() int { return q.depth() }

// OldestWaiting implements [status.Queues].
func (q *queues) OldestWaiting() (since time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, line := range q.byID {
		if len(line) > 1 && (since.IsZero() || line[1].queued.Before(since)) {
			since = line[1].queued
		}
	}
	return since
}

// stop refuses further jobs and waits until those accepted have run or ctx ends, whichever is first.
func (q *queues) stop(ctx context.Context) error {
	q.mu.Lock()
	q.stopped = true
	q.mu.Unlock()
	idle := make(chan struct{})
	go func() { q.wg.Wait(); close(idle) }()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
