package resources

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"

	"bolide/agent/cloud"
	"bolide/rpc/nova"
)

// The resource classes of a host without special hardware.
const (
	classVCPU   = "VCPU"
	classPCPU   = "PCPU"
	classMemory = "MEMORY_MB"
	classDisk   = "DISK_GB"
)

// Traits that this package adds to what the probe reports.
const (
	traitNode     = "COMPUTE_NODE"            // tells Nova's providers from others
	traitDisabled = "COMPUTE_STATUS_DISABLED" // keeps the scheduler away from a disabled service
)

// tellPlacement brings the provider to what the host has. The caller has the turn of t.saving.
func (t *Tracker) tellPlacement(ctx context.Context, cond *nova.Conductor, node *nova.ComputeNode, f Figures) error {
	id := requestOf(cond)
	traits, err := t.traits(ctx, cond)
	if err != nil {
		return err
	}
	w := want{uuid: node.UUID(), name: node.HypervisorHostname(), ours: traits}
	if t.provider.stale(w.uuid) {
		if err := t.provider.read(ctx, id, w); err != nil {
			t.provider.forget()
			return err
		}
	}
	w.inventories = t.inventories(f, node)
	if err := t.provider.ensure(ctx, id, w); err != nil {
		return fmt.Errorf("update Placement: %w", err)
	}
	return nil
}

// traits is every trait that is ours to say, and whether the host has it.
func (t *Tracker) traits(ctx context.Context, cond *nova.Conductor) (map[string]bool, error) {
	probed, err := t.opts.Probe.Traits(ctx)
	if err != nil {
		return nil, fmt.Errorf("probe the host's traits: %w", err)
	}
	traits := maps.Clone(probed)
	traits[traitNode] = true
	service, err := cond.ServiceByComputeHost(ctx, t.opts.Host)
	switch {
	case err == nil:
		traits[traitDisabled] = service.Bool("disabled")
	case !nova.Is(err, "NotFound"):
		return nil, fmt.Errorf("read the service record: %w", err)
	}
	return traits, nil
}

// inventories is what the host has to give, as Nova's own node counts it.
func (t *Tracker) inventories(f Figures, node *nova.ComputeNode) map[string]cloud.Inventory {
	out := map[string]cloud.Inventory{}
	add := func(class string, total, reserved int64, ratio float64) {
		if total > 0 { // Placement refuses inventories of nothing
			out[class] = cloud.Inventory{Total: int(total), Reserved: int(reserved), MinUnit: 1, MaxUnit: int(total), StepSize: 1, AllocationRatio: ratio}
		}
	}
	add(classVCPU, f.VCPUs, t.opts.ReservedCPUs, t.ratio(classVCPU, t.opts.Ratios.CPU, t.opts.InitialRatios.CPU))
	add(classPCPU, f.PCPUs, 0, 1)
	add(classMemory, f.MemoryMB, t.opts.ReservedMemoryMB, t.ratio(classMemory, t.opts.Ratios.RAM, t.opts.InitialRatios.RAM))
	disk := int64(math.Ceil(float64(t.opts.ReservedDiskMB) / 1024))
	if t.opts.CountImageCache {
		disk += f.ImageCacheGB
	}
	add(classDisk, f.LocalGB, disk, t.ratio(classDisk, t.opts.Ratios.Disk, t.opts.InitialRatios.Disk))
	return out
}

// ratio is the configured one; else the one an operator set in Placement; else the initial one.
func (t *Tracker) ratio(class string, configured, initial float64) float64 {
	if configured != 0 {
		return configured
	}
	if have, ok := t.provider.inventories[class]; ok && have.AllocationRatio != 0 {
		return have.AllocationRatio
	}
	return initial
}

