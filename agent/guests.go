package agent

import (
	"context"
	"errors"
	"sync"

	"golang.org/x/sync/errgroup"

	"bolide/hypervisor"
	"bolide/rpc/nova"
)

// powers is what the hypervisor last said of every guest, by UUID, kept up by its events. Its methods are safe for
// concurrent use.
type powers struct {
	mu   sync.Mutex
	byID map[string]nova.PowerState
}

// of returns a guest's power state; a guest that was not heard of has none.
func (p *powers) of(uuid string) nova.PowerState {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.byID[uuid]
}

func (p *powers) set(uuid string, s nova.PowerState) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.byID == nil {
		p.byID = map[string]nova.PowerState{}
	}
	p.byID[uuid] = s
}

// replace takes over a full list.
func (p *powers) replace(guests []hypervisor.Guest) {
	all := make(map[string]nova.PowerState, len(guests))
	for _, g := range guests {
		all[g.UUID] = powerState(g.State)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.byID = all
}

// watchAtOnce is how many guests' changes of state are looked into at a time.
const watchAtOnce = 50

// followGuests hears what libvirt says happened to guests, so that their power states are known without asking.
func (a *Agent) followGuests(ctx context.Context) error {
	events, leave := a.hypervisor.Subscribe()
	defer leave()
	a.readPowers(ctx)
	var watchers errgroup.Group
	watchers.SetLimit(watchAtOnce)
	defer func() { _ = watchers.Wait() }() // they return no errors
	for {
		select {
		case <-ctx.Done():
			return nil
		case e := <-events:
			a.notePower(ctx, e)
			a.hearPower(ctx, e, &watchers)
		}
	}
}

// readPowers lists all guests anew. libvirt that cannot be asked now says so by an event when it can.
func (a *Agent) readPowers(ctx context.Context) {
	guests, err := a.hypervisor.Guests(ctx)
	if err != nil {
		if ctx.Err() == nil && !errors.Is(err, hypervisor.ErrUnavailable) {
			a.log.WithError(err).Warn("guests not listed; their power states may be old")
		}
		return
	}
	a.powers.replace(guests)
}

func (a *Agent) notePower(ctx context.Context, e hypervisor.Event) {
	switch e.Kind {
	case hypervisor.EventResync:
		a.readPowers(ctx)
	case hypervisor.EventStarted, hypervisor.EventResumed:
		a.powers.set(e.UUID, nova.PowerRunning)
	case hypervisor.EventSuspended:
		a.powers.set(e.UUID, nova.PowerPaused)
	case hypervisor.EventStopped:
		a.powers.set(e.UUID, nova.PowerShutdown)
	case hypervisor.EventCrashed:
		a.powers.set(e.UUID, nova.PowerCrashed)
	case hypervisor.EventPMSuspended:
		a.powers.set(e.UUID, nova.PowerSuspended)
	}
}
