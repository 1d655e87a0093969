package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"bolide/agent/journal"
	"bolide/agent/network"
	"bolide/agent/resources"
	"bolide/rpc/nova"
)

// opBuild makes a new guest: POST /servers, after the scheduler chose this host.
func opBuild(*Agent) operation {
	return operation{
		method: "build_and_run_instance", foreign: true, event: "compute__do_build_and_run_instance",
		queued: true, interruptible: true, clearsTask: true, keepsFault: true,
		do: func(ctx context.Context, t *task) (any, error) { return nil, t.build(ctx) },
	}
}

// build is one attempt to build an instance on this host, and what its steps share.
type build struct {
	*spawn
	filter    map[string]any        // filter_properties: how often the scheduler may try again, and why it last failed
	hosts     json.RawMessage       // host_list: where else the instance could go
	spec      nova.RequestSpec      // as the scheduler saw the request
	requested []network.Requested   // ports and networks asked for
	limits    *resources.NUMALimits // how far the scheduler promised over; nil: not at all
}

// buildArguments reads the request. A null or missing optional argument is an empty one, as for Nova's node.
func (t *task) buildArguments() (*build, error) {
	b := &build{spawn: &spawn{task: t}}
	var password *string
	for _, err := range []error{
		t.req.OptionalArg("filter_properties", &b.filter),
		t.req.OptionalArg("security_groups", &b.groups),
		t.req.OptionalArg("admin_password", &password),
		b.readImage("image"),
	} {
		if err != nil {
			return nil, err
		}
	}
	b.hosts = t.req.Args["host_list"]
	if password != nil {
		b.password = *password
	}
	var err error
	if b.bdms, err = t.bdmArgument("block_device_mapping"); err != nil {
		return nil, err
	}
	if b.requested, err = t.requestedNetworks("requested_networks"); err != nil {
		return nil, err
	}
	if b.files, err = t.filesArgument("injected_files"); err != nil {
		return nil, err
	}
	spec, err := nova.Decode(t.req.Args["request_spec"])
	if err != nil {
		return nil, fmt.Errorf("argument request_spec: %w", err)
	}
	b.spec = nova.RequestSpec{Object: spec}
	limits, err := nova.DecodeValue(nova.NewArgs(t.req.Args).Raw("limits"))
	if err != nil {
		return nil, fmt.Errorf("argument limits: %w", err)
	}
	b.limits = numaLimits(limits)
	return b, nil
}

// build accepts the instance, builds it, and settles what came of it. Like Nova's node it does not fail: the
// outcome is in the instance's states, its fault and its next host.
func (t *task) build(ctx context.Context) error {
	b, err := t.buildArguments()
	if err != nil {
		return err
	}
	if err := t.builds.Acquire(ctx, 1); err != nil {
		return b.settle(ctx, err)
	}
	defer t.builds.Release(1)
	if err := t.move(ctx, buildAccepted); err != nil {
		if nova.Is(err, "InstanceNotFound") || nova.Is(err, "UnexpectedTaskStateError") {
			t.log.WithError(err).Info("instance is no longer to be built")
			return t.resources.DeleteAllocation(ctx, t.id, t.inst.UUID())
		}
		return err
	}
	t.inform(ctx, newsCreate, phaseStart, detail{usage: map[string]any{"image_name": b.image.Name}})
	return b.settle(ctx, t.run(ctx, b.steps()))
}

// steps of a build. The claim comes first because it is what says that the host can have the guest. Ports and
// disks do not wait for each other. Events are expected before the ports are plugged, since they may come at once.
func (b *build) steps() []step {
	steps := []step{
		{name: "claim", do: b.claimResources, undo: b.unclaim},
		{name: "prepare devices", do: b.prepareDevices},
		{name: "ports", do: b.allocatePorts, undo: b.releasePorts, beside: []step{
			{name: "disks", do: b.makeDisks, undo: b.removeFiles},
		}},
	}
	steps = append(steps, b.spawn.steps()...)
	return append(steps, step{name: "activate", do: b.activate})
}

// claimResources holds what the guest takes and puts this host on its record.
func (b *build) claimResources(ctx context.Context) error {
	if err := b.draining.refusal(); err != nil {
		return err
	}
	b.inst.PutSystemMetadata("boot_roles", strings.Join(roles(b.rc), ","))
	if err := b.takeHost(ctx, b.limits); err != nil {
		return err
	}
	return b.checkGroupPolicy(ctx, b.spec)
}

// prepareDevices names the guest's devices and takes the instance through the states in between.
func (b *build) prepareDevices(ctx context.Context) error {
	if err := b.move(ctx, buildNetworking); err != nil {
		return err
	}
	if err := b.nameDevices(ctx); err != nil {
		return err
	}
	if err := b.move(ctx, buildDevices); err != nil {
		return err
	}
	return b.move(ctx, buildSpawning)
}

