package hypervisor

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bolide/test/virt"
)

// held lists the traits that are true, in order.
func held(traits Traits) []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(traits)) {
		if traits[name] {
			names = append(names, name)
		}
	}
	return names
}

func TestDriverTraits(t *testing.T) {
	f := testFacts(t)
	all := held(f.DriverTraits(DriverOptions{}))
	for _, test := range []struct {
		name          string
		options       DriverOptions
		added, missed []string
	}{
		{name: "default"},
		{name: "vTPM", options: DriverOptions{SWTPM: true},
			added: []string{"COMPUTE_SECURITY_TPM_1_2", "COMPUTE_SECURITY_TPM_2_0"}},
		{name: "rbd without conversion", options: DriverOptions{ImagesType: "rbd"},
			missed: []string{"COMPUTE_IMAGE_TYPE_QCOW2"}},
		{name: "rbd with conversion", options: DriverOptions{ImagesType: "rbd", ForceRawImages: true}},
		{name: "excluded types", options: DriverOptions{ImageTypeExclude: []string{"iso", "ami"}},
			missed: []string{"COMPUTE_IMAGE_TYPE_AMI", "COMPUTE_IMAGE_TYPE_ISO"}},
	} {
		want := slices.DeleteFunc(append(slices.Clone(all), test.added...), func(name string) bool {
			return slices.Contains(test.missed, name)
		})
		slices.Sort(want)
		if diff := cmp.Diff(want, held(f.DriverTraits(test.options))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
	golden(t, "drivertraits.json", f.DriverTraits(DriverOptions{}))
}

func TestDeviceTraitsFollowVirtType(t *testing.T) {
	f := testFacts(t)
	if !f.DeviceTraits()["COMPUTE_NET_VIF_MODEL_LAN9118"] {
		t.Error("emulated guests have no lan9118")
	}
	f.opts.VirtType = "kvm"
	if f.DeviceTraits()["COMPUTE_NET_VIF_MODEL_LAN9118"] {
		t.Error("KVM guests have lan9118")
	}
}

func TestSEVNeedsKernelAndQEMU(t *testing.T) {
	f := testFacts(t)
	parameter := filepath.Join(t.TempDir(), "sev")
	for _, test := range []struct {
		kernel string
		qemu   bool
		want   bool
	}{{"Y\n", true, true}, {"1\n", true, true}, {"N\n", true, false}, {"", true, false}, {"Y\n", false, false}} {
		if err := os.WriteFile(parameter, []byte(test.kernel), 0o600); err != nil {
			t.Fatal(err)
		}
		f.caps[archX86]["q35"].SEV = test.qemu
		if got := f.supportsSEV(parameter); got != test.want {
			t.Errorf("kernel %q, QEMU %v: %v", test.kernel, test.qemu, got)
		}
	}
	if f.supportsSEV(filepath.Join(t.TempDir(), "none")) {
		t.Error("supported without the kernel's parameter")
	}
}

// TestCPUTraits asks a real libvirtd what models imply.
func TestCPUTraits(t *testing.T) {
	d := virt.Start(t)
	h := connect(t, d, Options{})
	ctx := within(t, 2*patience)
	f, err := h.Facts(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if f.CPU.Arch != archX86 {
		t.Skipf("needs an x86-64 host, this is %s", f.CPU.Arch)
	}
	traits := func(o CPUOptions) Traits {
		t.Helper()
		got, err := h.CPUTraits(ctx, o)
		if err != nil {
			t.Fatal(err)
		}
		delete(got, "HW_CPU_HYPERTHREADING") // the machine's, whatever the guests' CPU
		return got
	}

	// As Nova reports it for qemu64.
	want := []string{"HW_CPU_X86_AMD_SVM", "HW_CPU_X86_MMX", "HW_CPU_X86_SSE", "HW_CPU_X86_SSE2", "HW_CPU_X86_SVM"}
	if diff := cmp.Diff(want, held(traits(CPUOptions{Mode: "none"}))); diff != "" {
		t.Errorf("none (-want +got):\n%s", diff)
	}
	host := traits(CPUOptions{})
	if diff := cmp.Diff(host, traits(CPUOptions{Mode: "host-passthrough"})); diff != "" {
		t.Errorf("host-passthrough is not host-model (-model +passthrough):\n%s", diff)
	}
	if !host["HW_CPU_X86_SSE2"] {
		t.Errorf("no SSE2 on an x86-64 host: %v", held(host))
	}
	custom := traits(CPUOptions{Mode: "custom", Models: []string{"haswell-noTSX"}, ExtraFlags: []string{"+TBM", "-xop"}})
	for _, name := range []string{"HW_CPU_X86_AVX2", "HW_CPU_X86_BMI2", "HW_CPU_X86_TBM", "HW_CPU_X86_XOP"} {
		if !custom[name] {
			t.Errorf("custom without %s: %v", name, held(custom))
		}
	}
	if custom["HW_CPU_X86_AVX512F"] {
		t.Error("Haswell with AVX-512")
	}
	if _, err := h.CPUTraits(ctx, CPUOptions{Mode: "custom", Models: []string{"Abacus"}}); err == nil ||
		!strings.Contains(err.Error(), "Abacus") {
		t.Errorf("unknown model: %v", err)
	}
}
