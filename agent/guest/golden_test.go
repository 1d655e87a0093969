package guest

import (
	"encoding/json"
	"encoding/xml"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
	"libvirt.org/go/libvirtxml"

	"bolide/agent/network"
	"bolide/hypervisor/domainxml"
	"bolide/rpc/nova"
)

// golden is what Nova's own node (26.2.2) made of one instance, with all that it made it of. testdata/README.md tells
// how the files came about.
type golden struct {
	Name  string
	About struct {
		Settings string                                   // of settingsOf
		Rescue   *map[string]any                          // the rescue image
		Image    *map[string]any                          // the image as Glance describes it, where that is asked for
		Tags     map[string]string                        // of ports, by id
		Override struct{ Settings, Host json.RawMessage } // of settingsOf, in cases from generate.py
		MDevs    []string
	}
	files map[string]string
}

func goldens(t *testing.T) []golden {
	t.Helper()
	paths, err := filepath.Glob("testdata/golden/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no golden data: %v", err)
	}
	var out []golden
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		g := golden{Name: strings.TrimSuffix(filepath.Base(path), ".txtar"), files: map[string]string{}}
		for _, f := range txtar.Parse(raw).Files {
			g.files[f.Name] = string(f.Data)
		}
		g.read(t, "about.json", &g.About)
		out = append(out, g)
	}
	return out
}

func (g golden) read(t *testing.T, name string, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(g.files[name]), v); err != nil {
		t.Fatalf("%s: %s: %v", g.Name, name, err)
	}
}

func (g golden) mappings(t *testing.T, name string) []*nova.BlockDeviceMapping {
	t.Helper()
	var raw []json.RawMessage
	g.read(t, name, &raw)
	var out []*nova.BlockDeviceMapping
	for _, r := range raw {
		o, err := nova.Decode(r)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, &nova.BlockDeviceMapping{Object: o})
	}
	return out
}

// request is what Nova's node was asked.
func (g golden) request(t *testing.T) Request {
	t.Helper()
	o, err := nova.Decode(json.RawMessage(g.files["instance.json"]))
	if err != nil {
		t.Fatal(err)
	}
	info, err := network.ParseInfo(g.files["network.json"])
	if err != nil {
		t.Fatal(err)
	}
	settings, host := settingsOf(g.About.Settings)
	for raw, to := range map[*json.RawMessage]any{&g.About.Override.Settings: &settings, &g.About.Override.Host: &host} {
		if *raw == nil {
			continue
		}
		if err := json.Unmarshal(*raw, to); err != nil {
			t.Fatal(err)
		}
	}
	r := Request{
		Settings:     settings,
		Host:         host,
		Instance:     nova.Instance{Object: o},
		BlockDevices: g.mappings(t, "mappings.json"),
		Network:      info,
		MDevs:        g.About.MDevs,
	}
	r.Name = r.Instance.Name(nova.DefaultNameTemplate)
	if g.About.Rescue != nil {
		r.Rescue = &Rescue{Image: nova.ImageFromDict(*g.About.Rescue)}
	}
	if g.About.Image != nil {
		r.Image = nova.ImageFromDict(*g.About.Image)
	}
	return r
}