func (b *build) allocatePorts(ctx context.Context) error {
	b.page.Note(func(r *journal.Record) { r.Ports = &journal.Ports{Foreign: foreignPorts(b.requested)} })
	request := network.AllocateRequest{
		InstanceUUID: b.inst.UUID(), ProjectID: b.inst.ProjectID(),
		Hostname: b.inst.Hostname(), AvailabilityZone: b.inst.AvailabilityZone(), Host: b.cfg.Default.Host,
		Requested: b.requested, SecurityGroups: b.groups, ProviderMapping: b.spec.ProviderMapping(),
		Records: vifRecords{b.cond},
	}
	vifs, err := b.askAgain(ctx, func() (network.Info, error) { return b.ports.Allocate(ctx, b.id, request) })
	if err != nil {
		return portError(err)
	}
	b.vifs = vifs
	b.inst.PutSystemMetadata("network_allocated", "True")
	return b.cachePorts(ctx, vifs)
}

// askAgain asks for ports until it gets them, as often as network_allocate_retries says and with growing pauses.
func (b *build) askAgain(ctx context.Context, ask func() (network.Info, error)) (network.Info, error) {
	const first, last = time.Second, 30 * time.Second
	for pause, again := first, b.cfg.Default.NetworkAllocateRetries; ; pause, again = min(2*pause, last), again-1 {
		vifs, err := ask()
		if err == nil || again == 0 || ctx.Err() != nil {
			return vifs, err
		}
		b.log.WithError(err).Warn("ports not allocated; trying again")
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func (b *build) releasePorts(ctx context.Context) error {
	if err := b.givePortsBack(ctx, b.vifs, b.requested); err != nil {
		return err
	}
	b.vifs = nil
	b.inst.PutSystemMetadata("network_allocated", "False")
	return nil
}

// activate tells the control plane that the guest runs.
func (b *build) activate(ctx context.Context) error {
	b.inst.DropSystemMetadata("network_allocated")
	err := b.move(ctx, buildDone, func(i *nova.Instance) {
		i.SetPowerState(nova.PowerRunning)
		i.SetLaunchedAt(time.Now())
		setAccessAddresses(i, b.vifs, b.cfg.Default.DefaultAccessIPNetworkName)
	})
	if err != nil {
		return err
	}
	b.resources.Note(b.inst)
	b.tellScheduler(ctx)
	return nil
}

// setAccessAddresses shows the guest's first addresses in the named network as those it is reached at, unless its user
// has said others.
func setAccessAddresses(i *nova.Instance, vifs network.Info, name string) {
	if name == "" || i.Str("access_ip_v4") != "" || i.Str("access_ip_v6") != "" {
		return
	}
	for _, v := range vifs {
		if v.Network == nil || orEmpty(v.Network.Label) != name {
			continue
		}
		for _, ip := range v.FixedIPs() {
			if field := fmt.Sprintf("access_ip_v%d", ip.Version); i.Str(field) == "" {
				i.Set(field, ip.Address)
			}
		}
		return
	}
}

// checkGroupPolicy looks, now that the record names this host, whether the members of the instance's server group
// may share it: two builds at once may each have been right and be wrong together.
func (t *task) checkGroupPolicy(ctx context.Context, spec nova.RequestSpec) error {
	hints, _ := spec.Raw("scheduler_hints").(map[string]any)
	if len(hints) == 0 {
		return nil
	}
	return t.checkGroup(ctx)
}

// checkGroup looks whether the instance's server group lets it be on this host.
func (t *task) checkGroup(ctx context.Context) error {
	if t.cfg.Workarounds.DisableGroupPolicyCheckUpcall {
		return nil
	}
	group, err := t.cond.GroupOfInstance(ctx, t.inst.UUID())
	if nova.Is(err, "InstanceGroupNotFound") {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the instance's server group: %w", err)
	}
	hosts, err := t.cond.GroupHosts(ctx, group, t.inst.UUID())
	if err != nil {
		return fmt.Errorf("read the server group's hosts: %w", err)
	}
	here := false
	for _, h := range hosts {
		here = here || h == t.cfg.Default.Host
	}
	if (group.Policy() == "anti-affinity" && here) || (group.Policy() == "affinity" && len(hosts) > 0 && !here) {
		return nova.NewError("GroupAffinityViolation", map[string]any{"instance_uuid": t.inst.UUID(), "policy": group.Policy()})
	}
	return nil
}

// interrupted reports whether the build ended because somebody ended it, and the instance is not to be mourned.
func interrupted(err error) bool { return vanished(err) || errors.Is(err, errDeleted) }
