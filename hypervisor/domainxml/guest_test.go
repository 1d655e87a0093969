package domainxml

import (
	"encoding/xml"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"libvirt.org/go/libvirtxml"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// smallest is a guest with only what is required.
func smallest() Guest {
	return Guest{
		Type: "qemu", Name: "instance-00000001", UUID: "11111111-2222-4333-8444-555555555555",
		Memory: Memory{KiB: 65536}, VCPUs: VCPUs{Count: 1}, Boot: Boot{Type: "hvm"},
	}
}

// build is Build for guests without fault.
func build(t *testing.T, g Guest) *libvirtxml.Domain {
	t.Helper()
	d, err := Build(g)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// same compares one device, or another part, as a whole.
func same[T any](t *testing.T, want, got T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("want (-), got (+):\n%s", diff)
	}
}

func TestSmallestGuestHasNothingElse(t *testing.T) {
	same(t, &libvirtxml.Domain{
		Type: "qemu", Name: "instance-00000001", UUID: "11111111-2222-4333-8444-555555555555",
		Memory:  &libvirtxml.DomainMemory{Value: 65536, Unit: "KiB"},
		VCPU:    &libvirtxml.DomainVCPU{Value: 1},
		OS:      &libvirtxml.DomainOS{Type: &libvirtxml.DomainOSType{Type: "hvm"}},
		Devices: &libvirtxml.DomainDeviceList{},
	}, build(t, smallest()))
}

// full is a guest with one of everything.
func full() Guest {
	g := smallest()
	g.Type = "kvm"
	g.Metadata = `<x:owner xmlns:x="urn:example">me &amp; you</x:owner>`
	g.Memory = Memory{KiB: 2097152, MaxKiB: 4194304, MaxSlots: 2, Backing: MemoryBacking{HugePages: []HugePages{{KiB: 2048}}, Locked: true}}
	g.VCPUs = VCPUs{Count: 4, Current: 2}
	g.CPU = CPU{Mode: "custom", Match: "exact", Model: "Nehalem", Topology: Topology{1, 2, 2}, Features: []CPUFeature{{"aes", "require"}},
		Cells: []NUMACell{{CPUs: "0-3", KiB: 2097152, Access: "shared"}}}
	g.CPUTune = CPUTune{Shares: 512, EmulatorSet: "0", Pins: []VCPUPin{{VCPU: 0, Set: "1"}}}
	g.NUMATune = NUMATune{Mode: "strict", Nodes: "0", Cells: []NUMABinding{{Mode: "strict", Nodes: "0"}}}
	g.SMBIOS = SMBIOS{Manufacturer: "Example", Serial: "1"}
	g.Boot = Boot{Type: "hvm", Arch: "x86_64", Machine: "q35", Devices: []string{"hd", "cdrom"}, Menu: true}
	g.Features = Features{ACPI: true, APIC: true, VMCoreInfo: true}
	g.Clock = Clock{Offset: "utc", Timers: []Timer{{Name: "pit", TickPolicy: "delay"}}}
	g.Lifecycle = Lifecycle{OnPowerOff: "destroy", OnReboot: "restart", OnCrash: "destroy"}
	g.PerfEvents = []string{"cpu_cycles"}
	g.Disks = []Disk{{Device: "disk", Source: FileSource("/disk"), Format: "qcow2", Target: "vda", Bus: "virtio", Cache: "none"}}
	g.Controllers = []Controller{{Type: "usb", Model: "none", Index: new(uint(0))}}
	g.Interfaces = []Interface{{MAC: "fa:16:3e:00:00:01", Source: Bridge("br0"), Model: "virtio", Target: Target{Device: "tap0"}, MTU: 1450}}
	g.Serials = []Serial{{Source: Pty{}, Log: CharLog{File: "/console.log"}}}
	g.Consoles = []Console{{Source: Pty{}, Target: "virtio"}}
	g.Channels = []Channel{{Source: UnixListener("/agent.sock"), Name: "org.qemu.guest_agent.0"}}
	g.Inputs = []Input{{Type: "tablet", Bus: "usb"}}
	g.TPM = TPM{Model: "tpm-crb", Version: "2.0"}
	g.Graphics = []Graphics{{Protocol: VNC, Listen: "127.0.0.1"}}
	g.Videos = []Video{{Model: "virtio"}}
	g.HostDevices = []HostDevice{PCIDevice{Bus: 0x3b}}
	g.Watchdog = Watchdog{Model: "i6300esb", Action: "reset"}
	g.Balloon = Balloon{Model: "virtio", StatsSeconds: 10}
	g.RNG = RNG{Device: "/dev/urandom"}
	g.NVDIMMs = []NVDIMM{{Path: "/dev/dax0.0", SizeKiB: 1048576, AlignKiB: 2048, LabelKiB: 2048}}
	g.IOMMU = IOMMU{Model: "intel"}
	return g
}

func TestFullGuest(t *testing.T) {
	const golden = "testdata/full.xml"
	got, err := Marshal(full())
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(golden, []byte(got+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	same(t, string(want), got+"\n")
}

func TestFaultsAreAllTold(t *testing.T) {
	g := Guest{
		Name:     "bad",
		Metadata: "</metadata><devices/>",
		Disks: []Disk{
			{Device: "disk", Target: "vda", Bus: "virtio", Source: FileSource("/guess")},
			{Device: "cdrom", Target: "vda", Bus: "sata"},
			{},
		},
		Interfaces: []Interface{{MAC: "fa:16:3e:00:00:01"}, {MAC: "nonsense", Source: Ethernet{}}},
	}
	_, err := Build(g)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		"domain bad: ", "no type", "no uuid", "no memory", "no vcpus", "no os type", "metadata: ",
		"disk vda: format is not stated", "disk vda: target used twice", "disk : device, target and bus are needed",
		"interface fa:16:3e:00:00:01: no source", "interface nonsense: ",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
	if text, err := Marshal(g); err == nil || text != "" {
		t.Errorf("marshalled %q, error %v", text, err)
	}
}

// FuzzMetadata looks for a fragment that would change the domain around it.
func FuzzMetadata(f *testing.F) {
	f.Add("<a/>", "name")
	f.Add("</metadata><devices><disk/></devices><metadata>", "x")
	f.Add("<!-- ", "]]>")
	f.Fuzz(func(t *testing.T, fragment, model string) {
		g := smallest()
		g.Metadata = fragment
		g.Videos = []Video{{Model: model}}
		text, err := Marshal(g)
		if err != nil {
			return
		}
		var d libvirtxml.Domain
		if err := d.Unmarshal(text); err != nil {
			if xml.Unmarshal([]byte("<m>"+fragment+"</m>"), new(struct{})) == nil {
				t.Fatalf("%v in %s", err, text)
			}
			return
		}
		if d.UUID != g.UUID || len(d.Devices.Videos) != 1 || len(d.Devices.Disks) != 0 {
			t.Errorf("the domain became %s", text)
		}
	})
}
