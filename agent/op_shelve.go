package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"bolide/agent/network"
	"bolide/rpc/nova"
)

// Where a shelved instance keeps what it was shelved to, when and where.
const (
	shelvedImageKey = "shelved_image_id"
	shelvedAtKey    = "shelved_at"
	shelvedHostKey  = "shelved_host"
)

// The time of shelving as Nova writes it, in UTC, and as it is read, with a fraction or without: Nova leaves out one of
// zero.
const (
	shelvedAtFormat = "2006-01-02T15:04:05.000000"
	shelvedAtRead   = "2006-01-02T15:04:05"
)

// opShelve switches a guest off and keeps its root disk as an image: action shelve. With a shelved_offload_time of 0
// it is taken off the host at once.
func opShelve(*Agent) operation {
	return operation{
		method: "shelve_instance", event: "compute_shelve_instance",
		queued: true, interruptible: true, clearsTask: true, keepsFault: true,
		do: func(ctx context.Context, t *task) (any, error) {
			c := &capture{task: t, states: shelveStates}
			clean := true
			for _, err := range []error{
				c.readImageID(), t.req.OptionalArg("clean_shutdown", &clean),
			} {
				if err != nil {
					return nil, err
				}
			}
			if err := c.shelve(ctx, powerOffOptions{Clean: clean}); err != nil {
				return nil, err
			}
			if t.cfg.Default.ShelvedOffloadTime != 0 {
				return nil, nil
			}
			return nil, t.offload(ctx, powerOffOptions{})
		},
	}
}

// shelve makes the image of a guest that is off. When that fails the guest is switched on again if it was on.
func (c *capture) shelve(ctx context.Context, o powerOffOptions) error {
	s, err := c.existing(ctx)
	if err != nil {
		return err
	}
	power, err := c.powerNow(ctx)
	if err != nil {
		return err
	}
	if power == nova.PowerPaused {
		o.Clean = false // it could not answer the power button
	}
	c.informExists(ctx)
	c.inform(ctx, newsShelve, phaseStart, detail{})
	steps := []step{{name: "power off", do: func(ctx context.Context) error { return c.powerOff(ctx, o) }}}
	steps = append(steps, c.steps()...)
	steps = append(steps, step{name: "record", do: c.recordShelved})
	failure := c.run(ctx, steps)
	if failure == nil {
		c.inform(ctx, newsShelve, phaseEnd, detail{})
		return nil
	}
	undoing, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoLimit)
	defer cancel()
	c.removeImage(undoing, c.imageID)
	if power == nova.PowerRunning && !interrupted(failure) {
		if err := s.restart(undoing); err != nil {
			c.log.WithError(err).Warn("guest not switched on again after its shelving failed")
		}
	}
	return failure
}

func (c *capture) recordShelved(ctx context.Context) error {
	done := shelved
	if c.cfg.Default.ShelvedOffloadTime == 0 {
		done = shelvedToOffload
	}
	return c.moveTo(ctx, done, func(i *nova.Instance) {
		i.PutSystemMetadata(shelvedAtKey, time.Now().UTC().Format(shelvedAtFormat))
		i.PutSystemMetadata(shelvedImageKey, c.imageID)
		i.PutSystemMetadata(shelvedHostKey, c.cfg.Default.Host)
	})
}

// leaveShelf makes the change that brings a guest back, and removes the image of its time on the shelf, if it was
// there: the guest has its own disk.
func (t *task) leaveShelf(ctx context.Context, c change) error {
	image := t.inst.SystemMetadata()[shelvedImageKey]
	if err := t.moveTo(ctx, c, forgetShelf); err != nil {
		return err
	}
	if image != "" {
		t.removeImage(ctx, image)
	}
	return nil
}

// forgetShelf takes the notes of a shelving off the record.
func forgetShelf(i *nova.Instance) {
	meta := i.SystemMetadata()
	for _, key := range []string{shelvedAtKey, shelvedImageKey, shelvedHostKey} {
		if _, there := meta[key]; there {
			i.DropSystemMetadata(key)
		}
	}
}

// opShelveOffload takes a shelved guest off the host: action shelveOffload.
func opShelveOffload(*Agent) operation {
	return operation{
		method: "shelve_offload_instance", event: "compute_shelve_offload_instance",
		queued: true, clearsTask: true, keepsFault: true,
		do: func(ctx context.Context, t *task) (any, error) {
			var o powerOffOptions
			if err := t.req.OptionalArg("clean_shutdown", &o.Clean); err != nil {
				return nil, err
			}
			if err := t.load(ctx); err != nil {
				return nil, err
			}
			return nil, t.offload(ctx, o)
		},
	}
}

