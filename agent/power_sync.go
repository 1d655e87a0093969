package agent

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"bolide/hypervisor"
	"bolide/rpc"
	"bolide/rpc/nova"
)

const (
	// settleTime is how long a difference between record and guest must last before anything is done about it: a
	// guest that reboots is off for a moment, and one look is no proof.
	settleTime = 15 * time.Second
	// syncLimit bounds the comparing of one instance.
	syncLimit = 2 * time.Minute
	// syncAtOnce is how many instances are compared at a time.
	syncAtOnce = 5
)

// remedy is what is done about a difference between an instance's record and its guest.
type remedy int

const (
	leaveAlone  remedy = iota // only the power state is recorded
	warn                      // an administrator should look
	recordOff                 // the guest went off by itself: the record follows it
	switchItOff               // the guest runs though Nova says that it must not
)

// remedyFor is the table of what a lasting difference calls for. It differs from Nova's in that a guest is never
// stopped for being off or asleep: what happened is recorded.
func remedyFor(vm nova.VMState, power nova.PowerState) remedy {
	switch vm {
	case nova.VMActive:
		switch power {
		case nova.PowerShutdown, nova.PowerCrashed:
			return recordOff
		case nova.PowerPaused, nova.PowerNoState, nova.PowerSuspended:
			return warn
		}
	case nova.VMStopped:
		switch power {
		case nova.PowerRunning, nova.PowerPaused, nova.PowerSuspended:
			return switchItOff
		}
	case nova.VMPaused:
		switch power {
		case nova.PowerShutdown, nova.PowerCrashed:
			return recordOff
		}
	case nova.VMSoftDeleted, nova.VMDeleted:
		if power == nova.PowerRunning || power == nova.PowerPaused {
			return warn
		}
	}
	return leaveAlone
}

// suspicions remembers since when each instance's record and guest have differed in the way they do. Its methods are
// safe for concurrent use.
type suspicions struct {
	mu   sync.Mutex
	byID map[string]suspicion
}

type suspicion struct {
	vm    nova.VMState
	power nova.PowerState
	since time.Time
}

// lasts notes the difference and reports whether it has lasted long enough to be believed.
func (s *suspicions) lasts(uuid string, vm nova.VMState, power nova.PowerState, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	before, known := s.byID[uuid]
	if !known || before.vm != vm || before.power != power {
		if s.byID == nil {
			s.byID = map[string]suspicion{}
		}
		s.byID[uuid] = suspicion{vm, power, now}
		return false
	}
	return now.Sub(before.since) >= settleTime
}

func (s *suspicions) forget(uuid string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byID, uuid)
}

// syncPowerStates compares every instance's record with its guest, and looks again at those that differ.
func (a *Agent) syncPowerStates(ctx context.Context) error {
	instances, err := a.freshConductor().InstancesByHost(ctx, a.cfg.Default.Host)
	if err != nil {
		return fmt.Errorf("list the instances of this host: %w", err)
	}
	guests, err := a.hypervisor.Guests(ctx)
	if err != nil {
		return err
	}
	a.powers.replace(guests)
	var g errgroup.Group
	g.SetLimit(syncAtOnce)
	for _, inst := range instances {
		power := a.powers.of(inst.UUID())
		if inst.TaskState() != nova.NoTask || inst.PowerState() == power && remedyFor(inst.VMState(), power) == leaveAlone {
			continue
		}
		g.Go(func() error {
			a.watchPower(ctx, inst.UUID())
			return nil
		})
	}
	return g.Wait()
}

// watchPower compares one instance now and, if it differs in a way that calls for something, once more when the
// difference has had time to pass.
func (a *Agent) watchPower(ctx context.Context, uuid string) {
	if !a.comparePower(ctx, uuid) {
		return
	}
	timer := time.NewTimer(settleTime)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
		a.comparePower(ctx, uuid)
	}
}

// comparePower compares one instance in its turn and reports whether it is worth another look.
func (a *Agent) comparePower(ctx context.Context, uuid string) (again bool) {
	if name, _ := a.queues.busy(uuid); name != "" {
		return false // an operation is at work; it will record what it did
	}
	err := a.inTurn(ctx, "sync power state", uuid, func(ctx context.Context, t *task) (err error) {
		ctx, cancel := context.WithTimeout(ctx, syncLimit)
		defer cancel()
		again, err = t.syncPower(ctx)
		return err
	})
	if err != nil && ctx.Err() == nil && !vanished(err) {
		a.log.WithError(err).WithField("instance", uuid).Warn("power state not compared")
	}
	return again
}

