package agent

import (
	"context"
	"fmt"

	"bolide/agent/notice"
	"bolide/agent/resources"
	"bolide/rpc/nova"
)

// opPrepResize accepts a guest that is to move to this host or change its size on it: actions resize and migrate, after
// the scheduler chose this host.
func opPrepResize(*Agent) operation {
	return operation{
		method: "prep_resize", foreign: true, event: "compute_prep_resize",
		queued: true, clearsTask: true, keepsFault: true,
		do: func(ctx context.Context, t *task) (any, error) {
			p, err := t.prepareResize()
			if err != nil {
				return nil, err
			}
			return nil, p.prepare(ctx)
		},
	}
}

// resizeOffer is a move that was offered to this host.
type resizeOffer struct {
	*coldMove
	flavor   nova.Flavor
	filter   map[string]any    // filter_properties: how often the scheduler may try again
	hosts    []*nova.Selection // where else the guest could go
	zone     string            // availability zone of this host
	shutdown nova.Shutdown
	claimed  bool
}

func (t *task) prepareResize() (*resizeOffer, error) {
	m, err := t.coldMove()
	if err != nil {
		return nil, err
	}
	p := &resizeOffer{
		coldMove: m, flavor: m.args.Flavor("flavor"), filter: m.args.Dict("filter_properties"),
		hosts: m.args.Selections("host_list"), zone: t.inst.AvailabilityZone(), shutdown: m.args.Shutdown("clean_shutdown"),
	}
	return p, m.args.Err()
}

// prepare holds what the guest will take and asks its host for it; or hands it back, to be moved elsewhere.
func (p *resizeOffer) prepare(ctx context.Context) error {
	flavor := map[string]any{"new_flavor": notice.Flavor(p.flavor)}
	p.informExists(ctx)
	p.inform(ctx, newsPrepResize, phaseStart, detail{fields: flavor})
	defer func() { // whatever comes of it, as Nova's node tells it
		p.inform(ctx, newsPrepResize, phaseEnd, detail{fields: flavor, usage: map[string]any{
			"new_instance_type": p.flavor.Name(), "new_instance_type_id": p.flavor.ID(),
		}})
	}()
	failure := p.run(ctx, []step{
		{name: "read instance", do: p.read},
		{name: "check", do: p.check},
		{name: "claim", do: p.claim, undo: p.unclaim},
		{name: "ask the source", do: p.askSource},
	})
	if failure == nil {
		return nil
	}
	p.returnAllocation(ctx)
	if p.retries() && !interrupted(failure) {
		if err := p.retry(ctx, failure); err == nil {
			return nil
		}
	}
	return p.rollBack(ctx, failure)
}

// check refuses what this host must not take.
func (p *resizeOffer) check(ctx context.Context) error {
	if p.inst.Host() == "" {
		return nova.NewError("MigrationError", map[string]any{"reason": "Instance has no source host"})
	}
	if p.inst.Host() != p.cfg.Default.Host {
		if err := p.draining.refusal(); err != nil {
			return err
		}
	}
	if p.spec != nil {
		if err := p.checkGroupPolicy(ctx, *p.spec); err != nil {
			return err
		}
	}
	if p.inst.Host() == p.cfg.Default.Host && p.flavor.ID() == p.inst.InstanceTypeID() {
		return nova.NewError("UnableToMigrateToSelf", map[string]any{"instance_id": p.inst.UUID(), "host": p.cfg.Default.Host})
	}
	return nil
}

// claim holds what the guest will take here, and puts it on the records of the instance and the move.
func (p *resizeOffer) claim(ctx context.Context) error {
	p.claimed = true
	p.inst.Set("new_flavor", p.flavor.Object)
	p.inst.PutSystemMetadata(oldStateKey, string(p.before))
	if p.zone != "" {
		p.inst.Set("availability_zone", p.zone)
	}
	if err := p.cond.SaveInstance(ctx, p.inst, nova.Expect{}); err != nil {
		return err
	}
	if err := p.markDestination(ctx); err != nil {
		return err
	}
	topology, err := p.resources.ClaimMove(p.inst, resources.Move{
		Migration: p.migration, Topology: p.topology(), Limits: numaLimits(p.filter["limits"]),
	})
	if err != nil {
		return err
	}
	p.inst.Set("migration_context", p.task.moveContext(p.migration, topology))
	if err := p.cond.SaveInstance(ctx, p.inst, nova.Expect{}); err != nil {
		return err
	}
	return p.tell(ctx)
}

