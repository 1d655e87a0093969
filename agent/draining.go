package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/google/renameio/v2"

	"bolide/agent/resources"
	"bolide/agent/status"
	"bolide/rpc/nova"
)

// drainFile, below state_path, is there while this host takes no new guests.
const drainFile = "bolide-drain.json"

// drainReason is what the service's record says while the host is drained. It tells a service that was disabled here
// from one that an administrator disabled through Nova's API, which is left alone.
const drainReason = "drained on the host: bolide drain"

// drainRetry is how often a control plane that was away is told again.
const drainRetry = 15 * time.Second

// errDrained is why a guest is not taken.
var errDrained = errors.New("drained")

// draining is whether this host takes new guests, and whether the control plane knows. Its methods are safe for
// concurrent use.
type draining struct {
	path string

	telling sync.Mutex // one at a time tells the control plane

	mu     sync.Mutex
	since  time.Time // zero: new guests are taken
	untold error     // why the control plane does not know yet; nil: it does
}

// errNotYetTold is why the control plane does not know before it was first told.
var errNotYetTold = errors.New("the control plane has not been told yet")

// openDraining reads what a process before this one was told.
func openDraining(statePath string) (*draining, error) {
	d := &draining{path: filepath.Join(statePath, drainFile)}
	raw, err := os.ReadFile(d.path)
	if errors.Is(err, os.ErrNotExist) {
		return d, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read whether this host is drained: %w", err)
	}
	var kept status.Drain
	if err := json.Unmarshal(raw, &kept); err != nil || kept.Since.IsZero() {
		kept.Since = time.Now() // torn by a power cut, but somebody wanted it
	}
	d.since, d.untold = kept.Since, errNotYetTold
	return d, nil
}

// state is what the status socket shows; nil while new guests are taken.
func (d *draining) state() *status.Drain {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.since.IsZero() {
		return nil
	}
	return &status.Drain{Since: d.since, Problem: text(d.untold)}
}

// refusal is why a new guest is not taken; nil: it is. The control plane tries another host.
func (d *draining) refusal() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.since.IsZero() {
		return nil
	}
	return nova.NewError("ComputeResourcesUnavailable", map[string]any{"reason": "this host takes no new guests"}).Because(errDrained)
}

// begin stops the taking of new guests, for good.
func (d *draining) begin() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.since.IsZero() {
		return nil
	}
	now := time.Now().UTC()
	raw, err := json.Marshal(status.Drain{Since: now})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(d.path), 0o755); err != nil {
		return fmt.Errorf("remember that this host is drained: %w", err)
	}
	if err := renameio.WriteFile(d.path, append(raw, '\n'), 0o644); err != nil {
		return fmt.Errorf("remember that this host is drained: %w", err)
	}
	d.since, d.untold = now, errNotYetTold
	return nil
}

// end takes new guests again.
func (d *draining) end() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := os.Remove(d.path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("forget that this host was drained: %w", err)
	}
	d.since, d.untold = time.Time{}, errNotYetTold
	return nil
}

func (d *draining) setTold(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.untold = err
}

func (d *draining) isTold() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.untold == nil
}

var _ status.Drainer = (*Agent)(nil)

// Drain implements [status.Drainer]: builds that are under way end, new ones are given back to be built elsewhere, and
// the service is disabled so that the scheduler asks for none.
func (a *Agent) Drain(ctx context.Context) error {
	if err := a.draining.begin(); err != nil {
		return err
	}
	a.log.Info("drained: this host takes no new guests")
	return a.tellDraining(ctx)
}

// Undrain implements [status.Drainer].
func (a *Agent) Undrain(ctx context.Context) error {
	if err := a.draining.end(); err != nil {
		return err
	}
	a.log.Info("this host takes new guests")
	return a.tellDraining(ctx)
}

// tellDraining brings the service's record and the provider's trait to what holds here.
func (a *Agent) tellDraining(ctx context.Context) error {
	a.draining.telling.Lock()
	defer a.draining.telling.Unlock()
	err := a.writeDraining(ctx, a.draining.state() != nil)
	if err != nil {
		err = fmt.Errorf("tell the control plane: %w", err)
	}
	a.draining.setTold(err)
	return err
}

func (a *Agent) writeDraining(ctx context.Context, drained bool) error {
	if !a.serving.Load() {
		return errors.New("this node does not serve yet")
	}
	cond := a.freshConductor()
	service, err := cond.ServiceByHostAndBinary(ctx, a.cfg.Default.Host, serviceBinary)
	if err != nil {
		return fmt.Errorf("read the service record: %w", err)
	}
	if service == nil {
		return errors.New("this host has no service record")
	}
	switch {
	case drained && !service.Disabled():
		service.Set("disabled", true)
		service.Set("disabled_reason", drainReason)
	case !drained && service.Disabled() && service.DisabledReason() == drainReason:
		service.Set("disabled", false)
		service.Set("disabled_reason", nil)
	}
	if len(service.Changes()) > 0 {
		if err := cond.SaveService(ctx, service); err != nil {
			return fmt.Errorf("write the service record: %w", err)
		}
	}
	return a.resources.SetDisabled(ctx, cond, resources.Status(service.Disabled()))
}

// keepDrainingTold tells the control plane what it could not be told before, until ctx ends.
func (a *Agent) keepDrainingTold(ctx context.Context) error {
	if a.draining.state() == nil && a.registration.disabledFor(drainReason) {
		a.draining.setTold(errNotYetTold) // undrained while the control plane was away
	}
	tick := time.NewTicker(drainRetry)
	defer tick.Stop()
	for {
		if !a.draining.isTold() {
			bounded, cancel := context.WithTimeout(ctx, drainRetry)
			if err := a.tellDraining(bounded); err != nil && ctx.Err() == nil {
				a.log.WithError(err).Debug("trying again")
			}
			cancel()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