// SetDisabled tells Placement whether the scheduler may use this host, at once.
func (t *Tracker) SetDisabled(ctx context.Context, cond *nova.Conductor, s Status) error {
	if err := t.saving.take(ctx); err != nil {
		return err
	}
	defer t.saving.release()
	t.mu.Lock()
	node := t.node
	t.mu.Unlock()
	if node == nil {
		return nil // the first Update will
	}
	id := requestOf(cond)
	w := want{uuid: node.UUID(), name: node.HypervisorHostname(), ours: map[string]bool{traitDisabled: bool(s)}}
	t.provider.forget()
	if err := t.provider.read(ctx, id, w); err != nil {
		return err
	}
	w.inventories = t.provider.inventories
	return t.provider.ensure(ctx, id, w)
}

// Status says whether the service is disabled.
type Status bool

// The two states of a service.
const (
	Enabled  Status = false
	Disabled Status = true
)

// DeleteAllocation takes the instance's allocation away, wherever it is. It may be repeated.
func (t *Tracker) DeleteAllocation(ctx context.Context, id cloud.Identity, consumer string) error {
	if err := t.opts.Placement.DeleteAllocation(ctx, id, consumer); err != nil {
		return fmt.Errorf("delete the allocation of %s: %w", consumer, err)
	}
	return nil
}

// MoveAllocation gives the consumer to what the consumer from has, in place of its own: so a guest gets back its share
// of the host it came from, which the move held meanwhile. Where from has nothing it does nothing and may be repeated.
// Two writers too many are AllocationMoveFailed.
func (t *Tracker) MoveAllocation(ctx context.Context, id cloud.Identity, from, to string) error {
	var conflict error
	for range conflictTries {
		source, err := t.opts.Placement.Allocation(ctx, id, from)
		if err != nil {
			return fmt.Errorf("read the allocation of %s: %w", from, err)
		}
		if len(source.Allocations) == 0 {
			return nil
		}
		target, err := t.opts.Placement.Allocation(ctx, id, to)
		if err != nil {
			return fmt.Errorf("read the allocation of %s: %w", to, err)
		}
		moved := *source
		moved.ConsumerGeneration = target.ConsumerGeneration
		source.Allocations = map[string]cloud.ProviderAllocation{}
		conflict = t.opts.Placement.SetAllocations(ctx, id, map[string]cloud.Allocation{from: *source, to: moved})
		if conflict == nil {
			return nil
		}
		if !cloud.IsConflict(conflict) {
			return fmt.Errorf("move the allocation of %s to %s: %w", from, to, conflict)
		}
	}
	return nova.NewError("AllocationMoveFailed", map[string]any{
		"source_consumer": from, "target_consumer": to, "error": conflict}).Because(conflict)
}

// LeaveAllocation takes this host's share out of what a consumer takes, which is on its way elsewhere or has got there.
// It may be repeated.
func (t *Tracker) LeaveAllocation(ctx context.Context, id cloud.Identity, consumer string) error {
	host := t.NodeUUID()
	var conflict error
	for range conflictTries {
		a, err := t.opts.Placement.Allocation(ctx, id, consumer)
		if err != nil {
			return fmt.Errorf("read the allocation of %s: %w", consumer, err)
		}
		if _, here := a.Allocations[host]; !here {
			return nil
		}
		delete(a.Allocations, host)
		if conflict = t.opts.Placement.SetAllocation(ctx, id, consumer, *a); conflict == nil {
			return nil
		}
		if !cloud.IsConflict(conflict) {
			break
		}
	}
	return fmt.Errorf("take this host out of the allocation of %s: %w", consumer, conflict)
}

// Consumers are who takes resources of this host, by Placement: instances, and moves by their migration's uuid.
func (t *Tracker) Consumers(ctx context.Context) ([]string, error) {
	uuid := t.NodeUUID()
	if uuid == "" {
		return nil, nil // not measured yet
	}
	c, err := t.opts.Placement.Consumers(ctx, cloud.Identity{}, uuid)
	if err != nil {
		return nil, fmt.Errorf("read who takes resources of this host: %w", err)
	}
	return slices.Sorted(maps.Keys(c.Allocations)), nil
}

// requestOf is the node's own identity, bearing the request's id.
func requestOf(cond *nova.Conductor) cloud.Identity {
	rc := cond.Context()
	return cloud.Identity{RequestID: rc.RequestID(), GlobalRequestID: rc.GlobalRequestID()}
}
