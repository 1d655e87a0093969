package notice

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bolide/agent/network"
	"bolide/rpc"
	"bolide/rpc/nova"
)

// recorded is a notification that Nova's own node sent (recorded.json), or that its functions made when they were called
// for it (told.json, by generate.py).
type recorded struct {
	Event   string         `json:"event_type"`
	Payload map[string]any `json:"payload"`
	Context rpc.Context    `json:"context"`
}

func recordings(t *testing.T) []recorded {
	t.Helper()
	var all []recorded
	for _, name := range []string{"testdata/recorded.json", "testdata/told.json"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var out []recorded
		if err := json.Unmarshal(text, &out); err != nil {
			t.Fatal(err)
		}
		all = append(all, out...)
	}
	return all
}

// asSent is a payload as its receiver reads it.
func asSent(t *testing.T, payload any) map[string]any {
	t.Helper()
	text, err := json.Marshal(payload)
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// set gives the object the fields that the payload has under these names, "payload name": "object's".
func set(o *nova.Object, payload map[string]any, names map[string]string) {
	for from, to := range names {
		o.Set(to, payload[from])
	}
}

func same(names ...string) map[string]string {
	out := map[string]string{}
	for _, n := range names {
		out[n] = n
	}
	return out
}

// The payloads differ from the recorded ones only in what they were made of: the instance is made of what Nova's node
// told of it, and must be told in the same words.
func TestUnversionedIsWhatNovaTells(t *testing.T) {
	seen := 0
	for _, r := range recordings(t) {
		if !strings.HasPrefix(r.Event, "compute.instance.") {
			continue
		}
		seen++
		t.Run(r.Event, func(t *testing.T) {
			p := r.Payload
			i := nova.As[nova.Instance](nova.Zed().New("Instance"))
			set(i.Object, p, same("user_id", "display_name", "reservation_id", "hostname", "instance_type_id", "architecture", "host",
				"node", "availability_zone", "os_type", "kernel_id", "ramdisk_id", "access_ip_v4", "access_ip_v6", "metadata"))
			set(i.Object, p, map[string]string{"tenant_id": "project_id", "instance_id": "uuid", "state": "vm_state", "state_description": "task_state"})
			for _, name := range []string{"created_at", "terminated_at", "deleted_at", "launched_at"} {
				if text := p[name].(string); text != "" {
					i.Set(name, parse(t, text))
				}
			}
			f := nova.Zed().New("Flavor")
			set(f, p, map[string]string{"instance_type": "name", "instance_flavor_id": "flavorid", "memory_mb": "memory_mb", "vcpus": "vcpus",
				"root_gb": "root_gb", "ephemeral_gb": "ephemeral_gb"})
			i.Set("flavor", f)
			meta := map[string]any{"boot_roles": "admin"}
			for name, value := range p["image_meta"].(map[string]any) {
				meta["image_"+name] = value
			}
			i.Set("system_metadata", meta)
			extra := map[string]any{}
			for _, name := range []string{"image_name", "message", "rescue_image_name", "new_instance_type", "new_instance_type_id",
				"audit_period_beginning", "audit_period_ending", "exception", "code"} {
				if v, told := p[name]; told {
					extra[name] = v
				}
			}
			s := Subject{Instance: i, Context: r.Context, ImageURL: p["image_ref_url"].(string)}
			got := asSent(t, s.Usage(portsOf(p["fixed_ips"]), extra))
			for _, name := range []string{"terminated_at", "launched_at"} { // written by the node at work with a fraction, which the record has not
				got[name], p[name] = seconds(got[name]), seconds(p[name])
			}
			if diff := cmp.Diff(p, got); diff != "" {
				t.Errorf("(-Nova +Bolide)\n%s", diff)
			}
		})
	}
	if seen < 30 {
		t.Errorf("only %d recordings", seen)
	}
}

func seconds(v any) any {
	text, _, _ := strings.Cut(v.(string), ".")
	return text
}

func parse(t *testing.T, text string) time.Time {
	t.Helper()
	for _, layout := range []string{"2006-01-02 15:04:05-07:00", "2006-01-02T15:04:05"} {
		if at, err := time.Parse(layout, text); err == nil {
			return at
		}
	}
	t.Fatalf("no time: %s", text)
	return time.Time{}
}

// portsOf are ports that have the addresses; nil for nil.
func portsOf(v any) network.Info {
	list, ok := v.([]any)
	if !ok {
		return nil
	}
	out := network.Info{}
	for _, item := range list {
		m := item.(map[string]any)
		label := m["label"].(string)
		out = append(out, network.VIF{Address: m["vif_mac"].(string), Network: &network.Network{Label: &label,
			Subnets: []network.Subnet{{IPs: []network.FixedIP{{IP: network.IP{
				Address: m["address"].(string), Type: m["type"].(string), Version: int(m["version"].(float64))}}}}}}})
	}
	return out
}

func TestVersionedIsWhatNovaTells(t *testing.T) {
	seen := 0
	for _, r := range recordings(t) {
		if !strings.HasPrefix(r.Event, "instance.") {
			continue
		}
		seen++
		t.Run(r.Event, func(t *testing.T) {
			p := r.Payload["nova_object.data"].(map[string]any)
			i := nova.As[nova.Instance](nova.Zed().New("Instance"))
			set(i.Object, p, same("uuid", "user_id", "reservation_id", "display_name", "display_description", "host", "node", "os_type",
				"architecture", "availability_zone", "key_name", "kernel_id", "ramdisk_id", "created_at", "launched_at", "terminated_at",
				"deleted_at", "updated_at", "task_state", "progress", "metadata", "locked"))
			set(i.Object, p, map[string]string{"tenant_id": "project_id", "host_name": "hostname", "image_uuid": "image_ref", "state": "vm_state"})
			for number, name := range powerNames {
				if name == p["power_state"] {
					i.Set("power_state", number)
				}
			}
			f := nova.Zed().New("Flavor")
			for name, value := range p["flavor"].(map[string]any)["nova_object.data"].(map[string]any) {
				f.Set(name, value)
			}
			i.Set("flavor", f)
			i.Set("system_metadata", map[string]any{})
			cache := nova.Zed().New("InstanceInfoCache")
			cache.Set("network_info", cacheOf(p["ip_addresses"].([]any)).JSON())
			i.Set("info_cache", cache)
			extra := map[string]any{}
			for _, name := range []string{"fault", "snapshot_image_id", "rescue_image_ref", "new_flavor", "audit_period"} {
				if v, told := p[name]; told && v != nil {
					extra[name] = v
				}
			}
			s := Subject{Instance: i, Context: r.Context, Name: "instance-00000065", Volumes: []*nova.BlockDeviceMapping{}}
			if p["block_devices"] == nil { // told only where somebody asks for them
				s.Volumes = nil
			}
			if name, ok := p["instance_name"].(string); ok {
				s.Name = name
			}
			got := asSent(t, s.Versioned(Payload(r.Payload["nova_object.name"].(string)), nil, extra))
			if diff := cmp.Diff(r.Payload, got); diff != "" {
				t.Errorf("(-Nova +Bolide)\n%s", diff)
			}
		})
	}
	if seen < 30 {
		t.Errorf("only %d recordings", seen)
	}
}

// cacheOf is an info cache with the addresses.
func cacheOf(addresses []any) network.Info {
	out := network.Info{}
	for _, item := range addresses {
		m := item.(map[string]any)["nova_object.data"].(map[string]any)
		label := m["label"].(string)
		out = append(out, network.VIF{ID: m["port_uuid"].(string), Address: m["mac"].(string), DevName: m["device_name"].(string),
			Network: &network.Network{Label: &label, Subnets: []network.Subnet{{IPs: []network.FixedIP{{IP: network.IP{
				Address: m["address"].(string), Type: "fixed", Version: int(m["version"].(float64))}}}}}}})
	}
	return out
}

func TestFaultsAreToldInNovasFields(t *testing.T) {
	failure := fmt.Errorf("ask the agent: %w", nova.NewError("QemuGuestAgentNotEnabled", nil))
	args := map[string]json.RawMessage{
		"new_pass": json.RawMessage(`"secret"`),
		"instance": json.RawMessage(`{"nova_object.name": "Instance", "nova_object.data": {"uuid": "u", "flavor": {"nova_object.data": {"id": 1}}, "tags": {"nova_object.data": {"objects": [{"nova_object.data": {"tag": "t"}}]}}}}`),
	}
	for _, r := range recordings(t) {
		switch r.Event {
		case "set_admin_password":
			got := asSent(t, Call(failure, args))
			want := map[string]any{"instance": map[string]any{"uuid": "u", "flavor": map[string]any{"id": 1.0}, "tags": []any{map[string]any{"tag": "t"}}}}
			if diff := cmp.Diff(want, got["args"]); diff != "" {
				t.Error(diff)
			}
			sameFields(t, r.Payload, got)
		case "compute.exception":
			got := asSent(t, Exception(failure))
			sameFields(t, r.Payload, got)
			data, want := got["nova_object.data"].(map[string]any), r.Payload["nova_object.data"].(map[string]any)
			sameFields(t, want, data)
			for _, name := range []string{"exception", "exception_message"} {
				if data[name] != want[name] {
					t.Errorf("%s: %v, recorded %v", name, data[name], want[name])
				}
			}
		case "compute.instance.create.error":
			got := asSent(t, Fault(nova.NewError("FlavorDiskSmallerThanImage", map[string]any{"flavor_size": 1073741824, "image_size": 3221225472})))
			for _, name := range []string{"message", "code"} {
				if got[name] != r.Payload[name] {
					t.Errorf("%s: %v, recorded %v", name, got[name], r.Payload[name])
				}
			}
		}
	}
	plain := Fault(fmt.Errorf("open /var/lib/secret: %w", os.ErrNotExist))
	if plain["message"] != "Exception" || plain["code"] != 500 {
		t.Errorf("what is no exception of Nova's shows %v", plain)
	}
}

// sameFields compares names and types.
func sameFields(t *testing.T, want, got map[string]any) {
	t.Helper()
	types := func(m map[string]any) map[string]string {
		out := map[string]string{}
		for name, v := range m {
			out[name] = fmt.Sprintf("%T", v)
		}
		return out
	}
	if diff := cmp.Diff(types(want), types(got)); diff != "" {
		t.Errorf("(-Nova +Bolide)\n%s", diff)
	}
}

func TestVolumesAndKeys(t *testing.T) {
	i := nova.As[nova.Instance](nova.Zed().New("Instance"))
	key := nova.Zed().New("KeyPair")
	set(key, map[string]any{"user_id": "u", "name": "k", "public_key": "ssh-rsa", "fingerprint": "f", "type": "ssh"}, same("user_id", "name", "public_key", "fingerprint", "type"))
	i.Set("keypairs", nova.Zed().NewList("KeyPairList", key))
	i.Set("trusted_certs", nova.Zed().New("TrustedCerts"))
	volume, local := nova.Zed().New("BlockDeviceMapping"), nova.Zed().New("BlockDeviceMapping")
	volume.Set("volume_id", "v")
	local.Set("volume_id", nil)
	s := Subject{Instance: i, Context: rpc.AdminContext(), Volumes: nova.AsList[nova.BlockDeviceMapping]([]*nova.Object{volume, local})}
	data := asSent(t, s.Versioned(Create, nil, nil))["nova_object.data"].(map[string]any)
	if devices := data["block_devices"].([]any); len(devices) != 1 || devices[0].(map[string]any)["nova_object.data"].(map[string]any)["volume_id"] != "v" {
		t.Errorf("volumes: %v", devices)
	}
	if keys := data["keypairs"].([]any); len(keys) != 1 || keys[0].(map[string]any)["nova_object.data"].(map[string]any)["fingerprint"] != "f" {
		t.Errorf("keys: %v", keys)
	}
	if data["request_id"] != nil || data["action_initiator_user"] != nil {
		t.Errorf("the node's own request is told as %v of %v", data["request_id"], data["action_initiator_user"])
	}
	s.Volumes = nil
	if data = asSent(t, s.Versioned(Action, nil, nil))["nova_object.data"].(map[string]any); data["block_devices"] != nil {
		t.Errorf("volumes are told: %v", data["block_devices"])
	}
}
