package hypervisor

import (
	"fmt"
	"strconv"
	"strings"

	"libvirt.org/go/libvirtxml"
)

// Architectures that are treated apart, in libvirt's spelling.
const (
	archX86   = "x86_64"
	archI686  = "i686"
	archARM64 = "aarch64"
	archPPC   = "ppc64le"
)

// CPU is the host's processor. Missing values are empty: libvirt does not know the
// model of every processor.
type CPU struct {
	Arch, Model, Vendor     string
	Sockets, Cores, Threads int
	Features                []string // all of them, also those that the model implies; sorted
}

// Cell is a NUMA node.
type Cell struct {
	ID        int
	MemoryKiB uint64
	Pages     []Pages
	CPUs      []CellCPU
	Distances map[int]int // by cell
}

// Pages is how many pages of a size a cell has.
type Pages struct {
	SizeKiB int
	Count   uint64
}

// CellCPU is one logical CPU and where it sits.
type CellCPU struct {
	ID, Socket, Die, Core int
	Siblings              []int // with which it shares a core, itself included
}

// GuestArch is an architecture that guests may have.
type GuestArch struct {
	Arch, OSType string
	Domains      []GuestDomain // in libvirt's order
}

// GuestDomain is a way to run guests of an architecture.
type GuestDomain struct {
	Type     string // "qemu" or "kvm"
	Emulator string
	Machines []string
	Aliases  map[string]string // canonical machine type by alias, as pc-i440fx-7.2 by pc
}

// domain returns how guests of a virt type run, or else the default of the architecture.
func (g GuestArch) domain(virtType string) (GuestDomain, bool) {
	var fallback *GuestDomain
	for i, d := range g.Domains {
		if d.Type == virtType {
			return d, true
		}
		if fallback == nil || d.Type == "qemu" {
			fallback = &g.Domains[i]
		}
	}
	if fallback == nil {
		return GuestDomain{}, false
	}
	return *fallback, true
}

// readCapabilities reads <capabilities>.
func (f *Facts) readCapabilities(xml string) error {
	var caps libvirtxml.Caps
	if err := caps.Unmarshal(xml); err != nil {
		return fmt.Errorf("libvirt: read capabilities: %w", err)
	}
	if caps.Host.CPU == nil {
		return fmt.Errorf("libvirt: read capabilities: no host CPU")
	}
	f.HostUUID, f.CPU = caps.Host.UUID, readCPU(caps.Host.CPU)
	if numa := caps.Host.NUMA; numa != nil && numa.Cells != nil {
		for _, c := range numa.Cells.Cells {
			cell, err := readCell(c)
			if err != nil {
				return fmt.Errorf("libvirt: read capabilities: NUMA cell %d: %w", c.ID, err)
			}
			f.Cells = append(f.Cells, cell)
		}
	}
	for _, g := range caps.Guests {
		f.Arches = append(f.Arches, readGuest(g))
	}
	return nil
}

func readCPU(c *libvirtxml.CapsHostCPU) CPU {
	cpu := CPU{Arch: c.Arch, Model: c.Model, Vendor: c.Vendor}
	if t := c.Topology; t != nil {
		cpu.Sockets, cpu.Cores, cpu.Threads = t.Sockets, t.Cores, t.Threads
	}
	for _, f := range c.FeatureFlags {
		cpu.Features = append(cpu.Features, f.Name)
	}
	return cpu
}

func readCell(c libvirtxml.CapsHostNUMACell) (Cell, error) {
	cell := Cell{ID: c.ID}
	if c.Memory != nil {
		cell.MemoryKiB = c.Memory.Size // libvirt always writes KiB
	}
	for _, p := range c.PageInfo {
		cell.Pages = append(cell.Pages, Pages{SizeKiB: p.Size, Count: p.Count})
	}
	if c.Distances != nil {
		cell.Distances = map[int]int{}
		for _, s := range c.Distances.Siblings {
			cell.Distances[s.ID] = s.Value
		}
	}
	if c.CPUS == nil {
		return cell, nil
	}
	for _, p := range c.CPUS.CPUs {
		siblings, err := parseCPUSet(p.Siblings)
		if err != nil {
			return Cell{}, fmt.Errorf("CPU %d: %w", p.ID, err)
		}
		cell.CPUs = append(cell.CPUs, CellCPU{
			ID: p.ID, Socket: valueOf(p.SocketID), Die: valueOf(p.DieID), Core: valueOf(p.CoreID), Siblings: siblings,
		})
	}
	return cell, nil
}

