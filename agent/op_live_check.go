package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"bolide/agent/handover"
	"bolide/agent/network"
	"bolide/agent/resources"
	"bolide/hypervisor"
	"bolide/rpc/nova"
)

// opCheckLiveDestination answers whether this host can take a running guest. The scheduler chose it; the conductor asks
// before anything is changed, and tries the next host when the answer is no.
func opCheckLiveDestination(*Agent) operation {
	return operation{
		method: "check_can_live_migrate_destination", foreign: true, event: "compute_check_can_live_migrate_destination",
		queued: true, keepsFault: true,
		do: func(ctx context.Context, t *task) (any, error) {
			data, err := t.checkLiveDestination(ctx)
			if err != nil {
				return nil, t.cannotMigrate(err)
			}
			return data, nil
		},
	}
}

// opCheckLiveSource answers the destination whether the guest can leave for it, and what goes along.
func opCheckLiveSource(*Agent) operation {
	return operation{
		method: "check_can_live_migrate_source", event: "compute_check_can_live_migrate_source",
		queued: true, keepsFault: true,
		do: func(ctx context.Context, t *task) (any, error) {
			data, err := t.checkLiveSource(ctx)
			if err != nil {
				return nil, t.cannotMigrate(err)
			}
			return data, nil
		},
	}
}

// cannotMigrate makes of a failure the one kind upon which the conductor tries another host, unless it is an exception
// of Nova's already.
func (t *task) cannotMigrate(failure error) error {
	if nova.ClassOf(failure) != "" && !nova.Is(failure, "GroupAffinityViolation") && !nova.Is(failure, "ComputeResourcesUnavailable") {
		return failure
	}
	return preCheck(t.explain(failure)).Because(failure)
}

func preCheck(reason string) *nova.Error {
	return nova.NewError("MigrationPreCheckError", map[string]any{"reason": reason})
}

// checkLiveDestination holds the guest against this host, lets the source add its part, and claims what has to be.
func (t *task) checkLiveDestination(ctx context.Context) (*nova.LiveMigrateData, error) {
	args := nova.NewArgs(t.req.Args)
	offer := handover.Offer{Profile: t.profile}
	if args.Has("block_migration") {
		block := args.Bool("block_migration")
		offer.Block = &block
	}
	if args.Has("disk_over_commit") {
		over := args.Bool("disk_over_commit")
		offer.OverCommit = &over
	}
	migration, limits := args.Migration("migration"), args.Object("limits")
	if err := args.Err(); err != nil {
		return nil, err
	}
	if limits != nil { // the scheduler's; without them an administrator forces this host, drained or not
		if err := t.draining.refusal(); err != nil {
			return nil, err
		}
	}
	asked := t.inst
	if err := t.load(ctx, "vcpu_model", "migration_context", "resources"); err != nil {
		return nil, err
	}
	for _, check := range []func(context.Context) error{t.checkGroup, t.checkMovable, t.checkCPU} {
		if err := check(ctx); err != nil {
			return nil, err
		}
	}
	if err := t.fillOffer(ctx, &offer); err != nil {
		return nil, err
	}
	file, err := t.makeTestFile()
	if err != nil {
		return nil, err
	}
	defer os.Remove(file)
	offer.TestFile = filepath.Base(file)
	data, err := t.peer().CheckCanLiveMigrateSource(ctx, t.inst.Host(), asked, offer.Data())
	if err != nil {
		return nil, err
	}
	if data.ClaimsNUMA() {
		return data, t.claimLive(ctx, migration, limits, data)
	}
	return data, nil
}

// checkMovable refuses guests with parts that this node cannot receive, while their host can still keep them.
func (t *task) checkMovable(ctx context.Context) error {
	bdms, err := t.cond.BlockDevices(ctx, t.inst.UUID())
	if err != nil {
		return fmt.Errorf("read block devices: %w", err)
	}
	if slices.ContainsFunc(bdms, (*nova.BlockDeviceMapping).IsVolume) {
		return preCheck("this host does not take running guests with volumes")
	}
	for _, v := range t.cachedPorts() {
		switch v.VNICType {
		case network.VNICDirect, network.VNICDirectPhysical, network.VNICVDPA, network.VNICRemoteManaged:
			return preCheck(fmt.Sprintf("port %s is a device of its host (vnic_type %s), which cannot move while the guest runs", v.ID, v.VNICType))
		}
	}
	return nil
}

