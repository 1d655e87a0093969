package resources

import (
	"context"
	"fmt"

	"bolide/rpc/nova"
)

// ensureNode finds the host's ComputeNode record or creates it from the figures.
func (t *Tracker) ensureNode(ctx context.Context, cond *nova.Conductor, f Figures) error {
	t.mu.Lock()
	known := t.node != nil
	t.mu.Unlock()
	if known {
		return nil
	}
	node, err := cond.ComputeNodeByHostAndNode(ctx, t.opts.Host, f.Hostname)
	switch {
	case err == nil:
	case nova.Is(err, "ComputeHostNotFound"):
		if node, err = t.createNode(ctx, cond, f); err != nil {
			return err
		}
	default:
		return fmt.Errorf("read the ComputeNode record of %s: %w", f.Hostname, err)
	}
	t.mu.Lock()
	t.node = node
	t.mu.Unlock()
	return nil
}

func (t *Tracker) createNode(ctx context.Context, cond *nova.Conductor, f Figures) (*nova.ComputeNode, error) {
	node := nova.As[nova.ComputeNode](cond.Profile().New("ComputeNode"))
	node.Set("host", t.opts.Host)
	node.Set("vcpus_used", 0)
	node.Set("memory_mb_used", f.MemoryUsedMB)
	node.Set("local_gb_used", f.LocalUsedGB)
	node.Set("stats", map[string]string{"failed_builds": "0"})
	describe(node, f)
	node.Set("numa_topology", nil)
	if f.NUMATopology != "" {
		node.Set("numa_topology", f.NUMATopology)
	}
	r := t.opts.InitialRatios
	setRatios(node, r)
	if err := cond.CreateComputeNode(ctx, node); err != nil {
		return nil, fmt.Errorf("create the ComputeNode record of %s: %w", f.Hostname, err)
	}
	t.log.WithField("host", f.Hostname).Info("compute node record created")
	return node, nil
}

// describe sets the fields that say what the host is.
func describe(node *nova.ComputeNode, f Figures) {
	node.Set("hypervisor_hostname", f.Hostname)
	node.Set("hypervisor_type", f.HypervisorType)
	node.Set("hypervisor_version", f.HypervisorVersion)
	node.Set("host_ip", f.HostIP)
	node.Set("vcpus", f.VCPUs+f.PCPUs)
	node.Set("memory_mb", f.MemoryMB)
	node.Set("local_gb", f.LocalGB)
	node.Set("disk_available_least", f.DiskAvailableLeast)
	node.Set("cpu_info", f.CPUInfo)
	if specs := hvSpecs(f.HVSpecs); !sameSpecs(node.List("supported_hv_specs"), specs) {
		node.Set("supported_hv_specs", specs)
	}
}

// hvSpecs makes the objects that say which guests the host can run.
func hvSpecs(specs [][3]string) []*nova.Object {
	out := make([]*nova.Object, len(specs))
	for i, s := range specs {
		o := nova.NewObject("HVSpec", "1.2")
		o.Set("arch", s[0])
		o.Set("hv_type", s[1])
		o.Set("vm_mode", s[2])
		out[i] = o
	}
	return out
}

func sameSpecs(a, b []*nova.Object) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		for _, f := range []string{"arch", "hv_type", "vm_mode"} {
			if a[i].Str(f) != b[i].Str(f) {
				return false
			}
		}
	}
	return true
}

// setRatios sets the ratios that are configured; the record keeps the others.
func setRatios(node *nova.ComputeNode, r Ratios) {
	for field, v := range map[string]float64{
		"cpu_allocation_ratio": r.CPU, "ram_allocation_ratio": r.RAM, "disk_allocation_ratio": r.Disk,
	} {
		if v != 0 {
			node.Set(field, v)
		}
	}
}

// tell writes what has changed to the ComputeNode record and to Placement. One writer at a time: those that come
// meanwhile share a second one, which writes what is newest.
func (t *Tracker) tell(ctx context.Context, cond *nova.Conductor) error {
	return t.saving.do(ctx, func() error { return t.write(ctx, cond) })
}

func (t *Tracker) write(ctx context.Context, cond *nova.Conductor) error {
	t.mu.Lock()
	node := nova.As[nova.ComputeNode](t.node.Object.Clone())
	figures := t.figures
	if err := t.account(node); err != nil {
		t.mu.Unlock()
		return err
	}
	t.mu.Unlock()

	if dirty(node.Changes()) {
		if err := cond.SaveComputeNode(ctx, node); err != nil {
			t.forgetNode(err)
			return fmt.Errorf("save the ComputeNode record: %w", err)
		}
		t.mu.Lock()
		t.node = node
		t.mu.Unlock()
	}
	if err := t.tellPlacement(ctx, cond, node, figures); err != nil {
		return err
	}
	t.mu.Lock()
	t.told = t.opts.Now()
	t.mu.Unlock()
	return nil
}

// Tell writes the usage as it is now; operations call it after a claim or a change of it.
func (t *Tracker) Tell(ctx context.Context, cond *nova.Conductor) error {
	t.mu.Lock()
	known := t.node != nil
	t.mu.Unlock()
	if !known {
		return nil
	}
	return t.tell(ctx, cond)
}

// forgetNode lets the next Update find or make the record anew when it was deleted, with its service, behind us.
func (t *Tracker) forgetNode(err error) {
	if !nova.Is(err, "ComputeHostNotFound") {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.node = nil
	t.provider.forget()
}

// dirty leaves out the one field that the conductor always hands back as changed.
func dirty(changes []string) bool {
	for _, c := range changes {
		if c != "pci_device_pools" {
			return true
		}
	}
	return false
}

// account sets the usage on the record. The caller holds t.mu.
func (t *Tracker) account(node *nova.ComputeNode) error {
	u := t.usageLocked()
	describe(node, t.figures)
	setRatios(node, t.opts.Ratios)
	if err := t.accountNUMALocked(node); err != nil {
		return err
	}
	node.Set("vcpus_used", u.VCPUs)
	node.Set("memory_mb_used", u.MemoryMB)
	node.Set("local_gb_used", u.DiskGB)
	node.Set("free_ram_mb", t.figures.MemoryMB-u.MemoryMB)
	node.Set("free_disk_gb", t.figures.LocalGB-u.DiskGB)
	node.Set("running_vms", u.Running)
	node.Set("current_workload", u.Workload)
	node.Set("stats", u.Stats)
	node.Set("metrics", "[]")
	if node.IsNull("pci_device_pools") {
		node.Set("pci_device_pools", nova.NewList("PciDevicePoolList", "1.1"))
	}
	return nil
}
