package imagecache

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// Phase says what a flight is at.
type Phase string

// The phases, in their order. A phase without meaning for an image is left out.
const (
	Waiting     Phase = "waiting" // for a lock or for other disk work
	Downloading Phase = "downloading"
	Checking    Phase = "checking"
	Converting  Phase = "converting"
)

// work makes sure that a file of the cache exists and says what it is.
type work func(ctx context.Context, f *flight) (record, error)

// flight is one piece of work that any number of callers wait for.
type flight struct {
	image   string
	started time.Time
	cancel  context.CancelFunc
	waiters int // guarded by Cache.mu; a flight that fell to 0 never rises again

	phase       atomic.Pointer[Phase]
	phaseStart  atomic.Int64 // Unix nanoseconds
	transferred atomic.Int64
	total       atomic.Int64

	known       chan struct{} // closed once virtualSize is set
	virtualSize int64

	done   chan struct{} // closed once result and err are set
	result record
	err    error
}

// takeOffLocked starts the work for a name in a goroutine of its own.
func (c *Cache) takeOffLocked(name, image string, work work) *flight {
	ctx, cancel := context.WithCancel(c.ctx)
	f := &flight{
		image:   image,
		started: c.opts.Now(),
		cancel:  cancel,
		known:   make(chan struct{}),
		done:    make(chan struct{}),
	}
	f.enter(Waiting, 0, f.started)
	c.wg.Add(1)
	go func() {
		defer c.wg.Done()
		defer cancel()
		f.result, f.err = work(ctx, f)
		c.mu.Lock()
		c.entryLocked(name).flight = nil
		c.mu.Unlock()
		close(f.done)
	}()
	return f
}

// enter begins a phase of total bytes, 0 when unknown.
func (f *flight) enter(p Phase, total int64, now time.Time) {
	f.phaseStart.Store(now.UnixNano())
	f.transferred.Store(0)
	f.total.Store(total)
	f.phase.Store(&p)
}

// sizeKnown tells the waiters the image's virtual size before the work is over.
func (f *flight) sizeKnown(size int64) {
	f.virtualSize = size
	close(f.known)
}

// Activity is work under way.
type Activity struct {
	Image       string    `json:"image"`
	Phase       Phase     `json:"phase"`
	Started     time.Time `json:"started"`
	Done        int64     `json:"done"`         // bytes of the phase
	Total       int64     `json:"total"`        // bytes of the phase; 0 when unknown
	Rate        int64     `json:"rate"`         // bytes a second since the phase began
	SecondsLeft int64     `json:"seconds_left"` // of the phase; -1 when unknown
	Waiters     int       `json:"waiters"`
}

// Activities lists the work under way, by image.
func (c *Cache) Activities() []Activity {
	now := c.opts.Now()
	c.mu.Lock()
	var list []Activity
	for _, e := range c.entries {
		if f := e.flight; f != nil {
			list = append(list, f.activity(now))
		}
	}
	c.mu.Unlock()
	slices.SortFunc(list, func(a, b Activity) int { return strings.Compare(a.Image, b.Image) })
	return list
}

func (f *flight) activity(now time.Time) Activity {
	a := Activity{
		Image:       f.image,
		Phase:       *f.phase.Load(),
		Started:     f.started,
		Done:        f.transferred.Load(),
		Total:       f.total.Load(),
		SecondsLeft: -1,
		Waiters:     f.waiters,
	}
	if d := now.Sub(time.Unix(0, f.phaseStart.Load())).Seconds(); d > 0 {
		a.Rate = int64(float64(a.Done) / d)
	}
	if a.Rate > 0 && a.Total > 0 {
		a.SecondsLeft = max(0, a.Total-a.Done) / a.Rate
	}
	return a
}
