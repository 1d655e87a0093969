package agent

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"bolide/agent/config"
	"bolide/rpc"
	"bolide/rpc/nova"
)

// here is a node of which only requests are read.
func here(t *testing.T) (*Agent, nova.Profile) {
	t.Helper()
	profile, err := nova.ProfileOf("zed")
	if err != nil {
		t.Fatal(err)
	}
	cfg := &config.Config{}
	cfg.Default.Host = "here"
	a := &Agent{cfg: cfg, log: quiet(), conductor: nova.NewConductor(newRecorder(), profile, "here")}
	a.reloadable.Store(cfg)
	return a, profile
}

// TestRequestsOfNoInstance: only what Nova's RPC API 6 has no instance in may name none.
func TestRequestsOfNoInstance(t *testing.T) {
	a, _ := here(t)
	without := []string{
		"cache_images", "check_instance_shared_storage", "external_instance_event", "get_host_uptime",
		"host_maintenance_mode", "host_power_action", "set_host_enabled",
	}
	for _, build := range operations {
		op := build(a)
		_, err := a.newTask(op, &rpc.Request{Method: op.method, Args: map[string]json.RawMessage{}})
		refused := err != nil && strings.Contains(err.Error(), "argument instance is missing")
		if refused == slices.Contains(without, op.method) {
			t.Errorf("%s without an instance: %v", op.method, err)
		}
	}
}

// TestInstancesThatAreRefused: a request cannot name what is no instance, nor one of another host's where that has no
// business here.
func TestInstancesThatAreRefused(t *testing.T) {
	a, profile := here(t)
	const id = "d0a1f5a8-9c1e-4c9b-8f51-4a3b0c2d1e0f"
	for _, c := range []struct {
		name, id, host string
		op             func(*Agent) operation
		refusal        string // "": none
	}{
		{"our own", id, "here", opTerminate, ""},
		{"on no host", id, "", opTerminate, ""},
		{"another host's", id, "there", opTerminate, `is on host "there", not on "here"`},
		{"another host's that comes", id, "there", opPrepResize, ""},
		{"no id", "", "here", opTerminate, "is not the id of an instance"},
		{"a parent", "..", "here", opTerminate, "is not the id of an instance"},
		{"a path", "../" + id, "here", opBuild, "is not the id of an instance"},
		{"a path that ends in an id", "/" + id, "here", opTerminate, "is not the id of an instance"},
		{"another spelling of an id", strings.ToUpper(id), "here", opTerminate, "is not the id of an instance"},
		{"an id in braces", "{" + id + "}", "here", opTerminate, "is not the id of an instance"},
	} {
		t.Run(c.name, func(t *testing.T) {
			i := profile.New("Instance")
			i.Set("uuid", c.id)
			i.Set("host", c.host)
			raw, err := json.Marshal(i)
			if err != nil {
				t.Fatal(err)
			}
			op := c.op(a)
			_, err = a.newTask(op, &rpc.Request{Method: op.method, Args: map[string]json.RawMessage{"instance": raw}})
			if c.refusal == "" && err != nil || c.refusal != "" && (err == nil || !strings.Contains(err.Error(), c.refusal)) {
				t.Errorf("got %v, want %q", err, c.refusal)
			}
		})
	}
}