// syncPower compares the instance's record with its guest and does what the table says once the difference lasts.
func (t *task) syncPower(ctx context.Context) (again bool, err error) {
	if err := t.load(ctx); err != nil {
		return false, err
	}
	if t.inst.TaskState() != nova.NoTask || t.inst.Host() != t.cfg.Default.Host {
		return false, nil
	}
	power, err := t.powerNow(ctx)
	if err != nil {
		return false, err
	}
	remedy := remedyFor(t.inst.VMState(), power)
	if remedy == recordOff || remedy == switchItOff {
		if !t.suspects.lasts(t.inst.UUID(), t.inst.VMState(), power, time.Now()) {
			return true, nil
		}
	}
	t.suspects.forget(t.inst.UUID())
	return false, t.apply(ctx, remedy, power)
}

func (t *task) apply(ctx context.Context, r remedy, power nova.PowerState) error {
	log := t.log.WithField("vm_state", string(t.inst.VMState())).WithField("power_state", power.String())
	switch r {
	case warn:
		log.Warn("guest is not in the state that Nova has of it")
	case recordOff:
		log.Info("guest went off by itself; recording it as stopped")
		return t.recordStopped(ctx)
	case switchItOff:
		log.Warn("guest runs though Nova has it stopped; switching it off")
		if err := t.powerOff(ctx, powerOffOptions{}); err != nil {
			return err
		}
		return t.recordStopped(ctx)
	}
	if t.inst.PowerState() == power {
		return nil
	}
	t.inst.SetPowerState(power)
	return t.cond.SaveInstance(ctx, t.inst, nova.Expect{})
}

// recordStopped takes the record to stopped as a stop by the user would, with an action of its own in the history.
func (t *task) recordStopped(ctx context.Context) error {
	if err := t.move(ctx, stoppingItself); err != nil {
		return err
	}
	if err := t.cond.ActionStart(ctx, t.inst.UUID(), "stop"); err != nil {
		return fmt.Errorf("open action: %w", err)
	}
	t.op.event = "compute_stop_instance"
	if err := t.openEvent(ctx); err != nil {
		return err
	}
	t.inform(ctx, newsPowerOff, phaseStart, detail{})
	err := t.moveTo(ctx, stopped)
	if err == nil {
		t.inform(ctx, newsPowerOff, phaseEnd, detail{})
	}
	t.closeEvent(ctx, err)
	return err
}

// ownTask is a task that the node gives itself.
func (a *Agent) ownTask(name, uuid string, rc rpc.Context) *task {
	inst := nova.As[nova.Instance](a.profile.New("Instance"))
	inst.Set("uuid", uuid)
	inst.ClearChanges()
	t := &task{Agent: a, cfg: a.live(), op: operation{method: name}, req: &rpc.Request{Context: rc}, rc: rc, cond: a.conductor.With(rc), id: identity(rc), inst: inst, began: time.Now(), told: newToldParts()}
	t.log = a.log.WithField("op", name).WithField("request_id", rc.RequestID()).WithField("instance", uuid)
	return t
}

// hearPower follows what libvirt says happened to one guest. Changes that an operation makes are its own to record.
func (a *Agent) hearPower(ctx context.Context, e hypervisor.Event, g *errgroup.Group) {
	switch e.Kind {
	case hypervisor.EventStarted, hypervisor.EventResumed, hypervisor.EventSuspended, hypervisor.EventStopped,
		hypervisor.EventCrashed, hypervisor.EventPMSuspended:
	default:
		return
	}
	if name, _ := a.queues.busy(e.UUID); name != "" || !a.cfg.Workarounds.HandleVirtLifecycleEvents || !a.serving.Load() {
		return
	}
	if !g.TryGo(func() error { a.watchPower(ctx, e.UUID); return nil }) {
		a.log.WithField("instance", e.UUID).Debug("many guests change state at once; the next comparison will see to it")
	}
}