// topology is the NUMA topology that the guest asks for.
func (m *coldMove) topology() *nova.Object {
	if m.spec == nil {
		return m.inst.NUMATopology().Object
	}
	return m.spec.Obj("numa_topology")
}

// markDestination puts this host on the move's record.
func (m *coldMove) markDestination(ctx context.Context) error {
	m.migration.SetDestCompute(m.cfg.Default.Host)
	m.migration.SetDestNode(m.resources.NodeName())
	m.migration.SetDestHost(m.cfg.Default.MyIP)
	if m.profile.ComputeIDs {
		m.migration.Set("dest_compute_id", m.resources.NodeID())
	}
	return m.mark(ctx, nova.MigrationPreMigrating)
}

func (p *resizeOffer) unclaim(ctx context.Context) error {
	if !p.claimed {
		return nil
	}
	p.resources.Track(p.inst, nil)
	if err := p.tell(ctx); err != nil {
		return err
	}
	if p.inst.IsNull("migration_context") {
		return nil
	}
	return p.cond.DropMigrationContext(ctx, p.inst)
}

func (p *resizeOffer) askSource(ctx context.Context) error {
	return p.peer().ResizeInstance(ctx, p.inst.Host(), p.passOn(), p.flavor, p.shutdown)
}

// retries reports whether the scheduler may try another host.
func (p *resizeOffer) retries() bool {
	retry, ok := p.filter["retry"].(map[string]any)
	return ok && len(retry) > 0
}

// retry hands the move back to the conductor, which tries the next host, and notes why as the instance's fault.
func (p *resizeOffer) retry(ctx context.Context, failure error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordLimit)
	defer cancel()
	failure = p.moveFailure(failure)
	p.log.WithError(failure).Warn("guest cannot come here; handing it back to be moved elsewhere")
	err := p.move(ctx, resizeRetried)
	if err == nil {
		p.filter["retry"].(map[string]any)["exc"] = []string{nova.ClassOf(failure) + ": " + nova.FaultMessage(failure) + "\n"}
		err = p.cond.MigrateServer(ctx, nova.Move{
			Instance: p.inst, Flavor: p.flavor, RequestSpec: p.spec, HostList: p.hosts,
			SchedulerHint: map[string]any{"filter_properties": p.filter},
		})
	}
	if err != nil {
		p.log.WithError(err).Warn("the conductor does not take the guest back")
		p.storeFault(ctx, err)
		p.inform(ctx, newsResizeFailed, phaseError, detail{fault: err})
		return fmt.Errorf("hand the move back: %w", err)
	}
	p.storeFault(ctx, failure)
	p.inform(ctx, newsResizeFailed, phaseError, detail{fault: failure})
	return nil
}

// moveContext is what the instance holds at the two ends of the move.
func (t *task) moveContext(m *nova.Migration, topology *nova.Object) *nova.Object {
	mc := t.profile.New("MigrationContext")
	mc.Set("instance_uuid", t.inst.UUID())
	mc.Set("migration_id", m.ID())
	for _, part := range []string{"numa_topology", "pci_devices", "pci_requests", "resources"} {
		mc.Set("old_"+part, copyOf(t.inst.Raw(part)))
	}
	mc.Set("new_numa_topology", topology)
	mc.Set("new_pci_devices", t.profile.NewList("PciDeviceList"))
	mc.Set("new_pci_requests", t.portRequests())
	mc.Set("new_resources", nil)
	return mc
}

// portRequests are the PCI devices that come with the instance's ports; those of the flavor are the host's to find.
func (t *task) portRequests() *nova.Object {
	requests := t.profile.New("InstancePCIRequests")
	requests.Set("instance_uuid", t.inst.UUID())
	ports := []*nova.Object{}
	for _, r := range t.inst.PCIRequests().List("requests") {
		if r.IsNull("alias_name") {
			ports = append(ports, r.Clone())
		}
	}
	requests.Set("requests", ports)
	return requests
}

// copyOf keeps an object from being shared by two others.
func copyOf(v any) any {
	if o, ok := v.(*nova.Object); ok {
		return o.Clone()
	}
	return v
}
