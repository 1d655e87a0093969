package guest

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bolide/rpc/nova"
)

// recorded is what Nova's node wrote to the instance when the guest had been built.
type recorded struct {
	VCPUModel      json.RawMessage    `json:"vcpu_model"`
	DeviceMetadata json.RawMessage    `json:"device_metadata"`
	SystemMetadata map[string]*string `json:"system_metadata"`
	SwapDevice     string             `json:"default_swap_device"`
}

func (g golden) recorded(t *testing.T) recorded {
	t.Helper()
	var out recorded
	if g.files["recorded.json"] != "" {
		g.read(t, "recorded.json", &out)
	}
	return out
}

// forRecorded runs the test for each case of which that part was recorded; for one at least.
func forRecorded(t *testing.T, part func(recorded) bool, test func(*testing.T, golden, recorded)) {
	t.Helper()
	tested := 0
	for _, g := range goldens(t) {
		if want := g.recorded(t); part(want) {
			tested++
			t.Run(g.Name, func(t *testing.T) { test(t, g, want) })
		}
	}
	if tested == 0 {
		t.Error("it was recorded of no case")
	}
}

func TestDefaultsAreNovas(t *testing.T) {
	forRecorded(t, func(r recorded) bool { return r.SystemMetadata != nil }, func(t *testing.T, g golden, want recorded) {
		r := g.request(t)
		disks, err := PlanDisks(r)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]*string{}
		for key, value := range r.Instance.SystemMetadata() {
			got[key] = &value
		}
		for key, value := range Defaults(r, disks) {
			if got[key] != nil {
				t.Errorf("%s was known", key)
			}
			got[key] = value
		}
		if diff := cmp.Diff(want.SystemMetadata, got); diff != "" {
			t.Errorf("Nova's (-) and ours (+) differ:\n%s", diff)
		}
	})
}

func TestDeviceNamesAreNovas(t *testing.T) {
	for _, g := range goldens(t) {
		if g.About.Rescue != nil || g.files["asked.json"] == "" {
			continue
		}
		t.Run(g.Name, func(t *testing.T) {
			want := g.request(t)
			got := g.request(t)
			got.BlockDevices = g.mappings(t, "asked.json")
			got.Instance.SetRootDeviceName("")
			if err := AssignDeviceNames(got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want.Instance.RootDeviceName(), got.Instance.RootDeviceName()); diff != "" {
				t.Error(diff)
			}
			if len(want.BlockDevices) != len(got.BlockDevices) {
				t.Fatalf("%d rows became %d", len(got.BlockDevices), len(want.BlockDevices))
			}
			for i, row := range got.BlockDevices {
				if diff := cmp.Diff(names(want.BlockDevices[i]), names(row)); diff != "" {
					t.Errorf("row %d: Nova's (-) and ours (+) differ:\n%s", row.ID(), diff)
				}
			}
		})
	}
}

func names(row *nova.BlockDeviceMapping) map[string]any {
	return map[string]any{"device": row.Raw("device_name"), "bus": row.Raw("disk_bus"), "type": row.Raw("device_type")}
}

func TestDeviceMetadataIsNovas(t *testing.T) {
	forRecorded(t, func(r recorded) bool { return r.DeviceMetadata != nil }, func(t *testing.T, g golden, want recorded) {
		compareObjects(t, want.DeviceMetadata, g.deviceMetadata(t))
	})
	if got := DeviceMetadata(TagRequest{Profile: nova.Zed(), Domain: emptyDomain()}); got != nil {
		t.Errorf("nothing tagged gives %v", got)
	}
}

func TestVCPUModelIsNovas(t *testing.T) {
	forRecorded(t, func(r recorded) bool { return r.VCPUModel != nil }, func(t *testing.T, g golden, want recorded) {
		compareObjects(t, want.VCPUModel, VCPUModel(nova.Zed(), described(t, g.request(t)).CPU))
	})
}

// compareObjects compares without the marks of what changed.
func compareObjects(t *testing.T, want json.RawMessage, got *nova.Object) {
	t.Helper()
	raw, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	var a, b any
	if err := json.Unmarshal(want, &a); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &b); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(a, withoutChanges(b)); diff != "" {
		t.Errorf("Nova's (-) and ours (+) differ:\n%s", diff)
	}
}

func withoutChanges(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key := range v {
			if strings.HasSuffix(key, ".changes") {
				delete(v, key)
				continue
			}
			v[key] = withoutChanges(v[key])
		}
	case []any:
		for i := range v {
			v[i] = withoutChanges(v[i])
		}
	}
	return v
}