// valueOf is an attribute that may be missing; an offline CPU has none.
func valueOf(p *int) int {
	if p == nil {
		return 0
	}
	return *p
}

// readGuest reads one <guest>. The properties of the architecture itself are those
// of its first domain without any of its own.
func readGuest(g libvirtxml.CapsGuest) GuestArch {
	arch := GuestArch{Arch: g.Arch.Name, OSType: g.OSType}
	for _, d := range g.Arch.Domains {
		emulator, machines := d.Emulator, d.Machines
		if emulator == "" && len(machines) == 0 {
			emulator, machines = g.Arch.Emulator, g.Arch.Machines
		}
		domain := GuestDomain{Type: d.Type, Emulator: emulator, Aliases: map[string]string{}}
		for _, m := range machines {
			if m.Canonical != "" {
				domain.Aliases[m.Name] = m.Canonical
			} else {
				domain.Machines = append(domain.Machines, m.Name)
			}
		}
		arch.Domains = append(arch.Domains, domain)
	}
	return arch
}

// maxCPU bounds the numbers in a CPU set: no kernel has more.
const maxCPU = 1 << 16

// parseCPUSet reads a list as in "0-3,8".
func parseCPUSet(list string) ([]int, error) {
	if list == "" {
		return nil, nil
	}
	var set []int
	for part := range strings.SplitSeq(list, ",") {
		low, high, isRange := strings.Cut(part, "-")
		from, err := strconv.ParseUint(low, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("CPU set %q: %w", list, err)
		}
		to := from
		if isRange {
			if to, err = strconv.ParseUint(high, 10, 32); err != nil {
				return nil, fmt.Errorf("CPU set %q: %w", list, err)
			}
		}
		if to < from || to >= maxCPU || len(set) > maxCPU {
			return nil, fmt.Errorf("CPU set %q: bad range", list)
		}
		for n := from; n <= to; n++ {
			set = append(set, int(n))
		}
	}
	return set, nil
}

// HVSpec is a kind of guest that the host can run, in Nova's words.
type HVSpec struct {
	Arch, HVType, VMMode string
}

// HVSpecs lists the kinds of guests, as Nova's libvirt driver does: those of an
// architecture without a name in Nova are left out.
func (f *Facts) HVSpecs() []HVSpec {
	var specs []HVSpec
	for _, g := range f.Arches {
		if !novaArches[g.Arch] {
			continue
		}
		for _, d := range g.Domains {
			specs = append(specs, HVSpec{Arch: g.Arch, HVType: d.Type, VMMode: g.OSType})
		}
	}
	return specs
}

// novaArches are Nova's names of architectures (nova.objects.fields.Architecture).
var novaArches = setOf("alpha", "armv6", "armv7l", "armv7b", "aarch64", "cris", "i686", "ia64", "lm32", "m68k",
	"microblaze", "microblazeel", "mips", "mipsel", "mips64", "mips64el", "openrisc", "parisc", "parisc64", "ppc",
	"ppcle", "ppc64", "ppc64le", "ppcemb", "s390", "s390x", "sh4", "sh4eb", "sparc", "sparc64", "unicore32",
	"x86_64", "xtensa", "xtensaeb")

func setOf(names ...string) map[string]bool {
	set := make(map[string]bool, len(names))
	for _, n := range names {
		set[n] = true
	}
	return set
}

// defaultMachines are the machine types that Nova gives guests who ask for none.
var defaultMachines = map[string]string{
	"armv7l": "virt", archARM64: "virt", archPPC: "pseries", "s390": "s390-ccw-virtio",
	"s390x": "s390-ccw-virtio", archI686: "pc", archX86: "pc",
}

// DefaultMachine returns the machine type of guests that ask for none: the
// configured one, else Nova's own; empty leaves it to libvirt.
func (f *Facts) DefaultMachine(arch string) string {
	if m := f.opts.MachineTypes[arch]; m != "" {
		return m
	}
	return defaultMachines[arch]
}

// CanonicalMachine resolves an alias such as pc; false if there is no such machine type.
func (f *Facts) CanonicalMachine(arch, machine string) (string, bool) {
	for _, g := range f.Arches {
		if g.Arch != arch {
			continue
		}
		for _, d := range g.Domains {
			if canonical, ok := d.Aliases[machine]; ok {
				return canonical, true
			}
			for _, m := range d.Machines {
				if m == machine {
					return m, true
				}
			}
		}
	}
	return "", false
}
