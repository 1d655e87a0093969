package agent

import (
	"context"
	"errors"
	"time"

	"bolide/hypervisor"
	"bolide/rpc/nova"
)

// opStart starts a stopped guest: os-start, and unshelve of one that was not offloaded yet.
func opStart(*Agent) operation {
	return operation{
		method: "start_instance", event: "compute_start_instance", news: newsPowerOn,
		queued: true, interruptible: true, clearsTask: true, keepsFault: true,
		do: func(ctx context.Context, t *task) (any, error) {
			s, err := t.existing(ctx)
			if err != nil {
				return nil, err
			}
			if err := s.restart(ctx); err != nil {
				return nil, err
			}
			return nil, t.leaveShelf(ctx, started)
		},
	}
}

// opStop stops a guest: os-stop. It is a call when the node or the conductor asks.
func opStop(*Agent) operation {
	return operation{
		method: "stop_instance", event: "compute_stop_instance", news: newsPowerOff,
		queued: true, interruptible: true, clearsTask: true, keepsFault: true,
		do: func(ctx context.Context, t *task) (any, error) {
			clean := true
			if err := t.req.OptionalArg("clean_shutdown", &clean); err != nil {
				return nil, err
			}
			change := stopped
			return nil, t.run(ctx, []step{
				{name: "power off", do: func(ctx context.Context) error {
					power, err := t.powerNow(ctx)
					if err != nil {
						return err
					}
					if power == nova.PowerShutdown || power == nova.PowerNoState || power == nova.PowerCrashed {
						change = foundStopped
					}
					return t.powerOff(ctx, powerOffOptions{Clean: clean})
				}},
				{name: "record", do: func(ctx context.Context) error { return t.moveTo(ctx, change) }},
			})
		},
	}
}

// opPause freezes a guest's CPUs: action pause.
func opPause(*Agent) operation {
	return operation{
		method: "pause_instance", event: "compute_pause_instance", news: newsPause,
		queued: true, interruptible: true, clearsTask: true, keepsFault: true,
		do: func(ctx context.Context, t *task) (any, error) {
			return nil, t.run(ctx, []step{
				{name: "pause", do: func(ctx context.Context) error {
					return t.unlessIn(ctx, nova.PowerPaused, t.hypervisor.Suspend)
				}},
				{name: "record", do: func(ctx context.Context) error { return t.moveTo(ctx, paused) }},
			})
		},
	}
}

// opUnpause lets a paused guest's CPUs go on: action unpause.
func opUnpause(*Agent) operation {
	return operation{
		method: "unpause_instance", event: "compute_unpause_instance", news: newsUnpause,
		queued: true, interruptible: true, clearsTask: true, keepsFault: true,
		do: func(ctx context.Context, t *task) (any, error) {
			return nil, t.run(ctx, []step{
				{name: "unpause", do: func(ctx context.Context) error {
					return t.unlessIn(ctx, nova.PowerRunning, t.hypervisor.Resume)
				}},
				{name: "record", do: func(ctx context.Context) error { return t.moveTo(ctx, unpaused) }},
			})
		},
	}
}

// unlessIn does something to a guest that is not yet in the power state to which that leads.
func (t *task) unlessIn(ctx context.Context, power nova.PowerState, do func(context.Context, string) error) error {
	if now, err := t.powerNow(ctx); err != nil || now == power {
		return err
	}
	return t.guestError(do(ctx, t.inst.UUID()))
}

// oldStateKey is where a suspended instance keeps the state it goes back to.
const oldStateKey = "old_vm_state"

// opSuspend writes a guest's memory to disk and switches it off: action suspend.
func opSuspend(*Agent) operation {
	return operation{
		method: "suspend_instance", event: "compute_suspend_instance", news: newsSuspend,
		queued: true, clearsTask: true, keepsFault: true,
		do: func(ctx context.Context, t *task) (any, error) {
			if err := t.load(ctx); err != nil {
				return nil, err
			}
			before := t.inst.VMState()
			return nil, t.run(ctx, []step{
				{name: "save memory", do: t.saveMemory},
				{name: "record", do: func(ctx context.Context) error {
					return t.moveTo(ctx, suspended, func(i *nova.Instance) { i.PutSystemMetadata(oldStateKey, string(before)) })
				}},
			})
		},
	}
}

const (
	// saveAgain is how often a guest is looked at whose memory is being saved already, by a process before this one.
	saveAgain = time.Second
	// saveLimit is for how long it is.
	saveLimit = 10 * time.Minute
)

// saveMemory saves the memory of a guest, unless that has been done.
func (t *task) saveMemory(ctx context.Context) error {
	for deadline := time.Now().Add(saveLimit); ; {
		power, err := t.powerNow(ctx)
		if err != nil {
			return err
		}
		if power == nova.PowerShutdown {
			if saved, err := t.hypervisor.HasManagedSave(ctx, t.inst.UUID()); err != nil || saved {
				return t.guestError(err)
			}
		}
		err = t.hypervisor.ManagedSave(ctx, t.inst.UUID())
		if !errors.Is(err, hypervisor.ErrBusy) || time.Now().After(deadline) {
			return t.guestError(err)
		}
		select {
		case <-time.After(saveAgain):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// opResume brings a suspended guest back from its memory on disk: action resume.
func opResume(*Agent) operation {
	return operation{
		method: "resume_instance", event: "compute_resume_instance", news: newsResume,
		queued: true, clearsTask: true, keepsFault: true,
		do: func(ctx context.Context, t *task) (any, error) {
			s, err := t.existing(ctx)
			if err != nil {
				return nil, err
			}
			return nil, t.run(ctx, []step{
				{name: "wake", do: s.wake},
				{name: "record", do: t.recordResumed},
			})
		},
	}
}

func (t *task) recordResumed(ctx context.Context) error {
	return t.moveTo(ctx, resumed, func(i *nova.Instance) {
		before := nova.VMState(i.SystemMetadata()[oldStateKey])
		if before == "" {
			before = nova.VMActive
		}
		i.SetVMState(before)
		i.DropSystemMetadata(oldStateKey)
	})
}

// wake starts the guest from its saved memory, or boots it if there is none, and sets its clock. A guest that runs is
// awake.
func (s *spawn) wake(ctx context.Context) error {
	if power, err := s.powerNow(ctx); err != nil || power == nova.PowerRunning || power == nova.PowerPaused {
		return err
	}
	if saved, err := s.hypervisor.HasManagedSave(ctx, s.inst.UUID()); err != nil || !saved {
		if err != nil {
			s.log.WithError(err).Debug("no saved memory found; booting")
		}
		return s.restart(ctx)
	}
	if err := s.plug(ctx, s.vifs); err != nil {
		return err
	}
	if err := s.startGuest(ctx, hypervisor.StartOptions{}); err != nil {
		return err
	}
	if err := s.hypervisor.SetTime(ctx, s.inst.UUID(), time.Now()); err != nil {
		s.log.WithError(err).Debug("guest's clock not set; it has no agent")
	}
	return nil
}

// moveTo makes the change and records the power state that the guest then has.
func (t *task) moveTo(ctx context.Context, c change, set ...func(*nova.Instance)) error {
	power, err := t.powerNow(ctx)
	if err != nil {
		return err
	}
	if err := t.move(ctx, c, append(set, func(i *nova.Instance) { i.SetPowerState(power) })...); err != nil {
		return err
	}
	t.resources.Note(t.inst)
	return nil
}
