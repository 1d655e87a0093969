// Package bench measures a compute node through public doors only: RabbitMQ,
// Nova's API and /proc. Figures of two nodes compare when they are taken on the
// same machine, one after the other; alone they say little, for they hold the
// whole control plane and an emulated guest as well.
package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"bolide/test/openstack/api"
)

// Target is the node to measure.
type Target struct {
	Broker    string // AMQP URL
	Host      string // the node's host name
	Servers   *api.Servers
	Start     func(context.Context) error // starts the node; returns when its program runs
	Wait      func(context.Context) error // waits until guests can be placed on it
	Stop      func()                      // stops it and waits for its end
	Processes func() ([]int, error)       // the node's, with its helpers, while it runs

	exchange string // where the requests go; "" = Nova's
}

// Options say how much is measured.
type Options struct {
	Starts int // starts of the node
	Calls  int // RPC calls for each window
	Boots  int // guests booted and deleted one after the other
	Burst  int // guests booted at once
}

// DefaultOptions take about three minutes for each node.
func DefaultOptions() Options { return Options{Starts: 3, Calls: 3000, Boots: 10, Burst: 8} }

// Result is what was measured.
type Result struct {
	Consuming    Durations // from starting the program to its consuming requests
	One, Many    Calls     // RPC calls with 1 and with 32 of them under way
	MemoryIdle   Memory    // before the first guest
	MemoryWorked Memory    // with the burst's guests running
	Boot, Delete Durations // of single guests, as a user of Nova's API sees them
	Burst        time.Duration
}

// Run measures one node. The node must not run before, and does not afterwards.
func Run(ctx context.Context, t Target, o Options) (Result, error) {
	var r Result
	err := t.measure(ctx, o, &r)
	t.Stop()
	return r, err
}

func (t Target) measure(ctx context.Context, o Options, r *Result) error {
	for range o.Starts {
		t.Stop()
		took, err := t.start(ctx)
		if err != nil {
			return err
		}
		r.Consuming = append(r.Consuming, took)
	}
	if err := t.Wait(ctx); err != nil {
		return err
	}
	// The first boot fetches the image, and whatever else is done once.
	if _, _, err := t.bootAndDelete(ctx); err != nil {
		return err
	}
	var err error
	if r.MemoryIdle, err = t.memory(); err != nil {
		return err
	}
	if r.One, err = t.call(ctx, o.Calls, 1); err != nil {
		return err
	}
	if r.Many, err = t.call(ctx, o.Calls, 32); err != nil {
		return err
	}
	for range o.Boots {
		boot, del, err := t.bootAndDelete(ctx)
		if err != nil {
			return err
		}
		r.Boot, r.Delete = append(r.Boot, boot), append(r.Delete, del)
	}
	return t.burst(ctx, o, r)
}

// start starts the node and times it until the broker shows that it consumes.
func (t Target) start(ctx context.Context) (time.Duration, error) {
	if err := waitConsumers(ctx, t.Broker, t.Host, 0); err != nil {
		return 0, err
	}
	start := time.Now()
	if err := t.Start(ctx); err != nil {
		return 0, err
	}
	err := waitConsumers(ctx, t.Broker, t.Host, 1)
	return time.Since(start), err
}

func (t Target) bootAndDelete(ctx context.Context) (boot, del time.Duration, err error) {
	start := time.Now()
	v, err := t.Servers.Boot(ctx, "bench", nil)
	if err != nil {
		return 0, 0, err
	}
	boot = time.Since(start)
	start = time.Now()
	err = t.Servers.Drop(ctx, v.ID)
	return boot, time.Since(start), err
}

func (t Target) burst(ctx context.Context, o Options, r *Result) error {
	start := time.Now()
	var ids []string
	for i := range o.Burst {
		id, err := t.Servers.Request(ctx, fmt.Sprintf("burst-%d", i), nil)
		if err != nil {
			return err
		}
		ids = append(ids, id)
	}
	var errs []error
	for _, id := range ids {
		_, err := t.Servers.Wait(ctx, id, api.Active())
		errs = append(errs, err)
	}
	r.Burst = time.Since(start)
	var err error
	r.MemoryWorked, err = t.memory()
	return errors.Join(append(errs, err, t.Servers.Drop(ctx, ids...))...)
}

func (t Target) memory() (Memory, error) {
	pids, err := t.Processes()
	if err != nil {
		return Memory{}, err
	}
	return memoryOf(pids)
}
