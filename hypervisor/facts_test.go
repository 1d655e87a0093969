package hypervisor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bolide/test/virt"
)

var update = flag.Bool("update", false, "write golden files anew")

// golden compares a value's JSON with a file in testdata.
func golden(t *testing.T, name string, value any) {
	t.Helper()
	got, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

func readFile(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// testFacts are the facts of a recorded host with two NUMA cells.
func testFacts(t *testing.T) *Facts {
	t.Helper()
	f := &Facts{LibvirtVersion: 9_000_000, QEMUVersion: 7_002_022, opts: Options{VirtType: "qemu"}}
	if err := f.readCapabilities(readFile(t, "capabilities.xml")); err != nil {
		t.Fatal(err)
	}
	f.caps = map[string]map[string]*DomainCaps{archX86: {}}
	for _, machine := range []string{"pc", "q35"} {
		c, err := readDomainCaps(readFile(t, "domcaps-"+machine+".xml"))
		if err != nil {
			t.Fatal(err)
		}
		f.caps[archX86][machine], f.caps[archX86][c.Machine] = c, c
	}
	return f
}

func TestReadFacts(t *testing.T) {
	f := testFacts(t)
	golden(t, "facts.json", f)
	golden(t, "domcaps.json", f.caps[archX86])
	golden(t, "hvspecs.json", f.HVSpecs())
	golden(t, "devicetraits.json", f.DeviceTraits())
	info, err := f.CPUInfo()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "cpuinfo.json", json.RawMessage(info))
}

func TestMachines(t *testing.T) {
	f := testFacts(t)
	f.opts.MachineTypes = map[string]string{archX86: "q35"}
	for _, test := range []struct{ arch, machine, canonical string }{
		{archX86, "pc", "pc-i440fx-7.2"},
		{archX86, "pc-i440fx-2.12", "pc-i440fx-2.12"},
		{archARM64, "virt", "virt-7.2"},
		{archX86, "virt", ""},
		{"vax", "pc", ""},
	} {
		got, ok := f.CanonicalMachine(test.arch, test.machine)
		if got != test.canonical || ok != (test.canonical != "") {
			t.Errorf("%s %s is %q, not %q", test.arch, test.machine, got, test.canonical)
		}
	}
	for arch, want := range map[string]string{archX86: "q35", archI686: "pc", archARM64: "virt", "vax": ""} {
		if got := f.DefaultMachine(arch); got != want {
			t.Errorf("default of %s is %q, not %q", arch, got, want)
		}
	}
	if c, ok := f.DomainCaps(archX86, ""); !ok || c.Machine != "pc-q35-7.2" {
		t.Errorf("capabilities of the default: %+v, %v", c, ok)
	}
	if _, ok := f.DomainCaps("vax", "pc"); ok {
		t.Error("capabilities of an unknown architecture")
	}
	if !f.UEFI() || !f.SecureBoot() {
		t.Error("UEFI or Secure Boot is not seen")
	}
}

func TestCPUInfoOfUnknownModel(t *testing.T) {
	f := &Facts{CPU: CPU{Arch: archARM64, Sockets: 1, Cores: 4, Threads: 1}, Cells: make([]Cell, 1)}
	got, err := f.CPUInfo()
	want := `{"arch":"aarch64","model":null,"vendor":null,` +
		`"topology":{"cells":1,"sockets":1,"cores":4,"threads":1},"features":[]}`
	if err != nil || got != want {
		t.Errorf("got  %s, %v\nwant %s", got, err, want)
	}
}

// TestFactsOfLibvirt asks a real libvirtd, which must be asked but once.
func TestFactsOfLibvirt(t *testing.T) {
	d := virt.Start(t)
	h := connect(t, d, Options{})
	ctx := within(t, 2*patience)
	f, err := h.Facts(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if f.Hypervisor != "QEMU" || f.LibvirtVersion < 6_000_000 || f.QEMUVersion < 4_002_000 || f.Hostname == "" ||
		f.CPU.Arch == "" || f.CPUs == 0 || f.MemoryKiB == 0 || len(f.Cells) == 0 {
		t.Errorf("facts: %+v", f)
	}
	if c, ok := f.DomainCaps(archX86, "pc"); !ok || c.VirtType != "qemu" || len(c.DiskBuses) == 0 || len(c.CPUModels) == 0 {
		t.Errorf("domain capabilities: %+v, %v", c, ok)
	}
	if again, err := h.Facts(ctx); again != f || err != nil {
		t.Errorf("facts were gathered again: %v", err)
	}
	if err := d.Restart(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "facts of the new libvirtd", func() bool {
		again, err := h.Facts(ctx)
		return err == nil && again != f
	})
	if m, err := h.NodeMemory(ctx); err != nil || m.Total == 0 {
		t.Errorf("memory: %+v, %v", m, err)
	}
	if c, err := h.NodeCPU(ctx); err != nil || c.Idle == 0 || c.User == 0 {
		t.Errorf("CPU time: %+v, %v", c, err)
	}
	if cpus, err := h.OnlineCPUs(ctx); err != nil || len(cpus) != f.CPUs {
		t.Errorf("online CPUs: %v, %v", cpus, err)
	}
	if got, err := h.CompareCPU(ctx, "<cpu><arch>x86_64</arch><model>qemu64</model></cpu>"); err != nil || got == "" {
		t.Errorf("comparison: %q, %v", got, err)
	}
}

func TestFactStore(t *testing.T) {
	var s factStore
	var gathered atomic.Int32
	release := make(chan struct{})
	gather := func(context.Context) (*Facts, error) {
		gathered.Add(1)
		<-release
		return &Facts{}, nil
	}
	var spawned sync.WaitGroup
	spawn := func(f func()) error { spawned.Go(f); return nil }
	defer spawned.Wait()

	impatient, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := s.get(impatient, spawn, gather); !errors.Is(err, context.Canceled) {
		t.Errorf("a waiter whose context ended: %v", err)
	}
	var waiters sync.WaitGroup
	for range 10 {
		waiters.Go(func() {
			if f, err := s.get(context.Background(), spawn, gather); f == nil || err != nil {
				t.Errorf("facts: %v, %v", f, err)
			}
		})
	}
	close(release)
	waiters.Wait()
	if n := gathered.Load(); n != 1 {
		t.Errorf("gathered %d times", n)
	}

	s.forget()
	broken := errors.New("broken")
	for range 2 {
		_, err := s.get(context.Background(), spawn, func(context.Context) (*Facts, error) { return nil, broken })
		if !errors.Is(err, broken) {
			t.Errorf("failure: %v", err)
		}
	}
	if f, err := s.get(context.Background(), spawn, gather); f == nil || err != nil {
		t.Errorf("after a failure: %v, %v", f, err)
	}
}

// TestFactStoreForgetsFlights: facts gathered from a libvirtd that has gone
// meanwhile are not kept.
func TestFactStoreForgetsFlights(t *testing.T) {
	var s factStore
	old, fresh := &Facts{Hostname: "old"}, &Facts{Hostname: "new"}
	spawn := func(f func()) error { go f(); return nil }
	release := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		f, _ := s.get(context.Background(), spawn, func(context.Context) (*Facts, error) { <-release; return old, nil })
		if f != old {
			t.Errorf("the waiter got %+v", f)
		}
	}()
	waitFor(t, "flight", func() bool { s.mu.Lock(); defer s.mu.Unlock(); return s.flight != nil })
	s.forget()
	close(release)
	<-done
	if f, err := s.get(context.Background(), spawn,
		func(context.Context) (*Facts, error) { return fresh, nil }); f != fresh || err != nil {
		t.Errorf("facts: %+v, %v", f, err)
	}
}

func FuzzReadCapabilities(f *testing.F) {
	f.Add([]byte(readFile(f, "capabilities.xml")))
	f.Add([]byte("<capabilities><host><cpu/></host></capabilities>"))
	f.Fuzz(func(t *testing.T, xml []byte) {
		var facts Facts
		if err := facts.readCapabilities(string(xml)); err != nil {
			return
		}
		facts.HVSpecs()
		if info, err := facts.CPUInfo(); err != nil || !json.Valid([]byte(info)) {
			t.Errorf("CPU info %q: %v", info, err)
		}
		if text, err := facts.CPU.describe(facts.CPU.Model, facts.CPU.Features); err == nil && !bytes.Contains([]byte(text), []byte("<cpu>")) {
			t.Errorf("CPU described as %q", text)
		}
	})
}

func FuzzReadDomainCaps(f *testing.F) {
	f.Add(readFile(f, "domcaps-pc.xml"))
	f.Add(readFile(f, "domcaps-q35.xml"))
	f.Fuzz(func(t *testing.T, xml string) {
		if c, err := readDomainCaps(xml); (c == nil) == (err == nil) {
			t.Errorf("%+v with error %v", c, err)
		}
	})
}

func FuzzParseCPUSet(f *testing.F) {
	for _, seed := range []string{"", "0", "0-3,8", "3-1", "0-999999999", "1,-2"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, list string) {
		set, err := parseCPUSet(list)
		if err != nil {
			return
		}
		for _, cpu := range set {
			if cpu < 0 || cpu >= maxCPU {
				t.Errorf("CPU %d in %q", cpu, list)
			}
		}
	})
}
