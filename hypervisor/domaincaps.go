package hypervisor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"
)

// DomainCaps is what guests of one machine type may have.
type DomainCaps struct {
	Emulator, Arch, Machine, VirtType string
	MaxVCPUs                          int

	UEFI       bool // boots from pflash
	SecureBoot bool
	SEV        bool // AMD's memory encryption
	Loaders    []string

	CPUModes  []string // supported ones, as in "host-model"
	CPUModels []CPUModel

	DiskBuses, VideoModels, GraphicsTypes []string
	TPMModels, TPMBackends                []string
	RNGBackends, FilesystemDrivers        []string
}

// CPUModel is a named CPU that guests may have in mode custom.
type CPUModel struct {
	Name   string
	Usable bool // by this host
}

// DomainCaps returns what guests of a machine type, or an alias of one, may have.
// An empty machine is the default of the architecture. Only aliases and defaults
// have been asked for, since that is what tells machine types apart; another
// version of a machine has what its newest one has.
func (f *Facts) DomainCaps(arch, machine string) (*DomainCaps, bool) {
	if machine == "" {
		machine = f.DefaultMachine(arch)
	}
	c, ok := f.caps[arch][machine]
	return c, ok
}

// askDomainCaps asks for every architecture and the machine types that Nova looks
// at: the default and every alias.
func (h *Host) askDomainCaps(ctx context.Context, f *Facts) error {
	f.caps = map[string]map[string]*DomainCaps{}
	for _, g := range f.Arches {
		domain, ok := g.domain(h.opts.VirtType)
		if !ok {
			continue
		}
		byMachine, err := h.askArchCaps(ctx, f, g.Arch, domain)
		if err != nil {
			return err
		}
		if len(byMachine) > 0 {
			f.caps[g.Arch] = byMachine
		}
	}
	return nil
}

// askArchCaps asks about one architecture. It returns nothing when libvirt cannot
// run it this way, as KVM with a foreign architecture.
func (h *Host) askArchCaps(ctx context.Context, f *Facts, arch string, domain GuestDomain) (map[string]*DomainCaps, error) {
	machines := map[string]bool{f.DefaultMachine(arch): true}
	for alias := range domain.Aliases {
		machines[alias] = true
	}
	byMachine := map[string]*DomainCaps{}
	for _, machine := range slices.Sorted(maps.Keys(machines)) {
		if byMachine[machine] != nil {
			continue
		}
		caps, err := h.askMachineCaps(ctx, domain.Emulator, arch, machine)
		if err != nil {
			if errors.Is(err, ErrUnavailable) || errors.Is(err, ErrTimeout) || ctx.Err() != nil {
				return nil, err
			}
			h.log.WithError(err).WithFields(map[string]any{"arch": arch, "machine": machine}).
				Debug("libvirt cannot run guests of this kind")
			return nil, nil
		}
		byMachine[caps.Machine] = caps
		if machine != "" {
			byMachine[machine] = caps
		}
	}
	return byMachine, nil
}

func (h *Host) askMachineCaps(ctx context.Context, emulator, arch, machine string) (*DomainCaps, error) {
	c := call{op: fmt.Sprintf("ask capabilities of %s %s", arch, machine)}
	xml, err := ask(ctx, h, c, func(conn *libvirt.Connect) (string, error) {
		return conn.GetDomainCapabilities(emulator, arch, machine, h.opts.VirtType, 0)
	})
	if err != nil {
		return nil, err
	}
	return readDomainCaps(xml)
}

// readDomainCaps reads <domainCapabilities>.
func readDomainCaps(xml string) (*DomainCaps, error) {
	var x libvirtxml.DomainCaps
	if err := x.Unmarshal(xml); err != nil {
		return nil, fmt.Errorf("libvirt: read domain capabilities: %w", err)
	}
	c := &DomainCaps{Emulator: x.Path, Arch: x.Arch, Machine: x.Machine, VirtType: x.Domain}
	if x.VCPU != nil {
		c.MaxVCPUs = int(x.VCPU.Max)
	}
	if x.OS != nil && x.OS.Loader != nil {
		l := x.OS.Loader
		c.Loaders = l.Values
		c.UEFI = slices.Contains(enum(l.Enums, "type"), "pflash")
		c.SecureBoot = slices.Contains(enum(l.Enums, "secure"), "yes")
	}
	if x.Features != nil && x.Features.SEV != nil {
		c.SEV = x.Features.SEV.Supported == "yes"
	}
	if x.CPU != nil {
		c.readCPUModes(x.CPU.Modes)
	}
	if d := x.Devices; d != nil {
		c.DiskBuses = device(d.Disk, "bus")
		c.VideoModels = device(d.Video, "modelType")
		c.GraphicsTypes = device(d.Graphics, "type")
		c.TPMModels, c.TPMBackends = device(d.TPM, "model"), device(d.TPM, "backendModel")
		c.RNGBackends = device(d.RNG, "backendModel")
		c.FilesystemDrivers = device(d.FileSystem, "driverType")
	}
	return c, nil
}

func (c *DomainCaps) readCPUModes(modes []libvirtxml.DomainCapsCPUMode) {
	for _, m := range modes {
		if m.Supported != "yes" {
			continue
		}
		c.CPUModes = append(c.CPUModes, m.Name)
		if m.Name != "custom" {
			continue
		}
		for _, model := range m.Models {
			c.CPUModels = append(c.CPUModels, CPUModel{Name: model.Name, Usable: model.Usable == "yes"})
		}
	}
}

// device returns one property's values of a kind of device.
func device(d *libvirtxml.DomainCapsDevice, name string) []string {
	if d == nil || d.Supported != "yes" {
		return nil
	}
	return enum(d.Enums, name)
}

func enum(enums []libvirtxml.DomainCapsEnum, name string) []string {
	for _, e := range enums {
		if e.Name == name {
			return e.Values
		}
	}
	return nil
}