// settingsOf are the two configurations that the data was taken with.
func settingsOf(name string) (Settings, Host) {
	s := Settings{
		InstancesPath: "/var/lib/nova/instances", DiskFormat: "qcow2", DiskCache: "none", MaxDisks: -1,
		ConfigDriveFormat: "iso9660", PointerModel: "usbtablet",
		VirtType: "qemu", CPUMode: "none", VirtioForBridges: true, MemStatsSeconds: 10, RNGDevice: "/dev/urandom",
		SysinfoSerial: "unique", RealtimePriority: 1,
		VNC:        Screen{Enabled: true, Listen: "127.0.0.1"},
		SPICE:      Screen{Listen: "127.0.0.1"},
		SPICEAgent: true,
		SerialHost: "127.0.0.1",
		Product:    Product{Vendor: "OpenStack Foundation", Name: "OpenStack Nova", Version: "26.2.2"},
		Drive:      DriveSettings{Domain: "novalocal", SkipVersions: strings.Fields(skippedVersions), Providers: []string{"StaticJSON"}},
	}
	h := Host{
		Arch: "x86_64", UUID: "99999999-8888-4777-8666-555555555555", MachineID: "11111111222243338444555555555555\n",
		MachineTypes: map[string]string{"pc": "pc-i440fx-7.2", "q35": "pc-q35-7.2"},
		CPUModels:    []string{"Nehalem", "qemu64"},
		CPUControl:   true,
		Firmware: []Firmware{
			{Loader: "/usr/share/OVMF/OVMF_CODE_4M.ms.fd", NVRAMTemplate: "/usr/share/OVMF/OVMF_VARS_4M.ms.fd", Arch: "x86_64", Machines: []string{"pc-q35-*"}, SecureBoot: true, SMM: true},
			{Loader: "/usr/share/OVMF/OVMF_CODE_4M.fd", NVRAMTemplate: "/usr/share/OVMF/OVMF_VARS_4M.fd", Arch: "x86_64", Machines: []string{"pc-i440fx-*", "pc-q35-*"}},
		},
		NUMA:    []NUMACell{{CPUs: []int{0, 1}, PageSizes: []int{4, 2048, 1048576}}},
		Libvirt: 9000000,
	}
	if name == "tuned" {
		s.DiskFormat, s.DiskDiscard, s.DiskCacheModes = "raw", "unmap", map[string]string{"file": "directsync"}
		s.ForceConfigDrive, s.PointerModel = true, "ps2mouse"
		s.CPUMode, s.CPUModels, s.CPUFlags = "custom", []string{"nehalem"}, []string{"aes", "-ssse3"}
		s.MachineTypes, s.PCIePorts = map[string]string{"x86_64": "q35"}, 6
		s.MemStatsSeconds, s.RXQueueSize, s.SysinfoSerial = 0, 512, "os"
		s.VNC.Listen, s.SPICE = "0.0.0.0", Screen{Enabled: true, Listen: "0.0.0.0"}
		s.SerialConsole = true
		s.Drive.Domain = "cloud.example"
		s.Drive.VendorData = json.RawMessage(`{"motd": "hello", "n": 3}`)
	}
	return s, h
}

// skippedVersions is the default of [api] config_drive_skip_versions.
const skippedVersions = "1.0 2007-01-19 2007-03-01 2007-08-29 2007-10-10 2007-12-15 2008-02-01 2008-09-01"

// differences are the deliberate ones, each applied to Nova's domain with its reason.
var differences = map[string]func(d *libvirtxml.Domain){
	// Nova gives the enlightenments of KVM to emulated Windows guests as well, and QEMU then refuses to start them
	// ("kernel doesn't allow setting HyperV VP_INDEX").
	"windows": func(d *libvirtxml.Domain) { d.Features.HyperV = nil },
	// Nova takes the serial ports of the guest that is about to be replaced for ones kept in a migration, and leaves a
	// rescued guest without any.
	"tuned_rescue_swap_classic": func(d *libvirtxml.Domain) {
		d.Devices.Serials = []libvirtxml.DomainSerial{{
			XMLName: xml.Name{Local: "serial"},
			Source:  &libvirtxml.DomainChardevSource{TCP: &libvirtxml.DomainChardevSourceTCP{Mode: "bind", Host: "127.0.0.1", Service: "20000"}},
			Log:     &libvirtxml.DomainChardevLog{File: "/var/lib/nova/instances/" + d.UUID + "/console.log", Append: "off"},
		}}
	},
}

// novas is the domain of Nova's node, with the deliberate differences applied.
func (g golden) novas(t *testing.T) *libvirtxml.Domain {
	t.Helper()
	var d libvirtxml.Domain
	if err := d.Unmarshal(g.files["domain.xml"]); err != nil {
		t.Fatal(err)
	}
	if change := differences[g.Name]; change != nil {
		change(&d)
	}
	return &d
}