// checkCPU refuses a guest whose CPU can do what this host's cannot. An emulated CPU is the same everywhere.
func (t *task) checkCPU(ctx context.Context) error {
	if t.cfg.Libvirt.VirtType != "kvm" || t.cfg.Workarounds.SkipCPUCompareOnDest {
		return nil
	}
	facts, err := t.hypervisor.Facts(ctx)
	if err != nil || facts.CPU.Arch == "aarch64" { // libvirt cannot compare those
		return err
	}
	cpu, err := handover.GuestCPU(t.inst.Obj("vcpu_model"))
	if err == nil && cpu == "" {
		var node *nova.ComputeNode
		if node, err = t.cond.FirstComputeNode(ctx, t.inst.Host()); err == nil {
			cpu, err = handover.HostCPU(node.Str("cpu_info"))
		}
	}
	if err != nil {
		return fmt.Errorf("find out the guest's CPU: %w", err)
	}
	result, err := t.hypervisor.CompareCPU(ctx, cpu)
	switch {
	case errors.Is(err, hypervisor.ErrUnsupported):
		return nil
	case err != nil:
		return preCheck("libvirt cannot compare the guest's CPU with this host's").Because(err)
	case result == hypervisor.CPUIncompatible:
		return preCheck("this host's CPU lacks features of the guest's")
	}
	return nil
}

// fillOffer measures what this host has for the guest.
func (t *task) fillOffer(ctx context.Context, o *handover.Offer) error {
	node, err := t.cond.FirstComputeNode(ctx, t.cfg.Default.Host)
	if err != nil {
		return fmt.Errorf("read this host's record: %w", err)
	}
	free := node.Int("disk_available_least")
	if o.OverCommit != nil && *o.OverCommit {
		free = node.Int("free_disk_gb")
	}
	o.DiskMiB = free<<10 - int64(t.cfg.Default.ReservedHostDiskMB)
	o.ImageType = t.cfg.Libvirt.ImagesType
	o.ListenVNC, o.ListenSPICE = t.cfg.VNC.ServerListen, t.cfg.SPICE.ServerListen
	if t.cfg.Serial.Enabled {
		o.SerialHost = t.cfg.Serial.ProxyclientAddress
	}
	o.FileBacked, o.NUMA = t.cfg.Libvirt.FileBackedMemory > 0, t.inst.NUMATopology().Exists()
	o.Ports = t.cachedPorts()
	if o.PortsAreBound, err = t.ports.BindingsSupported(ctx, t.id); err != nil {
		return portError(err)
	}
	return nil
}

// makeTestFile makes a file that the source sees only if it shares this directory.
func (t *task) makeTestFile() (string, error) {
	f, err := os.CreateTemp(t.cfg.Default.InstancesPath, "tmp")
	if err != nil {
		return "", fmt.Errorf("make a file for the source to see: %w", err)
	}
	return f.Name(), f.Close()
}

// claimLive holds the CPUs and memory cells that the guest is to be pinned to here, and tells the source which.
func (t *task) claimLive(ctx context.Context, m *nova.Migration, limits *nova.Object, data *nova.LiveMigrateData) error {
	if m == nil {
		return nil // a conductor from before such claims
	}
	move := resources.Move{
		Migration: m, Topology: t.inst.Obj("numa_topology").Clone(), Limits: resources.LimitsOf(limits.Obj("numa_topology")),
	}
	m.SetDestCompute(t.cfg.Default.Host) // known to the claim; on the record the conductor puts it
	fitted, err := t.resources.ClaimMove(t.inst, move)
	if err != nil {
		return err
	}
	t.inst.Set("migration_context", t.moveContext(m, fitted))
	if err := t.cond.SaveInstance(ctx, t.inst, nova.Expect{}); err != nil {
		return err
	}
	info, err := t.pinning(ctx, fitted)
	if err != nil {
		return err
	}
	data.Set("dst_numa_info", info)
	return t.resources.Tell(ctx, t.cond.With(t.rc.Elevated()))
}

