package guest

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"libvirt.org/go/libvirtxml"

	"bolide/agent/network"
	"bolide/hypervisor/domainxml"
	"bolide/rpc/nova"
)

func TestBestTopology(t *testing.T) {
	for name, c := range map[string]struct {
		vcpus int
		specs map[string]string
		props map[string]any
		want  shape
	}{
		"nothing asked":       {4, nil, nil, shape{4, 1, 1}},
		"threads":             {4, map[string]string{"hw:cpu_threads": "2"}, nil, shape{2, 1, 2}},
		"image before flavor": {4, map[string]string{"hw:cpu_threads": "2"}, map[string]any{"hw_cpu_cores": 4}, shape{1, 4, 1}},
		"limits":              {8, map[string]string{"hw:cpu_max_sockets": "2"}, nil, shape{2, 4, 1}},
		"image lowers limits": {8, map[string]string{"hw:cpu_max_sockets": "4", "hw:cpu_sockets": "4"}, map[string]any{"hw_cpu_max_sockets": 2}, shape{2, 4, 1}},
		"wish that cannot be": {4, map[string]string{"hw:cpu_sockets": "3"}, nil, shape{4, 1, 1}},
		"all three":           {8, map[string]string{"hw:cpu_sockets": "2", "hw:cpu_cores": "2", "hw:cpu_threads": "2"}, nil, shape{2, 2, 2}},
		"prime":               {7, map[string]string{"hw:cpu_max_sockets": "2", "hw:cpu_max_threads": "1"}, nil, shape{1, 7, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := bestTopology(c.vcpus, wishesOf(ask(t, c.specs, c.props)))
			if err != nil || got != c.want {
				t.Errorf("shape is %v, error %v, want %v", got, err, c.want)
			}
		})
	}
}

func TestCPUSets(t *testing.T) {
	for text, want := range map[string][]int{
		"": nil, "3": {3}, "0-3,^2": {0, 1, 3}, " 1 , 5-6,": {1, 5, 6}, "0-7,^2-5": {0, 1, 6, 7}, "^1": nil, "4,4,4": {4},
	} {
		got, err := ParseCPUs(text)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q is %v, error %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"x", "1-", "-1", "3-1", "1-2-3", "^", "0-99999999999", "99999"} {
		if got, err := ParseCPUs(text); !nova.Is(err, "Invalid") {
			t.Errorf("%q is %v, error %v", text, got, err)
		}
	}
	if got := FormatCPUs([]int{7, 0, 2, 1, 2}); got != "0-2,7" {
		t.Errorf("set is %q", got)
	}
}

func FuzzCPUSets(f *testing.F) {
	f.Add("0-3,^2,8")
	f.Fuzz(func(t *testing.T, text string) {
		cpus, err := ParseCPUs(text)
		if err != nil {
			return
		}
		again, err := ParseCPUs(FormatCPUs(cpus))
		if err != nil || !slices.Equal(cpus, again) {
			t.Errorf("%q is %v, and that is %v, error %v", text, cpus, again, err)
		}
	})
}

func TestSerialNumbers(t *testing.T) {
	r := ask(t, nil, nil)
	for mode, want := range map[string]string{
		"unique": r.Instance.UUID(), "none": "", "hardware": r.Host.UUID,
		"os": "11111111-2222-4333-8444-555555555555", "auto": "11111111-2222-4333-8444-555555555555",
	} {
		r.Settings.SysinfoSerial = mode
		if got := smbios(r).Serial; got != want {
			t.Errorf("%s: %q, want %q", mode, got, want)
		}
	}
	r.Settings.SysinfoSerial, r.Host.MachineID = "auto", ""
	if got := smbios(r).Serial; got != r.Host.UUID {
		t.Errorf("auto without machine id: %q", got)
	}
	r = ask(t, nil, map[string]any{"hw_architecture": "s390x"})
	if got := smbios(r); got != (domainxml.SMBIOS{}) {
		t.Errorf("a mainframe has %+v", got)
	}
}

