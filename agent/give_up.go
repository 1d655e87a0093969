package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"bolide/agent/cloud"
	"bolide/agent/network"
	"bolide/rpc/nova"
)

// This file ends what cannot be finished: the request with all its arguments is gone with the process that had it.

// giveUpBuild removes all that a build has made and puts the instance into the error state on no host, as a build does
// that fails. Where something cannot be removed the instance stays this host's, so that its delete comes here.
func (t *task) giveUpBuild(ctx context.Context, p pages) error {
	reason := nova.BuildAbort(t.inst.UUID(), nova.FaultMessage(t.interruption(p, "delete this server and create it again")))
	uncleaned := t.persist(ctx, func(ctx context.Context) error { return t.unbuild(ctx, p) })
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	t.concludeInterruption(ctx, p, reason)
	if uncleaned != nil {
		return errors.Join(uncleaned, t.move(ctx, buildFailed))
	}
	if err := t.move(ctx, buildFailed, leaveHost); err != nil {
		return ignoreVanished(err)
	}
	return t.freeClaim(ctx)
}

// unbuild takes everything of a build off the host and gives its ports and volumes back.
func (t *task) unbuild(ctx context.Context, p pages) error {
	bdms, err := t.cond.BlockDevices(ctx, t.inst.UUID())
	if err != nil {
		return fmt.Errorf("read block devices: %w", err)
	}
	d := &deletion{task: t, bdms: bdms}
	if d.kept, err = t.keptPorts(ctx, p); err != nil {
		return err
	}
	if err := t.run(ctx, d.teardown()); err != nil {
		return err
	}
	return d.uncleaned
}

// keptPorts are the ports that an unfinished build only borrowed. The journal names them. Without one, what was made
// before the instance was somebody else's; a port too many is kept rather than one deleted that is not ours.
func (t *task) keptPorts(ctx context.Context, p pages) ([]network.Requested, error) {
	var kept []network.Requested
	if r, ok := p.built(); ok && r.Ports != nil {
		for _, id := range r.Ports.Foreign {
			kept = append(kept, network.Requested{PortID: id})
		}
		return kept, nil
	}
	ports, err := t.cloud.Network().ListPorts(ctx, t.id.Node(), cloud.Filter{"device_id": {t.inst.UUID()}})
	if err != nil {
		return nil, fmt.Errorf("read the instance's ports: %w", err)
	}
	for _, port := range ports {
		if !port.CreatedAt.After(t.inst.CreatedAt()) {
			kept = append(kept, network.Requested{PortID: port.ID})
		}
	}
	return kept, nil
}

// freeClaim gives back what the host held for an instance that is no longer here.
func (t *task) freeClaim(ctx context.Context) error {
	t.resources.Forget(t.inst.UUID())
	if err := t.resources.Tell(ctx, t.cond.With(t.rc.Elevated())); err != nil {
		t.log.WithError(err).Warn("capacity not told; the next audit will")
	}
	t.tellSchedulerGone(ctx)
	return t.resources.DeleteAllocation(ctx, t.id, t.inst.UUID())
}

// giveUpUnshelve takes an instance that was on its way back off this host again. Its image is still on the shelf: it
// may be unshelved anew.
func (t *task) giveUpUnshelve(ctx context.Context, p pages) error {
	reason := t.interruption(p, "it is still shelved: unshelve it again")
	vifs := t.cachedPorts()
	err := t.persist(ctx, func(ctx context.Context) error {
		return t.run(ctx, []step{
			{name: "remove domain", do: t.removeDomain},
			{name: "unplug", do: func(ctx context.Context) error { return t.unplug(ctx, vifs) },
				beside: []step{{name: "remove files", do: t.removeFiles}}},
		})
	})
	if err != nil {
		return err
	}
	if t.inst.TaskState() != nova.NoTask {
		t.concludeInterruption(ctx, p, reason)
	}
	err = t.move(ctx, unshelveGivenUp, leaveHost, func(i *nova.Instance) {
		for field, value := range p.last().Fields {
			i.Set(field, value)
		}
	})
	if err != nil {
		return ignoreVanished(err)
	}
	return t.freeClaim(ctx)
}

// giveUpImage lets a guest go on whose disk was being copied. The image itself the journal has told of.
func (t *task) giveUpImage(ctx context.Context, p pages) error {
	if err := t.persist(ctx, func(ctx context.Context) error { return t.goOn(ctx) }); err != nil {
		return err
	}
	t.concludeInterruption(ctx, p, t.interruption(p, "the guest is as it was: ask for the image again"))
	return ignoreVanished(t.moveTo(ctx, taskGivenUp))
}

// goOn ends the copying of a guest's disk, and brings a guest back that was switched off for it.
func (t *task) goOn(ctx context.Context) error {
	power, err := t.powerNow(ctx)
	if err != nil {
		return err
	}
	c := &capture{task: t}
	if power == nova.PowerRunning || power == nova.PowerPaused {
		if err := c.findRoot(ctx); err != nil {
			return err
		}
		c.abandonJob(ctx)
		if c.canQuiesce() == nil {
			if err := c.thawGuest(ctx); err != nil {
				t.log.WithError(err).Debug("guest's file systems not thawed; they may never have been frozen")
			}
		}
		return nil
	}
	if t.inst.PowerState() != nova.PowerRunning || t.inst.VMState() != nova.VMActive {
		return nil
	}
	s, err := t.existing(ctx)
	if err != nil {
		return err
	}
	return s.wake(ctx)
}

// giveUpTask ends a task that needs asking for again, and leaves the guest alone.
func (t *task) giveUpTask(ctx context.Context, p pages) error {
	t.concludeInterruption(ctx, p, t.interruption(p, "the guest is as it was: ask again"))
	return ignoreVanished(t.moveTo(ctx, taskGivenUp))
}

// fail puts an instance into the error state whose disks may hold anything.
func (t *task) fail(ctx context.Context, p pages) error {
	t.concludeInterruption(ctx, p, t.interruption(p, "look at the guest's disks, then rebuild or delete it"))
	return ignoreVanished(t.moveTo(ctx, cutShort))
}

// bringBack starts a guest that ran when its host went down, if that is wanted. Else the comparison of power states
// records it as it is.
func (t *task) bringBack(ctx context.Context) error {
	if !t.cfg.Default.ResumeGuestsStateOnHostBoot {
		t.log.WithField("cause", t.absence).Warn("guest ran when this service last saw it and is off; resume_guests_state_on_host_boot does not ask for its start")
		return nil
	}
	err := t.persist(ctx, func(ctx context.Context) error { return t.startAgain(ctx) })
	if err == nil || ctx.Err() != nil {
		return err
	}
	t.storeFault(ctx, t.faultOf(err))
	return errors.Join(err, t.moveTo(ctx, cutShort))
}

func (t *task) startAgain(ctx context.Context) error {
	began := time.Now()
	s, err := t.existing(ctx)
	if err != nil {
		return err
	}
	if t.inst.VMState() == nova.VMRescued { // the definition is the rescue's, and stays
		if err := t.plug(ctx, s.vifs); err != nil {
			return err
		}
		err = s.startPlugged(ctx)
	} else {
		err = s.restart(ctx)
	}
	if err == nil {
		t.log.WithField("cause", t.absence).WithField("dur", time.Since(began).Round(time.Millisecond).String()).Info("guest started again")
	}
	return err
}