// describe is our description of the guest, with the serial ports and the time that Nova's node took.
func (g golden) describe(t *testing.T, novas libvirtxml.Domain) domainxml.Guest {
	t.Helper()
	r := g.request(t)
	ports, err := SerialPortCount(r)
	if err != nil {
		t.Fatal(err)
	}
	if r.SerialPorts = serialPorts(t, novas); len(r.SerialPorts) != ports {
		t.Errorf("%d serial ports wanted, Nova's guest has %v", ports, r.SerialPorts)
	}
	r.Created = createdOf(t, novas)
	return described(t, r)
}

// described is the description of a guest with the disks that it is to have.
func described(t *testing.T, r Request) domainxml.Guest {
	t.Helper()
	disks, err := PlanDisks(r)
	if err != nil {
		t.Fatal(err)
	}
	d, err := Describe(r, disks)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDomainIsNovas(t *testing.T) {
	for _, g := range goldens(t) {
		t.Run(g.Name, func(t *testing.T) {
			want := *g.novas(t)
			described := g.describe(t, want)
			text, err := domainxml.Marshal(described)
			if err != nil {
				t.Fatal(err)
			}
			var got libvirtxml.Domain
			if err := got.Unmarshal(text); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(normal(t, want), normal(t, got)); diff != "" {
				t.Errorf("Nova's (-) and ours (+) differ:\n%s", diff)
			}
		})
	}
}

// normal takes away what means the same to libvirt.
func normal(t *testing.T, d libvirtxml.Domain) libvirtxml.Domain {
	t.Helper()
	d.Metadata.XML = canonicalXML(t, d.Metadata.XML)
	if d.Memory.Unit == "" {
		d.Memory.Unit = "KiB" // the default
	}
	if d.CPU != nil && d.CPU.Numa != nil {
		for i := range d.CPU.Numa.Cell {
			d.CPU.Numa.Cell[i].Unit = "KiB" // the default
		}
	}
	if d.Features != nil && d.Features.VMCoreInfo != nil {
		d.Features.VMCoreInfo.State = "on" // the default
	}
	if d.Features != nil && d.Features.SMM != nil {
		d.Features.SMM.State = "on" // the default
	}
	// libvirt keeps its devices by type, in the order in which it reads each.
	slices.SortStableFunc(d.Devices.Controllers, func(a, b libvirtxml.DomainController) int { return strings.Compare(a.Type, b.Type) })
	slices.SortStableFunc(d.Devices.Channels, func(a, b libvirtxml.DomainChannel) int {
		return strings.Compare(a.Target.VirtIO.Name, b.Target.VirtIO.Name)
	})
	for i := range d.SysInfo {
		if s := d.SysInfo[i].SMBIOS; s != nil && s.System != nil {
			slices.SortFunc(s.System.Entry, func(a, b libvirtxml.DomainSysInfoEntry) int { return strings.Compare(a.Name, b.Name) })
		}
	}
	return d
}

// canonicalXML drops the white space between elements.
func canonicalXML(t *testing.T, text string) string {
	t.Helper()
	var out strings.Builder
	dec, enc := xml.NewDecoder(strings.NewReader(text)), xml.NewEncoder(&out)
	for {
		token, err := dec.Token()
		if err != nil {
			break
		}
		if chars, ok := token.(xml.CharData); ok && strings.TrimSpace(string(chars)) == "" {
			continue
		}
		if err := enc.EncodeToken(xml.CopyToken(token)); err != nil {
			t.Fatal(err)
		}
	}
	if err := enc.Flush(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// serialPorts are the ports that Nova's node picked for the guest.
func serialPorts(t *testing.T, d libvirtxml.Domain) []int {
	t.Helper()
	var ports []int
	for _, s := range d.Devices.Serials {
		if s.Source.TCP != nil {
			port, err := strconv.Atoi(s.Source.TCP.Service)
			if err != nil {
				t.Fatal(err)
			}
			ports = append(ports, port)
		}
	}
	return ports
}

func createdOf(t *testing.T, d libvirtxml.Domain) time.Time {
	t.Helper()
	_, rest, _ := strings.Cut(d.Metadata.XML, "creationTime>")
	text, _, _ := strings.Cut(rest, "<")
	at, err := time.Parse(time.DateTime, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}