func TestUEFI(t *testing.T) {
	for name, c := range map[string]struct {
		props  map[string]any
		loader string
		secure bool
	}{
		"pc":       {map[string]any{"hw_firmware_type": "uefi"}, "/usr/share/OVMF/OVMF_CODE_4M.fd", false},
		"optional": {map[string]any{"hw_firmware_type": "uefi", "hw_machine_type": "q35", "os_secure_boot": "optional"}, "/usr/share/OVMF/OVMF_CODE_4M.ms.fd", true},
		"disabled": {map[string]any{"hw_firmware_type": "uefi", "hw_machine_type": "q35", "os_secure_boot": "disabled"}, "/usr/share/OVMF/OVMF_CODE_4M.fd", false},
		"on pc":    {map[string]any{"hw_firmware_type": "uefi", "os_secure_boot": "optional"}, "/usr/share/OVMF/OVMF_CODE_4M.fd", false},
	} {
		g, err := describe(ask(t, nil, c.props))
		if err != nil || g.Boot.Loader.Path != c.loader || g.Boot.Loader.Secure != c.secure || g.Features.SMM != c.secure {
			t.Errorf("%s: loader %+v, error %v", name, g.Boot.Loader, err)
		}
	}
}

func TestKernelOfRescue(t *testing.T) {
	r := ask(t, nil, nil)
	r.Rescue = &Rescue{KernelID: "k", RamdiskID: "r"}
	g, err := describe(r)
	if err != nil {
		t.Fatal(err)
	}
	dir := "/var/lib/nova/instances/" + r.Instance.UUID()
	want := domainxml.Boot{
		Type: "hvm", Arch: "x86_64", Machine: "pc", Kernel: dir + "/kernel.rescue", Initrd: dir + "/ramdisk.rescue",
		CmdLine: "root=/dev/vda console=tty0 console=ttyS0 console=hvc0 no_timer_check",
	}
	if diff := cmp.Diff(want, g.Boot); diff != "" {
		t.Error(diff)
	}
}

func TestFormatsOfDisksAreTheRecordedOnes(t *testing.T) {
	r := ask(t, nil, nil)
	r.Formats = map[string]string{RootDisk: "raw"}
	g, err := describe(r)
	if err != nil {
		t.Fatal(err)
	}
	if got := g.Disks[0].Format; got != "raw" {
		t.Errorf("format is %s", got)
	}
}

func TestUnmanagedTap(t *testing.T) {
	r := ask(t, nil, nil)
	port(`{"id": "12345678-aaaa", "type": "tap", "network": {"id": "n", "meta": {"mtu": 1400}}}`)(&r)
	r.Host.Libvirt = libvirtUnmanagedTap
	nic, err := Interface(r, r.Network[0])
	want := domainxml.Interface{
		MAC: "fa:16:3e:00:00:01", Source: domainxml.Ethernet{}, Model: "virtio", MTU: 1400,
		Driver: domainxml.InterfaceDriver{Name: "qemu"}, Target: domainxml.Target{Device: "nic12345678-aa", Unmanaged: true},
	}
	if diff := cmp.Diff(want, nic); diff != "" || err != nil {
		t.Errorf("error %v:\n%s", err, diff)
	}
}

func TestMultiqueueFollowsTheKernel(t *testing.T) {
	r := ask(t, map[string]string{"hw:vif_multiqueue_enabled": "true"}, nil)
	r.Settings.VirtType = "kvm"
	for _, c := range []struct {
		vcpus, tapQueues int
		want             domainxml.InterfaceDriver
	}{
		{1, 0, domainxml.InterfaceDriver{}}, {4, 0, domainxml.InterfaceDriver{Name: "vhost", Queues: 4}}, {16, 8, domainxml.InterfaceDriver{Name: "vhost", Queues: 8}},
	} {
		r.Instance.Flavor().Set("vcpus", c.vcpus)
		r.Host.TapQueues = c.tapQueues
		nic, err := Interface(r, r.Network[0])
		if err != nil || nic.Driver != c.want {
			t.Errorf("%d vcpus: driver %+v, error %v", c.vcpus, nic.Driver, err)
		}
	}
}

