package guest

import (
	"path"
	"slices"
)

// Host is what guests depend on of the machine they run on.
type Host struct {
	Arch         string            // as Nova names it: "x86_64"
	UUID         string            // libvirt's, from the firmware
	MachineID    string            // content of /etc/machine-id; "" if there is none
	MachineTypes map[string]string // that QEMU has, each with its canonical name ("q35": "pc-q35-7.2"); nil is not checked
	CPUModels    []string          // libvirt's names, to find those of Settings.CPUModels in any case
	CPUControl   bool              // the kernel can give CPU shares and quotas
	Firmware     []Firmware        // in order of preference
	SEV          *SEV              // nil where guests' memory cannot be encrypted
	NUMA         []NUMACell        // nil where the host has no NUMA
	SharedCPUs   []int             // online CPUs that unpinned guests may use; needed if Settings.CPUSharedSetGiven
	TapQueues    int               // queues of a tap device; 0 is no limit
	Libvirt      int               // version: 9002003 is 9.2.3

	PCIInterfaces map[string]string // network interface of a PCI function, by address
	VDPADevices   map[string]string // character device of a vDPA function, by address
}

// Versions of libvirt that can do more than the oldest in use.
const (
	libvirtIOMMUAddressWidth = 6005000
	libvirtTBCache           = 8000000
	libvirtVirtioIOMMU       = 8003000
	libvirtUnmanagedTap      = 9005000
)

// Firmware is one of QEMU's firmware descriptors (docs/interop/firmware.json).
type Firmware struct {
	Loader        string // path of the executable
	NVRAMTemplate string
	Arch          string
	Machines      []string // canonical machine types, with wildcards: "pc-q35-*"
	SecureBoot    bool
	SMM           bool // needs system management mode
}

// SEV is the host's AMD Secure Encrypted Virtualization, as libvirt's domain capabilities tell it.
type SEV struct {
	CBitPos, ReducedPhysBits uint
}

// NUMACell is one NUMA node of the host.
type NUMACell struct {
	ID        int
	CPUs      []int // that unpinned guests may use
	PageSizes []int // KiB
}

// firmware finds the loader for a machine. A guest that asks for secure boot gets it, and one that does not, does not.
func (h Host) firmware(arch, machine string, secure bool) (Firmware, bool) {
	if canonical := h.MachineTypes[machine]; canonical != "" {
		machine = canonical
	}
	i := slices.IndexFunc(h.Firmware, func(f Firmware) bool {
		return f.Arch == arch && f.SecureBoot == secure && slices.ContainsFunc(f.Machines, func(pattern string) bool {
			match, err := path.Match(pattern, machine)
			return err == nil && match
		})
	})
	if i < 0 {
		return Firmware{}, false
	}
	return h.Firmware[i], true
}

// secureBoot tells whether any firmware can do it.
func (h Host) secureBoot() bool {
	return slices.ContainsFunc(h.Firmware, func(f Firmware) bool { return f.SecureBoot })
}
