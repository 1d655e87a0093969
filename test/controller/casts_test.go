package controller

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bolide/rpc"
	"bolide/rpc/nova"
)

// recordedCasts are the requests that Nova's own services sent to a compute
// service, the first of each method.
func recordedCasts(t *testing.T) map[string]map[string]any {
	t.Helper()
	files, err := filepath.Glob("../../rpc/nova/testdata/*.jsonl.gz")
	if err != nil || len(files) == 0 {
		t.Fatalf("no recordings: %v", err)
	}
	casts := map[string]map[string]any{}
	for _, file := range files {
		f, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		z, err := gzip.NewReader(f)
		if err != nil {
			t.Fatal(err)
		}
		for d := json.NewDecoder(z); ; {
			var line struct {
				Key     string
				Message struct {
					Method string
					Args   map[string]any
				}
			}
			err := d.Decode(&line)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			m := line.Message
			// prep_resize: the one on the same host, as here.
			if strings.HasPrefix(line.Key, "compute.") && (casts[m.Method] == nil || m.Method == "prep_resize" && filepath.Base(file) == "resize.jsonl.gz") {
				casts[m.Method] = m.Args
			}
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return casts
}

// free are places in which what is sent depends on the cloud and the guest.
var free = []string{"system_metadata", "metadata", "orig_sys_metadata", "properties", "filter_properties", "network_info", "stats"}

// shape is what a node can rely on in a value: the fields of objects and
// dictionaries, and the kinds of values. Null fits anything.
func shape(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		if data, ok := v["nova_object.data"].(map[string]any); ok {
			out["<class>"] = v["nova_object.name"].(string) + " " + v["nova_object.version"].(string)
			if v["nova_object.name"] == "InstancePCIRequests" {
				delete(data, "instance_uuid") // which is there or not, as the request came about
			}
			v = data
		}
		for name, value := range v {
			if slices.Contains(free, name) {
				value = nil
			}
			out[name] = shape(value)
		}
		return out
	case []any:
		if len(v) == 0 {
			return nil // of nothing in particular
		}
		return []any{shape(v[0])}
	case nil:
		return nil
	case float64:
		return "number"
	case bool:
		return "truth"
	}
	return "text"
}

// fit makes both sides null where one of them is.
func fit(a, b any) (any, any) {
	if a == nil || b == nil {
		return nil, nil
	}
	switch x := a.(type) {
	case map[string]any:
		y, ok := b.(map[string]any)
		if !ok {
			return a, b
		}
		for name := range x {
			if _, both := y[name]; both {
				x[name], y[name] = fit(x[name], y[name])
			}
		}
	case []any:
		if y, ok := b.([]any); ok {
			x[0], y[0] = fit(x[0], y[0])
		}
	}
	return a, b
}

func compareCast(t *testing.T, recorded map[string]map[string]any, r *rpc.Request) {
	t.Helper()
	want, known := recorded[r.Method]
	if !known {
		t.Errorf("%s was not recorded", r.Method)
		return
	}
	ours := map[string]any{}
	for name, raw := range r.Args {
		var v any
		if err := json.Unmarshal(raw, &v); err != nil {
			t.Fatal(err)
		}
		ours[name] = v
	}
	a, b := fit(shape(want), shape(ours))
	if diff := cmp.Diff(a, b); diff != "" {
		t.Errorf("%s (-recorded +ours):\n%s", r.Method, diff)
	}
	if r.Context.RequestID() == "" || r.Context.AuthToken() == "" || r.Context["roles"] == nil || r.Context["service_catalog"] == nil {
		t.Errorf("%s: context %v", r.Method, r.Context)
	}
}

// TestCastsAsRecorded drives a server through its life, and compares what its
// node is asked with what Nova asked its own.
func TestCastsAsRecorded(t *testing.T) {
	recorded := recordedCasts(t)
	c := newCloud(t, t.TempDir())
	n := c.newNode("vm")
	id := c.boot(nil)
	compareCast(t, recorded, n.expect("build_and_run_instance"))
	if v := c.show(id); v.Status != "BUILD" || v.Task != "scheduling" {
		t.Errorf("after the request: %+v", v)
	}
	n.activate(id)

	for _, step := range []struct {
		action string
		arg    any
		method string
		task   nova.TaskState
		then   map[string]any // what the node saves at the end
		status string
	}{
		{"pause", nil, "pause_instance", nova.TaskPausing, map[string]any{"vm_state": "paused", "power_state": 3}, "PAUSED"},
		{"unpause", nil, "unpause_instance", nova.TaskUnpausing, map[string]any{"vm_state": "active", "power_state": 1}, "ACTIVE"},
		{"suspend", nil, "suspend_instance", nova.TaskSuspending, map[string]any{"vm_state": "suspended", "power_state": 4}, "SUSPENDED"},
		{"resume", nil, "resume_instance", nova.TaskResuming, map[string]any{"vm_state": "active", "power_state": 1}, "ACTIVE"},
		{"reboot", map[string]string{"type": "HARD"}, "reboot_instance", nova.TaskRebootingHard, map[string]any{}, "ACTIVE"},
		{"os-stop", nil, "stop_instance", nova.TaskPoweringOff, map[string]any{"vm_state": "stopped", "power_state": 4}, "SHUTOFF"},
		{"os-start", nil, "start_instance", nova.TaskPoweringOn, map[string]any{"vm_state": "active", "power_state": 1}, "ACTIVE"},
		{"createImage", map[string]string{"name": "snap"}, "snapshot_instance", nova.TaskImageSnapshotPending, map[string]any{}, "ACTIVE"},
		{"rescue", map[string]string{"rescue_image_ref": c.image}, "rescue_instance", nova.TaskRescuing, map[string]any{"vm_state": "rescued"}, "RESCUE"},
		{"unrescue", nil, "unrescue_instance", nova.TaskUnrescuing, map[string]any{"vm_state": "active"}, "ACTIVE"},
		{"rebuild", map[string]string{"imageRef": c.image}, "rebuild_instance", nova.TaskRebuilding, map[string]any{}, "ACTIVE"},
		{"shelve", nil, "shelve_instance", nova.TaskShelving, map[string]any{
			"vm_state": "shelved_offloaded", "host": nil, "node": nil, "power_state": 4,
			"system_metadata": map[string]string{"shelved_image_id": c.image, "image_disk_format": "raw"},
		}, "SHELVED_OFFLOADED"},
		{"unshelve", nil, "unshelve_instance", nova.TaskUnshelving, map[string]any{"vm_state": "active", "host": "vm", "node": "vm", "power_state": 1}, "ACTIVE"},
	} {
		c.act(id, step.action, step.arg)
		compareCast(t, recorded, n.expect(step.method))
		if v := c.show(id); v.Task != string(step.task) {
			t.Errorf("%s: task is %v, want %s", step.action, v.Task, step.task)
		}
		step.then["task_state"] = nil
		n.save(id, step.then, nova.ExpectTask(step.task))
		if v := c.show(id); v.Status != step.status || v.Task != nil {
			t.Errorf("after %s: %+v, want %s", step.action, v, step.status)
		}
	}

	c.must(http.MethodDelete, c.servers()+"/"+id, nil, nil)
	compareCast(t, recorded, n.expect("terminate_instance"))
	inst, err := n.cond.Instance(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.cond.DestroyInstance(t.Context(), inst); err != nil {
		t.Fatal(err)
	}
	if status := c.ask(http.MethodGet, c.servers()+"/"+id, nil, nil); status != http.StatusNotFound {
		t.Errorf("a deleted server is answered with %d", status)
	}
}

// TestResizeAsRecorded goes to a larger flavor and back, and forward for good;
// Placement has the resources of both in between.
func TestResizeAsRecorded(t *testing.T) {
	recorded := recordedCasts(t)
	c := newCloud(t, t.TempDir())
	n := c.newNode("vm")
	id := c.boot(nil)
	n.expect("build_and_run_instance")
	n.activate(id)
	var made struct{ Flavor struct{ ID string } }
	c.must(http.MethodPost, c.URL("compute")+"/flavors", map[string]any{"flavor": map[string]any{"name": "m1.two", "ram": 256, "vcpus": 2, "disk": 2}}, &made)

	for _, end := range []struct{ action, method, status string }{
		{"revertResize", "revert_resize", "reverting"}, {"confirmResize", "confirm_resize", "confirming"},
	} {
		c.act(id, "resize", map[string]string{"flavorRef": made.Flavor.ID})
		r := n.expect("prep_resize")
		compareCast(t, recorded, r)
		usage, err := c.Placement.Usage(n.uuid)
		if err != nil || usage.Used["VCPU"] != 3 || usage.Used["MEMORY_MB"] != 192+256 {
			t.Errorf("while resized: %+v, %v", usage, err)
		}
		m := nova.NewArgs(r.Args).Migration("migration")
		for field, value := range map[string]any{"status": "finished", "dest_compute": "vm", "dest_node": "vm"} {
			m.Set(field, value)
		}
		if err := n.cond.SaveMigration(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		n.save(id, map[string]any{"vm_state": "resized", "task_state": nil}, nova.ExpectTask(nova.TaskResizePrep))

		c.act(id, end.action, nil)
		r = n.expect(end.method)
		compareCast(t, recorded, r)
		if m := nova.NewArgs(r.Args).Migration("migration"); m.Str("status") != end.status {
			t.Errorf("%s: migration is %s", end.action, m.Str("status"))
		}
		n.save(id, map[string]any{"vm_state": "active", "task_state": nil}, nova.Expect{})
		if err := c.Placement.Move(m.Str("uuid"), id); err != nil { // as the node gives one of the two back
			t.Fatal(err)
		}
	}
}