func TestDevicesWithVLANs(t *testing.T) {
	info, err := network.ParseInfo(`[
		{"id": "a", "address": "FA:16:3e:00:00:01", "type": "hw_veb", "details": {"vlan": "100"}, "profile": {"trusted": "true"}},
		{"id": "b", "address": "fa:16:3e:00:00:02", "type": "hostdev_physical", "profile": {"pci_slot": "0000:81:00.0"}}]`)
	if err != nil {
		t.Fatal(err)
	}
	pci := func(bus, function uint) *libvirtxml.DomainAddressPCI {
		return &libvirtxml.DomainAddressPCI{Domain: new(uint(0)), Bus: new(bus), Slot: new(uint(0)), Function: new(function)}
	}
	o := DeviceMetadata(TagRequest{
		Profile: nova.Zed(), Network: info, PortTags: map[string]string{"b": "fast"},
		Domain: &libvirtxml.Domain{Devices: &libvirtxml.DomainDeviceList{
			Interfaces: []libvirtxml.DomainInterface{
				{MAC: &libvirtxml.DomainInterfaceMAC{Address: "fa:16:3e:00:00:01"}, Address: &libvirtxml.DomainAddress{PCI: pci(1, 0)}}, {},
			},
			Hostdevs: []libvirtxml.DomainHostdev{
				{SubsysPCI: &libvirtxml.DomainHostdevSubsysPCI{Source: &libvirtxml.DomainHostdevSubsysPCISource{Address: pci(0x81, 0)}}}, {},
			},
			Disks: []libvirtxml.DomainDisk{{}},
		}},
	})
	for version, want := range map[string]string{
		newtonOne: `[{"address":"0000:81:00.0","bus":"pci","mac":"fa:16:3e:00:00:02","tags":["fast"],"type":"nic"}]`,
		ocata: `[{"address":"0000:01:00.0","bus":"pci","mac":"FA:16:3e:00:00:01","type":"nic","vlan":100},` +
			`{"address":"0000:81:00.0","bus":"pci","mac":"fa:16:3e:00:00:02","tags":["fast"],"type":"nic"}]`,
		rocky: `[{"address":"0000:01:00.0","bus":"pci","mac":"FA:16:3e:00:00:01","type":"nic","vf_trusted":true,"vlan":100},` +
			`{"address":"0000:81:00.0","bus":"pci","mac":"fa:16:3e:00:00:02","tags":["fast"],"type":"nic","vf_trusted":false}]`,
	} {
		got, err := encode(deviceData(o, version))
		if diff := cmp.Diff(want, string(got)); diff != "" || err != nil {
			t.Errorf("%s: error %v:\n%s", version, err, diff)
		}
	}
}

// TestTBCacheIsForEmulation looks that KVM's guests and old libvirts are not given what they have no use for.
func TestTBCacheIsForEmulation(t *testing.T) {
	for name, c := range map[string]struct {
		virt    string
		libvirt int
		want    uint
	}{
		"emulated":    {"qemu", 9000000, 64},
		"KVM":         {"kvm", 9000000, 0},
		"old libvirt": {"qemu", 7000000, 0},
	} {
		r := ask(t, nil, nil)
		r.Settings.TBCacheMiB, r.Settings.VirtType, r.Host.Libvirt = 64, c.virt, c.libvirt
		g, err := describe(r)
		if err != nil || g.Features.TBCacheMiB != c.want {
			t.Errorf("%s: cache of %d MiB, %v", name, g.Features.TBCacheMiB, err)
		}
	}
}
