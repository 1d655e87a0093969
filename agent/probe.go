package agent

import (
	"context"
	"fmt"
	"maps"
	"strings"

	"github.com/sirupsen/logrus"

	"bolide/agent/config"
	"bolide/agent/resources"
	"bolide/agent/status"
	"bolide/hypervisor"
)

func hypervisorOptions(c *config.Config, m *status.Metrics, log *logrus.Entry) hypervisor.Options {
	return hypervisor.Options{
		URI: c.Libvirt.ConnectionURI, VirtType: c.Libvirt.VirtType,
		MachineTypes: machineTypes(c.Libvirt.HWMachineType), Called: m.Libvirt, Log: log,
	}
}

// machineTypes reads hw_machine_type, "arch=type" each.
func machineTypes(list []string) map[string]string {
	out := map[string]string{}
	for _, item := range list {
		if arch, machine, ok := strings.Cut(item, "="); ok {
			out[strings.TrimSpace(arch)] = strings.TrimSpace(machine)
		}
	}
	return out
}

// probe measures this host for the resource tracker: what libvirt says of it, and the file system of its guests.
type probe struct{ *Agent }

var _ resources.Probe = probe{}

// Figures implements [resources.Probe].
func (p probe) Figures(ctx context.Context) (resources.Figures, error) {
	facts, err := p.hypervisor.Facts(ctx)
	if err != nil {
		return resources.Figures{}, err
	}
	memory, err := p.hypervisor.NodeMemory(ctx)
	if err != nil {
		return resources.Figures{}, err
	}
	cpus, err := p.hypervisor.OnlineCPUs(ctx)
	if err != nil {
		return resources.Figures{}, err
	}
	cpuInfo, err := facts.CPUInfo()
	if err != nil {
		return resources.Figures{}, err
	}
	sets, err := readCPUSets(p.cfg, cpus)
	if err != nil {
		return resources.Figures{}, err
	}
	pages, err := readReservedPages(p.cfg)
	if err != nil {
		return resources.Figures{}, err
	}
	networks, err := readNetworkNodes(p.cfg, facts.Cells)
	if err != nil {
		return resources.Figures{}, err
	}
	topology, err := numaTopology(p.profile, facts, usable{
		Shared: sets.shared, Pinnable: sets.pinnable(p.cfg), Reserved: pages, Networks: networks,
	})
	if err != nil {
		return resources.Figures{}, err
	}
	if backed := p.cfg.Libvirt.FileBackedMemory; backed > 0 { // guests' memory is in files, whose room the operator has stated
		memory = hypervisor.Memory{Total: backed}
	}
	f := resources.Figures{
		Hostname: facts.Hostname, HypervisorType: facts.Hypervisor, HypervisorVersion: int64(facts.QEMUVersion),
		HostIP: p.cfg.Default.MyIP, VCPUs: int64(len(sets.shared)), PCPUs: int64(len(sets.dedicated)),
		MemoryMB: int64(memory.Total), MemoryUsedMB: int64(memory.Used),
		CPUInfo: cpuInfo, NUMATopology: topology,
	}
	for _, s := range facts.HVSpecs() {
		f.HVSpecs = append(f.HVSpecs, [3]string{s.Arch, s.HVType, s.VMMode})
	}
	return f, p.measureDisk(ctx, &f)
}

// measureDisk fills in the figures of the file system that holds the guests' disks.
func (p probe) measureDisk(ctx context.Context, f *resources.Figures) error {
	disks, err := p.gauge.read(ctx, p.cfg.Default.InstancesPath)
	if err != nil {
		return err
	}
	f.LocalGB, f.LocalUsedGB, f.DiskAvailableLeast = disks.total, disks.used, disks.available
	if p.cfg.Workarounds.ReserveDiskResourceForImageCache {
		cached, err := p.images.Bytes()
		if err != nil {
			return fmt.Errorf("measure the image cache: %w", err)
		}
		f.ImageCacheGB = (cached + gib - 1) / gib
	}
	return nil
}

// Traits implements [resources.Probe].
func (p probe) Traits(ctx context.Context) (map[string]bool, error) {
	facts, err := p.hypervisor.Facts(ctx)
	if err != nil {
		return nil, err
	}
	l := p.cfg.Libvirt
	cpu, err := p.hypervisor.CPUTraits(ctx, hypervisor.CPUOptions{Mode: l.CPUMode, Models: l.CPUModels, ExtraFlags: l.CPUModelExtraFlags})
	if err != nil {
		return nil, err
	}
	traits := map[string]bool{}
	maps.Copy(traits, cpu)
	maps.Copy(traits, facts.DeviceTraits())
	maps.Copy(traits, facts.DriverTraits(hypervisor.DriverOptions{
		ImagesType: l.ImagesType, ForceRawImages: p.cfg.Default.ForceRawImages, SWTPM: l.SWTPMEnabled,
		ImageTypeExclude: p.cfg.Compute.ImageTypeExcludeList,
	}))
	traits["COMPUTE_REMOTE_MANAGED_PORTS"] = false // Nova reports it only where such a device is offered, and none is here
	return traits, nil
}
