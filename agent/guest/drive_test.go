package guest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"libvirt.org/go/libvirtxml"

	"bolide/agent/network"
	"bolide/hypervisor/configdrive"
	"bolide/rpc/nova"
)

// drive are the files of the drive that Nova's node made, nil if the case has none. Files of one content are kept once,
// under all their paths.
func (g golden) drive() map[string][]byte {
	var out map[string][]byte
	for name, content := range g.files {
		paths, ok := strings.CutPrefix(name, "drive/")
		if !ok {
			continue
		}
		if out == nil {
			out = map[string][]byte{}
		}
		for _, p := range strings.Fields(paths) {
			out[p] = []byte(content)
		}
	}
	return out
}

func TestDriveIsNovas(t *testing.T) {
	tested := 0
	for _, g := range goldens(t) {
		want := g.drive()
		if want == nil {
			continue
		}
		tested++
		t.Run(g.Name, func(t *testing.T) {
			r := g.request(t)
			d := DriveRequest{Request: r, Random: zeros{}, AdminPassword: "secret"}
			if r.Rescue == nil {
				disks, err := PlanDisks(r)
				if err != nil {
					t.Fatal(err)
				}
				RecordDefaultDevices(r.Instance, disks)
			}
			d.Devices = g.deviceMetadata(t)
			got, err := DriveFiles(d)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(got))); diff != "" {
				t.Fatalf("Nova's files (-) and ours (+) differ:\n%s", diff)
			}
			for name := range want {
				if diff := cmp.Diff(content(t, name, want[name]), content(t, name, got[name])); diff != "" {
					t.Errorf("%s: Nova's (-) and ours (+) differ:\n%s", name, diff)
				}
			}
		})
	}
	if tested == 0 {
		t.Error("no case has a drive")
	}
}

