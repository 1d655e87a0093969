package hypervisor

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
)

// Traits maps each trait that this driver knows about to whether the host has it.
// Traits that are false are to be removed from the provider, others left alone.
type Traits map[string]bool

// CPUOptions is how guests' CPUs are configured; it decides which features of the
// host a guest gets, and so which traits the host has.
type CPUOptions struct {
	Mode       string   // "" (not set), none, host-model, host-passthrough, custom
	Models     []string // of mode custom, in any case
	ExtraFlags []string // features added (+) or taken away (-) with any mode but none
}

// CPUTraits returns the HW_CPU_* traits as Nova's libvirt driver computes them.
// An unknown model is an error.
func (h *Host) CPUTraits(ctx context.Context, o CPUOptions) (Traits, error) {
	f, err := h.Facts(ctx)
	if err != nil {
		return nil, err
	}
	features, err := h.guestFeatures(ctx, f, o)
	if err != nil {
		return nil, err
	}
	traits := Traits{
		"HW_CPU_X86_AMD_SEV":    f.supportsSEV(sevParameter),
		"HW_CPU_HYPERTHREADING": f.hyperthreaded(),
	}
	for feature, names := range featureTraits {
		for _, name := range names {
			traits[name] = features[feature]
		}
	}
	return traits, nil
}

// guestFeatures returns the CPU features that a guest may have.
func (h *Host) guestFeatures(ctx context.Context, f *Facts, o CPUOptions) (map[string]bool, error) {
	mode := o.Mode
	if mode == "" {
		mode = "host-model"
	}
	if mode == "none" {
		return h.modelFeatures(ctx, f, []string{defaultModel(f.CPU.Arch)})
	}
	features := setOf(f.CPU.Features...)
	if mode == "custom" {
		models, err := h.spellModels(ctx, f, o.Models)
		if err != nil {
			return nil, err
		}
		if features, err = h.modelFeatures(ctx, f, models); err != nil {
			return nil, err
		}
	}
	for _, flag := range o.ExtraFlags {
		features[strings.TrimLeft(strings.ToLower(flag), "+-")] = true // Nova counts them whatever the sign
	}
	return features, nil
}

// modelFeatures returns the features that any of the models implies.
func (h *Host) modelFeatures(ctx context.Context, f *Facts, models []string) (map[string]bool, error) {
	all := map[string]bool{}
	for _, model := range models {
		features, err := h.expandFeatures(ctx, f.CPU, model, nil)
		if err != nil {
			return nil, err
		}
		for _, feature := range features {
			all[feature] = true
		}
	}
	return all, nil
}

// spellModels returns CPU models in libvirt's spelling.
func (h *Host) spellModels(ctx context.Context, f *Facts, models []string) ([]string, error) {
	if f.CPU.Arch == archARM64 {
		if len(models) == 0 {
			return []string{"max"}, nil
		}
		return models, nil // libvirt has no list of them
	}
	names, err := h.CPUModelNames(ctx)
	if err != nil {
		return nil, err
	}
	spelled := make([]string, 0, len(models))
	for _, m := range models {
		name, ok := names[strings.ToLower(m)]
		if !ok {
			return nil, fmt.Errorf("libvirt knows no CPU model %q for %s", m, f.CPU.Arch)
		}
		spelled = append(spelled, name)
	}
	return spelled, nil
}

// defaultModel is the CPU that QEMU gives a guest who asks for none.
func defaultModel(arch string) string {
	switch arch {
	case archI686:
		return "qemu32"
	case archPPC:
		return "POWER8"
	case archARM64:
		return "max"
	}
	return "qemu64"
}

// hyperthreaded tells whether any core has several threads.
func (f *Facts) hyperthreaded() bool {
	for _, cell := range f.Cells {
		for _, cpu := range cell.CPUs {
			if len(cpu.Siblings) > 1 {
				return true
			}
		}
	}
	return false
}

// sevParameter is where the kernel says whether it uses AMD's memory encryption.
const sevParameter = "/sys/module/kvm_amd/parameters/sev"

func (f *Facts) supportsSEV(parameter string) bool {
	if f.CPU.Arch != archX86 {
		return false
	}
	b, err := os.ReadFile(parameter)
	if err != nil || !slices.Contains([]string{"1", "y", "Y"}, strings.TrimSpace(string(b))) {
		return false
	}
	return f.any(func(c *DomainCaps) bool { return c.SEV })
}

// any tells whether some machine type of some architecture has a property.
func (f *Facts) any(has func(*DomainCaps) bool) bool {
	for _, byMachine := range f.caps {
		for _, c := range byMachine {
			if has(c) {
				return true
			}
		}
	}
	return false
}

// hostHas tells whether some machine type of the host's architecture has a property.
func (f *Facts) hostHas(has func(*DomainCaps) bool) bool {
	for _, c := range f.caps[f.CPU.Arch] {
		if has(c) {
			return true
		}
	}
	return false
}

