package guest

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bolide/rpc/nova"
)

// row makes a block device row: "image", "swap", "ephemeral" or "volume", with further fields.
func row(kind string, fields map[string]any) *nova.BlockDeviceMapping {
	o := nova.NewObject("BlockDeviceMapping", "1.20")
	all := map[string]map[string]any{
		"image":     {"source_type": "image", "destination_type": "local", "boot_index": 0},
		"swap":      {"source_type": "blank", "destination_type": "local", "guest_format": "swap", "volume_size": 1},
		"ephemeral": {"source_type": "blank", "destination_type": "local", "volume_size": 1},
		"volume":    {"source_type": "volume", "destination_type": "volume"},
	}[kind]
	for _, m := range []map[string]any{all, fields} {
		for field, value := range m {
			o.Set(field, value)
		}
	}
	return &nova.BlockDeviceMapping{Object: o}
}

func TestPlanDisks(t *testing.T) {
	type fields = map[string]any
	for name, c := range map[string]struct {
		rows   []*nova.BlockDeviceMapping
		props  fields
		change func(r *Request)
		want   []string // name device bus type boot
	}{
		"no rows": {want: []string{"disk vda virtio disk 1", "disk.config hda ide cdrom 0"}},
		"ISO without row": {
			change: func(r *Request) { r.Image.Set("disk_format", "iso"); r.Instance.SetRootDeviceName("") },
			want:   []string{"disk hda ide cdrom 1", "disk.config hdb ide cdrom 0"},
		},
		"default disks": {
			change: func(r *Request) { r.Instance.Set("ephemeral_gb", 1); r.Instance.Flavor().Set("swap", 1) },
			want:   []string{"disk vda virtio disk 1", "disk.local vdb virtio disk 0", "disk.swap vdc virtio disk 0", "disk.config hda ide cdrom 0"},
		},
		"from volume": {
			rows:   []*nova.BlockDeviceMapping{row("volume", fields{"boot_index": 0, "disk_bus": "scsi"}), row("volume", nil), row("swap", nil)},
			change: func(r *Request) { r.Instance.SetRootDeviceName("") },
			want:   []string{"disk.swap vda virtio disk 0", " sda scsi disk 1", " vdb virtio disk 0", "disk.config hda ide cdrom 0"},
		},
		"named": {
			rows: []*nova.BlockDeviceMapping{
				row("image", fields{"device_name": "/dev/vdb"}), row("ephemeral", nil), row("volume", fields{"device_name": "/dev/vda"}),
				row("volume", fields{"device_name": "/dev/sdx", "device_type": "lun"}),
			},
			want: []string{"disk vdb virtio disk 1", "disk.eph0 vdc virtio disk 0", " vda virtio disk 0", " sdx scsi lun 0", "disk.config hda ide cdrom 0"},
		},
		"no device": {rows: []*nova.BlockDeviceMapping{row("ephemeral", fields{"no_device": true})}, want: []string{"disk vda virtio disk 1", "disk.config hda ide cdrom 0"}},
		"vfat":      {change: func(r *Request) { r.Settings.ConfigDriveFormat = "vfat" }, want: []string{"disk vda virtio disk 1", "disk.config vdb virtio disk 0"}},
		"launched": {
			change: func(r *Request) {
				r.Instance.Set("config_drive", "")
				r.Settings.ForceConfigDrive = true
				r.Instance.Set("launched_at", "2026-11-21T18:00:00Z")
			},
			want: []string{"disk vda virtio disk 1"},
		},
		"prefix":        {change: func(r *Request) { r.Settings.DiskPrefix = "xvd" }, want: []string{"disk vda virtio disk 1", "disk.config xvda ide cdrom 0"}},
		"other machine": {props: fields{"hw_architecture": "aarch64"}, want: []string{"disk vda virtio disk 1", "disk.config sda scsi cdrom 0"}},
		"floppy": {
			change: rescueBy("hw_rescue_device", "floppy"),
			want:   []string{"disk vda virtio disk 1", "disk.config hda ide cdrom 0", "disk.rescue fda fdc floppy 0"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := ask(t, nil, c.props)
			r.BlockDevices = c.rows
			if c.change != nil {
				c.change(&r)
			}
			disks, err := PlanDisks(r)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, d := range disks.List {
				got = append(got, fmt.Sprintf("%s %s %s %s %d", d.Name, d.Device, d.Bus, d.Type, d.Boot))
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDisksRunOut(t *testing.T) {
	r := ask(t, nil, map[string]any{"hw_disk_bus": "ide"})
	r.Instance.SetRootDeviceName("")
	r.BlockDevices = []*nova.BlockDeviceMapping{row("image", nil), row("ephemeral", nil), row("ephemeral", nil), row("swap", nil)}
	if _, err := PlanDisks(r); !nova.Is(err, "TooManyDiskDevices") {
		t.Errorf("a fifth IDE disk: %v", err)
	}
	r = ask(t, nil, nil)
	r.Settings.MaxDisks = 1
	r.BlockDevices = []*nova.BlockDeviceMapping{row("image", nil), row("volume", nil)}
	if _, err := PlanDisks(r); !nova.Is(err, "TooManyDiskDevices") {
		t.Errorf("more than configured: %v", err)
	}
	r.Settings.MaxDisks = -1
	r.BlockDevices = []*nova.BlockDeviceMapping{row("volume", map[string]any{"device_name": "/dev/xyz"})}
	if _, err := PlanDisks(r); !nova.Is(err, "InternalError") {
		t.Errorf("a name without bus: %v", err)
	}
}

func TestAssignDeviceNames(t *testing.T) {
	r := ask(t, nil, nil)
	r.Instance.SetRootDeviceName("")
	r.BlockDevices = []*nova.BlockDeviceMapping{
		row("image", map[string]any{"device_name": "/dev/sda"}), row("volume", map[string]any{"device_name": "/dev/vdz"}),
	}
	if err := AssignDeviceNames(r); err != nil {
		t.Fatal(err)
	}
	if got := r.Instance.RootDeviceName(); got != "/dev/sda" {
		t.Errorf("root is %s, not what the user named", got)
	}
	if got := r.BlockDevices[1].DeviceName(); got != "/dev/vda" {
		t.Errorf("volume is %s", got)
	}
	r.BlockDevices = r.BlockDevices[1:]
	r.BlockDevices[0].SetDeviceName("")
	if err := AssignDeviceNames(r); err != nil || r.BlockDevices[0].DeviceName() != "" {
		t.Errorf("named %q without a root, error %v", r.BlockDevices[0].DeviceName(), err)
	}
}

func TestLetters(t *testing.T) {
	for i, want := range map[int]string{0: "a", 25: "z", 26: "aa", 51: "az", 52: "ba", 701: "zz", 702: "aaa"} {
		if got := letters(i); got != want {
			t.Errorf("%d is %s, want %s", i, got, want)
		}
	}
}

func TestRecordDefaultDevices(t *testing.T) {
	r := ask(t, nil, nil)
	RecordDefaultDevices(r.Instance, Disks{List: []Disk{{Name: DefaultEphemeral, Device: "vdb"}, {Name: SwapDisk, Device: "vdc"}}})
	got := []string{r.Instance.DefaultEphemeralDevice(), r.Instance.DefaultSwapDevice()}
	if want := []string{"/dev/vdb", "/dev/vdc"}; !slices.Equal(got, want) {
		t.Errorf("recorded %v, want %v", got, want)
	}
}
