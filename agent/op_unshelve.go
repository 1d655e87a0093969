package agent

import (
	"context"
	"fmt"
	"time"

	"bolide/agent/journal"
	"bolide/agent/network"
	"bolide/agent/resources"
	"bolide/rpc/nova"
)

// opUnshelve brings an offloaded instance back to life on this host, from the image it was shelved to: action unshelve.
func opUnshelve(*Agent) operation {
	return operation{
		method: "unshelve_instance", foreign: true, event: "compute_unshelve_instance",
		queued: true, interruptible: true, clearsTask: true, keepsFault: true,
		do: func(ctx context.Context, t *task) (any, error) {
			u, err := t.unshelving(ctx)
			if err != nil {
				return nil, err
			}
			t.inform(ctx, newsUnshelve, phaseStart, detail{})
			if err := t.run(ctx, u.steps()); err != nil {
				u.takeBack(ctx)
				return nil, err
			}
			if u.image.ID != "" {
				t.removeImage(ctx, u.image.ID)
			}
			t.inform(ctx, newsUnshelve, phaseEnd, detail{})
			return nil, nil
		},
	}
}

// unshelving is what the steps of an unshelve share.
type unshelving struct {
	*spawn
	spec   nova.RequestSpec
	limits *resources.NUMALimits // how far the scheduler promised this host over
	before *nova.Object          // the record as it was, offloaded
}

// hiddenFields of the record are changed while the guest is made, and say afterwards what they said before: it looks
// like one built from the shelf's image, and a guest that exists is not given its key again.
var hiddenFields = []string{"image_ref", "key_data", "auto_disk_config"}

// unshelving reads the request. The availability zone is the one that the conductor chose with the host: the record
// has none meanwhile.
func (t *task) unshelving(ctx context.Context) (*unshelving, error) {
	zone := t.inst.Raw("availability_zone")
	s, err := t.existing(ctx)
	if err != nil {
		return nil, err
	}
	t.inst.Set("availability_zone", zone)
	u := &unshelving{spawn: s, before: t.inst.Object.Clone()}
	if err := u.readImage("image"); err != nil {
		return nil, err
	}
	args := nova.NewArgs(t.req.Args)
	u.limits = numaLimits(args.Dict("filter_properties")["limits"])
	if err := args.Err(); err != nil {
		return nil, err
	}
	if raw, ok := t.req.Args["request_spec"]; ok && string(raw) != "null" {
		spec, err := nova.Decode(raw)
		if err != nil {
			return nil, fmt.Errorf("argument request_spec: %w", err)
		}
		u.spec = nova.RequestSpec{Object: spec}
	}
	return u, nil
}

// steps of an unshelve.
func (u *unshelving) steps() []step {
	steps := []step{
		{name: "announce", do: func(ctx context.Context) error { return u.move(ctx, unshelveSpawning) }},
		{name: "claim", do: u.claimResources, undo: u.unclaim},
		{name: "ports", do: u.bindPorts},
		{name: "disks", do: u.makeDisks, undo: u.removeFiles},
	}
	steps = append(steps, u.spawn.steps()...)
	return append(steps, step{name: "activate", do: u.activate})
}

// claimResources claims the host and plans the guest's disks.
func (u *unshelving) claimResources(ctx context.Context) error {
	u.page.Note(func(r *journal.Record) {
		r.Fields = map[string]any{}
		for _, f := range hiddenFields {
			r.Fields[f] = u.before.Raw(f)
		}
	})
	if u.image.ID != "" {
		u.inst.Set("image_ref", u.image.ID)
	}
	u.inst.Set("key_data", nil)
	u.inst.Set("auto_disk_config", false)
	if err := u.takeHost(ctx, u.limits); err != nil {
		return err
	}
	r, err := u.request(ctx)
	if err != nil {
		return err
	}
	return u.planDisks(r)
}

// bindPorts brings the instance's ports, which were kept for it, to this host.
func (u *unshelving) bindPorts(ctx context.Context) error {
	request := network.HostRequest{
		InstanceUUID: u.inst.UUID(), ProjectID: u.inst.ProjectID(), AvailabilityZone: u.inst.AvailabilityZone(),
		Host: u.cfg.Default.Host,
	}
	if u.spec.Object != nil {
		request.ProviderMapping = u.spec.ProviderMapping()
	}
	if err := u.ports.BindHost(ctx, u.id, request); err != nil {
		return portError(err)
	}
	vifs, err := u.readPorts(ctx, network.RefreshRequest{Current: u.vifs, Records: vifRecords{u.cond}})
	if err != nil {
		return err
	}
	u.vifs = vifs
	return u.cachePorts(ctx, vifs)
}

// activate tells the control plane that the guest runs again.
func (u *unshelving) activate(ctx context.Context) error {
	err := u.moveTo(ctx, unshelved, func(i *nova.Instance) {
		u.restore(hiddenFields...)
		i.SetLaunchedAt(time.Now())
		forgetShelf(i)
	})
	if err != nil {
		return err
	}
	u.tellScheduler(ctx)
	return nil
}

// restore gives the record's fields back what they said before.
func (u *unshelving) restore(fields ...string) {
	for _, f := range fields {
		u.inst.Set(f, u.before.Raw(f))
	}
}

// takeBack leaves an instance whose unshelving failed as it was before, offloaded; the operation's own write of the
// task state saves it.
func (u *unshelving) takeBack(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordLimit)
	defer cancel()
	if err := u.resources.DeleteAllocation(ctx, u.id, u.inst.UUID()); err != nil {
		u.log.WithError(err).Warn("allocation of an instance that was not unshelved is left")
	}
	u.restore(hiddenFields...)
	u.restore("vm_state", "power_state", "launched_at", "system_metadata")
	leaveHost(u.inst)
}
