package agent

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"bolide/rpc"
	"bolide/rpc/nova"
)

const (
	serviceBinary = "nova-compute" // what the control plane calls a compute service
	serviceTopic  = "compute"
)

// registration is this node's Service record and the signs of life that keep it up.
type registration struct {
	conductor *nova.Conductor // bound to the start-up context
	host      string
	interval  time.Duration
	log       *logrus.Entry

	mu      sync.Mutex
	service *nova.Service
	last    time.Time // when the record last took a sign of life
	err     error     // why it did not since; nil: it did
	tried   time.Time // when one was last tried
}

// register finds the Service record or creates it, and brings its version up to the release's.
func (r *registration) register(ctx context.Context) error {
	service, err := r.conductor.ServiceByHostAndBinary(ctx, r.host, serviceBinary)
	if err != nil {
		return fmt.Errorf("read the service record: %w", err)
	}
	version := r.conductor.Profile().ServiceVersion
	switch {
	case service == nil:
		service, err = r.create(ctx, version)
	case service.Int("version") != int64(version):
		service.Set("version", version)
		err = r.conductor.SaveService(ctx, service)
	}
	if err != nil {
		return fmt.Errorf("write the service record of %s: %w", r.host, err)
	}
	r.mu.Lock()
	r.service, r.tried = service, time.Now()
	r.mu.Unlock()
	return nil
}

// create makes the record; when another process was quicker, that one's is taken.
func (r *registration) create(ctx context.Context, version int) (*nova.Service, error) {
	service := nova.As[nova.Service](r.conductor.Profile().New("Service"))
	service.Set("host", r.host)
	service.Set("binary", serviceBinary)
	service.Set("topic", serviceTopic)
	service.Set("report_count", 0)
	service.Set("version", version)
	err := r.conductor.CreateService(ctx, service)
	if nova.Is(err, "ServiceTopicExists") || nova.Is(err, "ServiceBinaryExists") {
		return r.conductor.ServiceByHostAndBinary(ctx, r.host, serviceBinary)
	}
	return service, err
}

// run gives a sign of life at once, so that the scheduler takes the node for up as soon as it serves, and then every
// interval until ctx ends. Nothing that goes wrong ends it: a node that works but
// is taken for dead is worse than a line in the log. It logs once when reporting fails and once when it works
// again.
func (r *registration) run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		r.noteReport(ctx, r.report(ctx))
		timer.Reset(r.interval)
	}
}

// report raises the record's count; the conductor stamps the time. A record that was deleted is made anew.
func (r *registration) report(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, max(r.interval, 10*time.Second))
	defer cancel()
	r.mu.Lock()
	service := nova.As[nova.Service](r.service.Object.Clone())
	r.mu.Unlock()
	service.Set("report_count", service.Int("report_count")+1)
	err := r.conductor.SaveService(ctx, service)
	if nova.Is(err, "ServiceNotFound") {
		return r.register(ctx)
	}
	if err != nil {
		return err
	}
	r.mu.Lock()
	r.service = service
	r.mu.Unlock()
	return nil
}

func (r *registration) noteReport(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case err != nil && r.err == nil:
		r.log.WithError(err).Error("the control plane does not take our signs of life; trying again")
	case err == nil && r.err != nil:
		r.log.WithField("dur", time.Since(r.last).Round(time.Second).String()).Info("the control plane takes our signs of life again")
	}
	r.err, r.tried = err, time.Now()
	if err == nil {
		r.last = r.tried
	}
}

// beat is when a sign of life was last tried; before the first, when the record was read.
func (r *registration) beat() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.tried
}

// disabledFor reports whether the record, as it was last read, is disabled for the reason.
func (r *registration) disabledFor(reason string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.service != nil && r.service.Disabled() && r.service.DisabledReason() == reason
}

// state is what the status socket shows.
func (r *registration) state() (last time.Time, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last, r.err
}

// pingTries is how often the conductor is pinged with a short wait before waiting longer.
const pingTries = 10

// awaitConductor returns when a conductor answers, however long that takes, or when ctx ends.
func awaitConductor(ctx context.Context, c *nova.Conductor, log *logrus.Entry) error {
	for try := 1; ; try++ {
		wait := 10 * time.Second
		if try > pingTries {
			wait = 60 * time.Second
		}
		bounded, cancel := context.WithTimeout(ctx, wait)
		err := c.Ping(bounded)
		cancel()
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case !errors.Is(err, rpc.ErrTimeout) && !errors.Is(err, context.DeadlineExceeded):
			// the broker refused at once: do not spin
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-time.After(time.Second):
			}
		}
		if try == 1 || try%pingTries == 0 {
			log.WithError(err).Warn("no conductor answers yet; is nova-conductor running?")
		}
	}
}