// checkLiveSource finds out what of the guest the destination does not see, and whether that can be brought there.
func (t *task) checkLiveSource(ctx context.Context) (*nova.LiveMigrateData, error) {
	args := nova.NewArgs(t.req.Args)
	data := args.LiveMigrateData("dest_check_data")
	if err := args.Err(); err != nil {
		return nil, err
	}
	if data == nil {
		return nil, fmt.Errorf("argument dest_check_data is missing")
	}
	l, err := t.newDeparture(ctx)
	if err != nil {
		return nil, err
	}
	disks, err := l.localDisks(ctx)
	if err != nil {
		return nil, err
	}
	verdict := handover.Verdict{Directory: t.inst.UUID(), VolumeBacked: bootsFromVolume(l.bdms)}
	if verdict.SharedDirectory, err = t.seesTestFile(data.Filename()); err != nil {
		return nil, err
	}
	verdict.SharedDisks = verdict.SharedDirectory || verdict.VolumeBacked && len(disks) == 0
	handover.Complete(data, verdict)
	if err := t.checkStorage(data, disks); err != nil {
		return nil, err
	}
	if t.cfg.Serial.Enabled && data.SerialHost() == "" {
		return nil, preCheck("the guest has serial consoles, for which the destination has no address")
	}
	if len(data.Volumes()) > 0 || slices.ContainsFunc(l.bdms, (*nova.BlockDeviceMapping).IsVolume) {
		return nil, preCheck("this host does not give away running guests with volumes")
	}
	return data, nil
}

func bootsFromVolume(bdms []*nova.BlockDeviceMapping) bool {
	return slices.ContainsFunc(bdms, func(b *nova.BlockDeviceMapping) bool { return b.IsVolume() && b.BootIndex() == 0 })
}

// seesTestFile reports whether this host sees the destination's file. The directory's time is changed first, which has
// network file systems look anew.
func (t *task) seesTestFile(name string) (bool, error) {
	if name == "" || name != filepath.Base(name) {
		return false, preCheck(fmt.Sprintf("the destination's test file %q is not a plain name", name))
	}
	dir, now := t.cfg.Default.InstancesPath, time.Now()
	if err := os.Chtimes(dir, now, now); err != nil {
		return false, fmt.Errorf("look at %s anew: %w", dir, err)
	}
	return there(filepath.Join(dir, name)), nil
}

// checkStorage refuses a way of moving that does not fit where the disks are.
func (t *task) checkStorage(data *nova.LiveMigrateData, disks []diskRecord) error {
	shared := data.SharedDirectory() || data.SharedDisks()
	switch {
	case data.BlockMigration() && shared:
		return nova.NewError("InvalidLocalStorage", map[string]any{"path": t.cfg.Default.Host,
			"reason": "Block migration can not be used with shared storage."})
	case data.BlockMigration() && t.cfg.Libvirt.LiveMigrationTunnelled:
		return preCheck("disks cannot be copied through libvirtd's tunnel; set live_migration_with_native_tls in place of live_migration_tunnelled")
	case !data.BlockMigration() && !shared:
		return nova.NewError("InvalidSharedStorage", map[string]any{"path": t.cfg.Default.Host,
			"reason": "Shared storage live-migration requires either shared storage or boot-from-volume with no local disks."})
	case !data.BlockMigration() || !data.Has("disk_over_commit"):
		return nil
	}
	need, available := int64(0), data.DiskAvailable()<<20
	for _, d := range disks {
		if data.Bool("disk_over_commit") {
			need += d.Size
		} else {
			need += d.VirtualSize
		}
	}
	if need > available {
		return preCheck(fmt.Sprintf("Unable to migrate %s: Disk of instance is too large(available on destination host:%d < need:%d)",
			t.inst.UUID(), available, need))
	}
	return nil
}
