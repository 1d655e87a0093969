package hypervisor

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// KVM tells whether the kernel can run guests of virt type kvm.
type KVM struct {
	Usable bool
	Reason string // why not
}

// CheckVirtType returns an error in words for an administrator if guests of a virt
// type cannot run here.
func (f *Facts) CheckVirtType(virtType string) error {
	switch {
	case virtType == "qemu":
		return nil
	case virtType != "kvm":
		return fmt.Errorf("virt_type = %s is not supported; use kvm or qemu", virtType)
	case !f.KVM.Usable:
		return fmt.Errorf("virt_type = kvm cannot run guests on this host: %s; "+
			"enable hardware virtualization, or set [libvirt] virt_type = qemu for emulated guests", f.KVM.Reason)
	}
	return nil
}

// Requests of /dev/kvm (linux/kvm.h).
const (
	kvmGetAPIVersion = 0xae00
	kvmCreateVM      = 0xae01
	kvmAPIVersion    = 12 // the only one since Linux 2.6.22
)

// probeKVM tries what QEMU would. libvirt alone is not to be believed: it offers kvm
// wherever /dev/kvm can be opened.
func (h *Host) probeKVM(f *Facts) KVM {
	if err := h.tryKVM(f); err != nil {
		return KVM{Reason: err.Error()}
	}
	return KVM{Usable: true}
}

func (h *Host) tryKVM(f *Facts) error {
	if err := createVM(h.opts.KVMDevice); err != nil {
		return err
	}
	if f.CPU.Arch == archX86 || f.CPU.Arch == archI686 {
		// A kernel without either may make machines, but they fail in protected mode.
		flags, err := cpuFlags(filepath.Join(h.opts.ProcDir, "cpuinfo"))
		if err != nil {
			return err
		}
		if !slices.Contains(flags, "vmx") && !slices.Contains(flags, "svm") {
			return fmt.Errorf("the processor shows neither vmx nor svm")
		}
	}
	for _, g := range f.Arches {
		for _, d := range g.Domains {
			if g.Arch == f.CPU.Arch && d.Type == "kvm" {
				return nil
			}
		}
	}
	return fmt.Errorf("libvirt offers no kvm guests for %s", f.CPU.Arch)
}

// createVM makes an empty virtual machine and throws it away.
func createVM(device string) error {
	dev, err := os.OpenFile(device, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer dev.Close()
	version, err := unix.IoctlRetInt(int(dev.Fd()), kvmGetAPIVersion)
	if err != nil {
		return fmt.Errorf("%s is no KVM: %w", device, err)
	}
	if version != kvmAPIVersion {
		return fmt.Errorf("%s has version %d, not %d", device, version, kvmAPIVersion)
	}
	vm, err := unix.IoctlRetInt(int(dev.Fd()), kvmCreateVM)
	if err != nil {
		return fmt.Errorf("%s makes no virtual machine: %w", device, err)
	}
	return unix.Close(vm)
}

// cpuFlags returns the flags of the first processor in /proc/cpuinfo.
func cpuFlags(path string) ([]string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(b)) {
		name, value, _ := strings.Cut(line, ":")
		if strings.TrimSpace(name) == "flags" {
			return strings.Fields(value), nil
		}
	}
	return nil, nil
}