// offloading is what the steps of an offload share.
type offloading struct {
	*task
	how       powerOffOptions
	power     nova.PowerState // of the guest when it was last seen
	vifs      network.Info
	uncleaned error // why files were left behind
}

// offload takes everything of a shelved guest off this host but its ports, which stay reserved in Neutron. Like a
// delete it is not undone but asked for again.
func (t *task) offload(ctx context.Context, how powerOffOptions) error {
	o := &offloading{task: t, how: how}
	t.inform(ctx, newsShelveOffload, phaseStart, detail{})
	if err := t.run(ctx, o.steps()); err != nil {
		return err
	}
	t.inform(ctx, newsShelveOffload, phaseEnd, detail{})
	return nil
}

// steps of an offload. The allocation is given back before the record says that the guest is gone, so that who waits
// for that finds the room free.
func (o *offloading) steps() []step {
	return []step{
		{name: "power off", do: o.switchOff},
		{name: "read ports", do: o.findPorts},
		{name: "remove domain", do: o.removeDomain},
		{name: "unplug", do: func(ctx context.Context) error { return o.unplug(ctx, o.vifs) },
			beside: []step{{name: "remove files", do: func(ctx context.Context) error {
				o.uncleaned = o.removeFiles(ctx)
				return nil
			}}}},
		{name: "release allocation", do: func(ctx context.Context) error {
			return o.resources.DeleteAllocation(ctx, o.id, o.inst.UUID())
		}},
		{name: "record", do: o.record},
		{name: "leave host", do: o.leave},
	}
}

func (o *offloading) switchOff(ctx context.Context) error {
	if err := o.powerOff(ctx, o.how); err != nil {
		return err
	}
	var err error
	o.power, err = o.powerNow(ctx)
	return err
}

// findPorts reads the ports anew and keeps them on the record, where the next host finds them.
func (o *offloading) findPorts(ctx context.Context) error {
	vifs, err := o.readPorts(ctx, network.RefreshRequest{Current: o.cachedPorts(), Records: vifRecords{o.cond}})
	if err != nil {
		return err
	}
	o.vifs = vifs
	return o.cachePorts(ctx, vifs)
}

func (o *offloading) record(ctx context.Context) error {
	return o.move(ctx, offloaded, func(i *nova.Instance) {
		o.noteCleaning(o.uncleaned)
		i.SetPowerState(o.power)
	})
}

// leave takes this host off the record, after the capacity that is told of says so too.
func (o *offloading) leave(ctx context.Context) error {
	o.resources.Forget(o.inst.UUID())
	if err := o.resources.Tell(ctx, o.cond.With(o.rc.Elevated())); err != nil {
		o.log.WithError(err).Warn("capacity not told; the next audit will")
	}
	if err := o.move(ctx, leftHost, leaveHost); err != nil {
		return err
	}
	o.tellSchedulerGone(ctx)
	return nil
}

// leaveHost takes the host off an instance's record.
func leaveHost(i *nova.Instance) {
	i.SetHost("")
	i.SetNode("")
	i.SetLaunchedOn("")
	i.Set("availability_zone", nil)
}

// offloadShelved takes the instances off the host that were shelved longer than shelved_offload_time ago.
func (a *Agent) offloadShelved(ctx context.Context) error {
	instances, err := a.freshConductor().FromReplica().InstancesByFilters(ctx, map[string]any{
		"vm_state": string(nova.VMShelved), "task_state": nil, "host": a.cfg.Default.Host,
	}, "system_metadata")
	if err != nil {
		return fmt.Errorf("list shelved instances: %w", err)
	}
	var errs []error
	for _, i := range instances {
		at, err := time.Parse(shelvedAtRead, i.SystemMetadata()[shelvedAtKey])
		if err != nil {
			errs = append(errs, fmt.Errorf("instance %s: when it was shelved: %w", i.UUID(), err))
			continue
		}
		if time.Since(at) <= a.cfg.Default.ShelvedOffloadTime {
			continue
		}
		errs = append(errs, a.inTurn(ctx, "offload shelved", i.UUID(), func(ctx context.Context, t *task) error {
			t.inst = i
			if err := t.move(ctx, offloadDue); err != nil {
				return err
			}
			t.op = opShelveOffload(a)
			_, err := t.recorded(ctx)
			return err
		}))
	}
	return errors.Join(errs...)
}
