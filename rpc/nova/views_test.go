package nova

import (
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

func TestInstanceName(t *testing.T) {
	inst := Instance{NewObject("Instance", "2.7")}
	inst.Set("id", 26)
	inst.Set("uuid", "1bc4830d-ffef-4bfb-89ad-1166786d77ab")
	inst.Set("hostname", "ops")
	inst.Set("key_name", nil)
	tests := map[string]string{
		DefaultNameTemplate:     "instance-0000001a",
		"vm%d":                  "vm26",
		"%x":                    "1a",
		"%(uuid)s":              inst.UUID(),
		"%(hostname)s-%(id)05d": "ops-00026",
		"100%%-%(hostname)s":    "100%-ops",
		"%(key_name)s":          "None",
		"%(no_such_field)s":     inst.UUID(),
		"%(hostname)d":          inst.UUID(),
		"%d-%d":                 inst.UUID(),
		"%(unclosed":            inst.UUID(),
		"%":                     inst.UUID(),
		"%999999999999d":        inst.UUID(),
		"%q":                    inst.UUID(),
	}
	for template, want := range tests {
		if got := inst.Name(template); got != want {
			t.Errorf("%s gives %q, want %q", template, got, want)
		}
	}
}

func FuzzInstanceName(f *testing.F) {
	for _, template := range []string{DefaultNameTemplate, "%(uuid)s", "%%", "%(", "%08.3x%-5s", "%999999d"} {
		f.Add(template, int64(26), "ops")
	}
	f.Fuzz(func(t *testing.T, template string, id int64, hostname string) {
		inst := Instance{NewObject("Instance", "2.7")}
		inst.Set("id", id)
		inst.Set("uuid", "U")
		inst.Set("hostname", hostname)
		name := inst.Name(template)
		if !strings.Contains(template, "%") && name != template {
			t.Errorf("%q became %q", template, name)
		}
		if strings.Contains(name, "%!") && !strings.Contains(template+hostname, "%!") && !strings.Contains(template, "%%") {
			t.Errorf("%q is badly filled: %q", template, name)
		}
	})
}

// TestImageOfInstance compares the image as the instance remembers it, and as
// the plain dictionary tells it, with the request spec's object.
func TestImageOfInstance(t *testing.T) {
	builds := 0
	for _, r := range recordings(t) {
		if r.Message.Method != "build_and_run_instance" {
			continue
		}
		a := NewArgs(r.Message.Args)
		want := a.RequestSpec("request_spec").Image()
		images := map[string]ImageMeta{"dictionary": ImageFromDict(a.Dict("image")), "instance": a.Instance("instance").Image()}
		if a.Err() != nil {
			t.Fatal(a.Err())
		}
		for from, got := range images {
			if got.DiskFormat() != want.DiskFormat() || got.ContainerFormat() != want.ContainerFormat() || got.ID() != want.ID() {
				t.Errorf("%s: %s %s %s", from, got.DiskFormat(), got.ContainerFormat(), got.ID())
			}
			for _, name := range want.Properties().Fields() {
				if got.Prop(name) != want.Prop(name) {
					t.Errorf("%s: %s is %q, want %q", from, name, got.Prop(name), want.Prop(name))
				}
			}
		}
		builds++
	}
	if builds == 0 {
		t.Error("no builds recorded")
	}
}

func TestFormerPropertyNames(t *testing.T) {
	image := ImageFromDict(map[string]any{"properties": map[string]any{
		"architecture": "aarch64", "vm_mode": "hvm", "hw_vm_mode": "xen", "hw_qemu_guest_agent": "yes", "hw_serial_port_count": "2",
	}})
	if image.Prop("hw_architecture") != "aarch64" || image.Prop("hw_vm_mode") != "xen" || image.Properties().Has("architecture") {
		t.Errorf("got %v", image.Properties().Fields())
	}
	if !image.PropBool("hw_qemu_guest_agent") || image.PropInt("hw_serial_port_count") != 2 {
		t.Error("texts are not read as truth value and number")
	}
}

func TestBlockDeviceKinds(t *testing.T) {
	kinds := func(b BlockDeviceMapping) map[string]bool {
		return map[string]bool{"root": b.IsRoot(), "image": b.IsLocalImage(), "swap": b.IsSwap(), "ephemeral": b.IsEphemeral(), "volume": b.IsVolume()}
	}
	tests := []struct {
		source, destination, format string
		boot                        any
		want                        []string
	}{
		{"image", "local", "", 0, []string{"root", "image"}},
		{"blank", "local", "swap", -1, []string{"swap"}},
		{"blank", "local", "ext4", nil, []string{"ephemeral"}},
		{"volume", "volume", "", nil, []string{"volume"}},
		{"image", "volume", "", 0, []string{"root", "volume"}},
	}
	for _, tt := range tests {
		b := BlockDeviceMapping{NewObject("BlockDeviceMapping", "1.21")}
		b.Set("source_type", tt.source)
		b.Set("destination_type", tt.destination)
		b.Set("guest_format", nullable(tt.format))
		b.Set("boot_index", tt.boot)
		want := map[string]bool{"root": false, "image": false, "swap": false, "ephemeral": false, "volume": false}
		for _, k := range tt.want {
			want[k] = true
		}
		if diff := gocmp.Diff(want, kinds(b)); diff != "" {
			t.Errorf("%s to %s: %s", tt.source, tt.destination, diff)
		}
	}
}

func TestConsoleAccessURL(t *testing.T) {
	for kind, want := range map[string]string{"novnc": "http://h/vnc?path=%3Ftoken%3DT", "serial": "http://h/vnc?token=T"} {
		token := ConsoleAuthToken{NewObject("ConsoleAuthToken", "1.1")}
		token.Set("console_type", kind)
		token.Set("access_url_base", "http://h/vnc")
		token.Set("token", "T")
		if got := token.AccessURL(); got != want {
			t.Errorf("%s: %s", kind, got)
		}
	}
}

func TestEventKey(t *testing.T) {
	e := InstanceExternalEvent{NewObject("InstanceExternalEvent", "1.5")}
	e.Set("name", EventNetworkVIFPlugged)
	e.Set("tag", "port")
	if e.Key() != "network-vif-plugged-port" {
		t.Error(e.Key())
	}
	e.Set("tag", nil)
	if e.Key() != "network-vif-plugged" {
		t.Error(e.Key())
	}
}

func TestProviderMapping(t *testing.T) {
	group := NewObject("RequestGroup", "1.3")
	group.Set("requester_id", "port")
	group.Set("provider_uuids", []string{"rp"})
	spec := RequestSpec{NewObject("RequestSpec", "1.14")}
	spec.Set("requested_resources", []*Object{group, NewObject("RequestGroup", "1.3")})
	if diff := gocmp.Diff(map[string][]string{"port": {"rp"}}, spec.ProviderMapping()); diff != "" {
		t.Error(diff)
	}
}