// content is the meaning of a file: the value of JSON, else the text. The random seed counts by its length.
func content(t *testing.T, name string, raw []byte) any {
	t.Helper()
	if path.Ext(name) != ".json" {
		return strings.TrimSuffix(string(raw), "\n") // the golden data ends every file with one
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if about, ok := v.(map[string]any); ok && about["random_seed"] != nil {
		if seed := about["random_seed"].(string); seed != "" && seed != base64.StdEncoding.EncodeToString(make([]byte, 512)) {
			t.Errorf("%s: random seed is %q", name, seed)
		}
		about["random_seed"] = "a seed"
	}
	return v
}

// deviceMetadata is what we find in the domain that Nova's node defined, nil if the case keeps none.
func (g golden) deviceMetadata(t *testing.T) *nova.Object {
	t.Helper()
	if g.files["defined.xml"] == "" {
		return nil
	}
	var domain libvirtxml.Domain
	if err := domain.Unmarshal(g.files["defined.xml"]); err != nil {
		t.Fatal(err)
	}
	r := g.request(t)
	return DeviceMetadata(TagRequest{
		Profile: nova.Zed(), Domain: &domain, Network: r.Network, BlockDevices: r.BlockDevices, PortTags: g.About.Tags,
	})
}

// zeros is a source of nothing but zeros.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func TestDriveFits(t *testing.T) {
	g := goldens(t)[0]
	files, err := DriveFiles(DriveRequest{Request: g.request(t), Random: zeros{}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (configdrive.Drive{Files: files}).WriteTo(io.Discard); err != nil {
		t.Error(err)
	}
}

func TestDriveExtras(t *testing.T) {
	g := find(t, "plain")
	d := DriveRequest{
		Request:        g.request(t),
		SecurityGroups: []string{"default", "web"},
		Files:          []InjectedFile{{Path: "/etc/motd", Content: []byte("hello")}, {Path: "/etc/issue", Content: []byte("welcome")}},
		Dynamic:        json.RawMessage(`{"join": {"otp": "1234"}, "static": {"never": "taken"}}`),
		Random:         zeros{},
	}
	d.Settings.Drive.Providers = []string{"StaticJSON", "DynamicJSON"}
	d.Settings.Drive.SkipVersions = nil
	d.Settings.Drive.Domain = ""
	files, err := DriveFiles(d)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"openstack/content/0000":                 "hello",
		"openstack/content/0001":                 "welcome",
		"openstack/latest/vendor_data2.json":     `{"join":{"otp":"1234"},"static":{}}`,
		"openstack/2012-08-10/meta_data.json":    `{"availability_zone":"nova","files":[{"content_path":"/content/0000","path":"/etc/motd"},{"content_path":"/content/0001","path":"/etc/issue"}],"hostname":"plain","keys":[{"data":"KEY","name":"gold","type":"ssh"}],"launch_index":0,"meta":{"k":"v","role":"<a & b>"},"name":"plain","public_keys":{"gold":"KEY"},"uuid":"576c413c-301a-465b-b888-4c1a523ef572"}`,
		"ec2/1.0/meta-data.json":                 `{"ami-id":"ami-00000001","ami-launch-index":0,"ami-manifest-path":"FIXME","hostname":"plain","instance-id":"i-0000000e","local-ipv4":"10.77.0.44","public-keys":{"0":{"_name":"0=gold","openssh-key":"KEY"}},"reservation-id":"r-kqbp0nzz","security-groups":["default","web"]}`,
		"openstack/2013-04-04/vendor_data.json":  "",
		"openstack/2013-10-17/network_data.json": "",
	} {
		got := strings.ReplaceAll(string(files[name]), d.Instance.KeyData(), "KEY")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
}

func TestDriveRefuses(t *testing.T) {
	bad := find(t, "plain").request(t)
	bad.Instance.Set("user_data", "not base64!")
	if _, err := DriveFiles(DriveRequest{Request: bad, Random: zeros{}}); !nova.Is(err, "InvalidInput") {
		t.Errorf("user data: error %v", err)
	}
	broken := errors.New("no entropy")
	d := DriveRequest{Request: find(t, "plain").request(t), Random: iotest.ErrReader(broken)}
	if _, err := DriveFiles(d); !errors.Is(err, broken) {
		t.Errorf("random seed: error %v", err)
	}
	d.Random, d.Dynamic, d.Settings.Drive.Providers = zeros{}, json.RawMessage("[]"), []string{"DynamicJSON"}
	if _, err := DriveFiles(d); err == nil {
		t.Error("took dynamic vendor data that is no object")
	}
}

func TestNetworkDataIsKindToGaps(t *testing.T) {
	info, err := network.ParseInfo(`[
		{"id": "a", "address": "fa:16:3e:00:00:01", "network": null, "type": "bridge"},
		{"id": "b", "address": "fa:16:3e:00:00:02", "type": "macvtap", "network": {"id": "n", "subnets": [
			{"cidr": "nonsense", "version": 4, "ips": [{"address": "192.0.2.4", "version": 4}], "routes": [{"cidr": "x"}]},
			{"cidr": "2001:db8::/56", "version": 6, "ips": []}]}}]`)
	if err != nil {
		t.Fatal(err)
	}
	got, err := encode(networkData(info))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"links":[{"id":"interface0","vif_id":"b","type":"phy","mtu":null,"ethernet_mac_address":"fa:16:3e:00:00:02"}],` +
		`"networks":[{"id":"network0","type":"ipv4","link":"interface0","network_id":"n","ip_address":"192.0.2.4","netmask":"","routes":[],"services":[]}],"services":[]}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
	if raw, _ := encode(networkData(nil)); string(raw) != "{}" {
		t.Errorf("no network is %s", raw)
	}
}

func find(t *testing.T, name string) golden {
	t.Helper()
	all := goldens(t)
	i := slices.IndexFunc(all, func(g golden) bool { return g.Name == name })
	if i < 0 {
		t.Fatalf("no golden data %s", name)
	}
	return all[i]
}

func emptyDomain() *libvirtxml.Domain {
	return &libvirtxml.Domain{Devices: &libvirtxml.DomainDeviceList{}}
}