// UEFI tells whether guests of the host's architecture can boot with UEFI.
func (f *Facts) UEFI() bool { return f.hostHas(func(c *DomainCaps) bool { return c.UEFI }) }

// SecureBoot tells whether they can boot with UEFI Secure Boot.
func (f *Facts) SecureBoot() bool { return f.hostHas(func(c *DomainCaps) bool { return c.SecureBoot }) }

// minVIOMMUVirtio and minRemotePorts are the libvirt versions that brought the
// virtio IOMMU and PCI vital product data.
const (
	minVIOMMUVirtio = 8_003_000
	minRemotePorts  = 7_009_000
)

// DeviceTraits returns the traits of the device models that guests may have, as
// Nova's libvirt driver computes them.
func (f *Facts) DeviceTraits() Traits {
	traits := Traits{}
	for _, model := range vifModels {
		traits[traitName("COMPUTE_NET_VIF_MODEL_", model)] = slices.Contains(vifModelsByType[f.opts.VirtType], model)
	}
	for _, bus := range storageBuses {
		traits[traitName("COMPUTE_STORAGE_BUS_", bus)] = f.any(func(c *DomainCaps) bool {
			return slices.Contains(c.DiskBuses, bus)
		})
	}
	for _, model := range videoModels {
		traits[traitName("COMPUTE_GRAPHICS_MODEL_", model)] = f.any(func(c *DomainCaps) bool {
			return slices.Contains(c.VideoModels, model)
		})
	}
	traits["COMPUTE_VIOMMU_MODEL_AUTO"] = true
	traits["COMPUTE_VIOMMU_MODEL_INTEL"] = len(f.caps[archX86]) > 0
	traits["COMPUTE_VIOMMU_MODEL_SMMUV3"] = len(f.caps[archARM64]) > 0
	traits["COMPUTE_VIOMMU_MODEL_VIRTIO"] = f.LibvirtVersion >= minVIOMMUVirtio
	return traits
}

func traitName(prefix, model string) string {
	return prefix + strings.ToUpper(strings.ReplaceAll(model, "-", "_"))
}

// DriverOptions is what decides which operations and images the node takes.
type DriverOptions struct {
	ImagesType       string   // [libvirt] images_type
	ForceRawImages   bool     // [DEFAULT] force_raw_images
	SWTPM            bool     // [libvirt] swtpm_enabled
	ImageTypeExclude []string // [compute] image_type_exclude_list, as in "qcow2"
}

// DriverTraits returns the traits of what a node can do with guests and images, as
// Nova's libvirt driver reports them.
func (f *Facts) DriverTraits(o DriverOptions) Traits {
	traits := Traits{
		"COMPUTE_SAME_HOST_COLD_MIGRATE":    false,
		"COMPUTE_SECURITY_UEFI_SECURE_BOOT": f.SecureBoot(),
		"COMPUTE_REMOTE_MANAGED_PORTS":      f.LibvirtVersion >= minRemotePorts,
		"COMPUTE_SECURITY_TPM_1_2":          o.SWTPM,
		"COMPUTE_SECURITY_TPM_2_0":          o.SWTPM,
	}
	for _, always := range []string{
		"COMPUTE_NET_ATTACH_INTERFACE", "COMPUTE_NET_ATTACH_INTERFACE_WITH_TAG", "COMPUTE_DEVICE_TAGGING",
		"COMPUTE_VOLUME_ATTACH_WITH_TAG", "COMPUTE_VOLUME_EXTEND", "COMPUTE_VOLUME_MULTI_ATTACH",
		"COMPUTE_TRUSTED_CERTS", "COMPUTE_ACCELERATORS", "COMPUTE_RESCUE_BFV", "COMPUTE_SOCKET_PCI_NUMA_AFFINITY",
	} {
		traits[always] = true
	}
	// LVM and RBD hold raw images alone, and others only if they are converted first.
	rawOnly := (o.ImagesType == "rbd" || o.ImagesType == "lvm") && !o.ForceRawImages
	for format, can := range map[string]bool{
		"aki": true, "ami": true, "ari": true, "iso": true, "raw": true, "qcow2": !rawOnly, "ploop": false,
	} {
		traits[traitName("COMPUTE_IMAGE_TYPE_", format)] = can && !slices.Contains(o.ImageTypeExclude, format)
	}
	return traits
}

// vifModels, storageBuses and videoModels are the models that Nova has traits for.
var (
	vifModels = []string{"virtio", "ne2k_pci", "pcnet", "rtl8139", "e1000", "e1000e", "lan9118", "spapr-vlan",
		"vmxnet3"}
	vifModelsByType = map[string][]string{
		"qemu": vifModels,
		"kvm":  {"virtio", "ne2k_pci", "pcnet", "rtl8139", "e1000", "e1000e", "spapr-vlan", "vmxnet3"},
	}
	storageBuses = []string{"virtio", "scsi", "ide", "usb", "fdc", "sata", "lxc", "xen", "uml"}
	videoModels  = []string{"cirrus", "qxl", "vga", "vmvga", "xen", "virtio", "gop", "none", "bochs"}
)
