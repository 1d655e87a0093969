package status

import (
	"cmp"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Operation is one operation on the node, running or finished.
type Operation struct {
	ID        uint64 `json:"id"` // of the Board
	Instance  string `json:"instance,omitempty"`
	Name      string `json:"name"`
	RequestID string `json:"request_id,omitempty"`
	// Step is what it is doing, the StepIndex-th of Steps (from 1; 0 = not known).
	Step      string `json:"step,omitempty"`
	StepIndex int    `json:"step_index,omitempty"`
	Steps     int    `json:"steps,omitempty"`
	// Done of Total, usually bytes, of the step; Total 0 = not known.
	Done  int64 `json:"done,omitempty"`
	Total int64 `json:"total,omitempty"`

	Started     time.Time `json:"started"`
	StepStarted time.Time `json:"step_started,omitzero"`
	Ended       time.Time `json:"ended,omitzero"` // zero = running
	Error       string    `json:"error,omitempty"`
	// History is the steps gone through, with the time each took.
	History []StepTime `json:"history,omitempty"`
}

// StepTime is how long one step took.
type StepTime struct {
	Step    string    `json:"step"`
	Seconds float64   `json:"seconds"`
	Started time.Time `json:"-"`
}

// Failure is an operation that went wrong.
type Failure struct {
	Time      time.Time `json:"time"`
	Instance  string    `json:"instance,omitempty"`
	RequestID string    `json:"request_id,omitempty"`
	Operation string    `json:"operation"`
	Step      string    `json:"step,omitempty"`
	Reason    string    `json:"reason"`
	// Next is what an administrator may do about it.
	Next string `json:"next,omitempty"`
}

// Adviser is an error that knows what to do about itself; Failure.Next shows it.
type Adviser interface {
	error
	NextAction() string
}

// BoardOptions sizes a Board. The zero value is useful.
type BoardOptions struct {
	Finished int              // operations kept after their end; default 100
	Failures int              // failures kept; default 20
	Now      func() time.Time // default time.Now
	// Metrics gets the Board's metrics; nil = none are kept.
	Metrics prometheus.Registerer
	// Ended hears of every operation that has ended. It must not wait. Optional.
	Ended func(Operation)
}

// Board is where operations show what they are doing. Its methods, and those of
// its entries, are safe for concurrent use and never wait for who looks on.
type Board struct {
	opts    BoardOptions
	metrics *boardMetrics

	mu       sync.Mutex
	lastID   uint64
	running  map[uint64]*Entry
	finished []Operation // oldest first
	failures []Failure   // oldest first
	watchers map[*watcher]struct{}
}

// NewBoard makes an empty Board.
func NewBoard(o BoardOptions) *Board {
	o.Finished = cmp.Or(o.Finished, 100)
	o.Failures = cmp.Or(o.Failures, 20)
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Board{
		opts:     o,
		metrics:  newBoardMetrics(o.Metrics),
		running:  map[uint64]*Entry{},
		watchers: map[*watcher]struct{}{},
	}
}

// Begin puts an operation on the board; who calls it calls Entry.End. Of op,
// Name, Instance, RequestID and Started (default: now) count.
func (b *Board) Begin(op Operation) *Entry {
	b.mu.Lock()
	defer b.mu.Unlock()
	if op.Started.IsZero() {
		op.Started = b.opts.Now()
	}
	b.lastID++
	op.ID = b.lastID
	e := &Entry{board: b, op: op}
	b.running[op.ID] = e
	b.metrics.begun(op)
	b.tellLocked(EventBegin, op)
	return e
}

// Operations lists what is running, oldest first.
func (b *Board) Operations() []Operation {
	b.mu.Lock()
	defer b.mu.Unlock()
	ops := make([]Operation, 0, len(b.running))
	for _, e := range b.running {
		ops = append(ops, e.op.clone())
	}
	slices.SortFunc(ops, func(x, y Operation) int {
		return cmp.Or(x.Started.Compare(y.Started), cmp.Compare(x.ID, y.ID))
	})
	return ops
}

// Finished lists the last operations that ended, newest first.
func (b *Board) Finished() []Operation {
	b.mu.Lock()
	defer b.mu.Unlock()
	ops := make([]Operation, 0, len(b.finished))
	for _, o := range slices.Backward(b.finished) {
		ops = append(ops, o.clone())
	}
	return ops
}

// Failures lists the last failures, newest first.
func (b *Board) Failures() []Failure {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make([]Failure, 0, len(b.failures))
	for _, f := range slices.Backward(b.failures) {
		out = append(out, f)
	}
	return out
}

// Entry is one operation on the board.
type Entry struct {
	board *Board
	op    Operation // guarded by board.mu
	ended bool
}

// Step says what the operation does now: the index-th (from 1) of steps.
func (e *Entry) Step(name string, index, steps int) {
	b := e.board
	b.mu.Lock()
	defer b.mu.Unlock()
	if e.ended {
		return
	}
	e.closeStepLocked()
	e.op.Step, e.op.StepIndex, e.op.Steps = name, index, steps
	e.op.Done, e.op.Total = 0, 0
	e.op.StepStarted = b.opts.Now()
	b.tellLocked(EventStep, e.op)
}

// Progress says how far the step is, in a unit of its own; total 0 = not known.
func (e *Entry) Progress(done, total int64) {
	b := e.board
	b.mu.Lock()
	defer b.mu.Unlock()
	if e.ended {
		return
	}
	e.op.Done, e.op.Total = done, total
	b.tellLocked(EventProgress, e.op)
}

// End takes the operation off the board. An error is kept as a failure. Only
// the first call counts.
func (e *Entry) End(err error) {
	b := e.board
	b.mu.Lock()
	defer b.mu.Unlock()
	if e.ended {
		return
	}
	e.ended = true
	e.closeStepLocked()
	e.op.Ended = b.opts.Now()
	if err != nil {
		e.op.Error = err.Error()
		b.failures = keepLast(append(b.failures, failure(e.op, err)), b.opts.Failures)
	}
	delete(b.running, e.op.ID)
	b.finished = keepLast(append(b.finished, e.op), b.opts.Finished)
	b.metrics.ended(e.op)
	if b.opts.Ended != nil {
		b.opts.Ended(e.op)
	}
	b.tellLocked(EventEnd, e.op)
}

func (e *Entry) closeStepLocked() {
	if e.op.Step == "" {
		return
	}
	took := e.board.opts.Now().Sub(e.op.StepStarted)
	e.op.History = append(e.op.History, StepTime{e.op.Step, took.Seconds(), e.op.StepStarted})
	e.board.metrics.stepped(e.op, took)
}

func failure(op Operation, err error) Failure {
	f := Failure{
		Time: op.Ended, Instance: op.Instance, RequestID: op.RequestID,
		Operation: op.Name, Step: op.Step, Reason: err.Error(),
	}
	var a Adviser
	if errors.As(err, &a) {
		f.Next = a.NextAction()
	}
	return f
}

func keepLast[T any](s []T, n int) []T {
	if len(s) > n {
		return slices.Clone(s[len(s)-n:])
	}
	return s
}

func (o Operation) clone() Operation {
	o.History = slices.Clone(o.History)
	return o
}
