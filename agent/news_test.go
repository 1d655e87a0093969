package agent

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sirupsen/logrus/hooks/test"

	"bolide/rpc/nova"
)

// payloads are the payloads of the events, each as it was sent.
func payloads(t *testing.T, hook *test.Hook, event string) []map[string]any {
	t.Helper()
	var out []map[string]any
	for _, e := range hook.AllEntries() {
		if e.Data["event"] != event {
			continue
		}
		var p map[string]any
		if err := json.Unmarshal([]byte(e.Data["payload"].(string)), &p); err != nil {
			t.Fatal(err)
		}
		out = append(out, p)
	}
	return out
}

// events are what was told, without who told it and about whom.
func events(t *testing.T, hook *test.Hook) []string {
	t.Helper()
	var out []string
	for _, line := range told(t, hook) {
		out = append(out, strings.Join(strings.Fields(line)[1:], " "))
	}
	return out
}

func TestRescueIsTold(t *testing.T) {
	m := movable(t)
	image := m.bootableImage(t, "lifebelt", nil)
	hook := m.listen(t, "both")
	if _, err := m.rescued(t, image); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"compute.instance.rescue.start active/rescuing", "instance.rescue.start active/rescuing",
		"compute.instance.exists active/rescuing", "instance.exists active/rescuing",
		"compute.instance.rescue.end rescued", "instance.rescue.end rescued",
	}
	if diff := cmp.Diff(want, events(t, hook)); diff != "" {
		t.Error(diff)
	}
	for _, p := range payloads(t, hook, "compute.instance.rescue.end") {
		if p["rescue_image_name"] != "lifebelt" || p["fixed_ips"] == nil {
			t.Errorf("unversioned: %v, %v", p["rescue_image_name"], p["fixed_ips"])
		}
	}
	for _, p := range payloads(t, hook, "instance.rescue.end") {
		data := p["nova_object.data"].(map[string]any)
		if p["nova_object.name"] != "InstanceActionRescuePayload" || data["rescue_image_ref"] != image || data["fault"] != nil {
			t.Errorf("versioned: %v of %v, fault %v", p["nova_object.name"], data["rescue_image_ref"], data["fault"])
		}
	}
	hook.Reset()
	m.note(nova.TaskUnrescuing)
	if _, err := m.ask(t, opUnrescue, nova.TaskUnrescuing, nil); err != nil {
		t.Fatal(err)
	}
	want = []string{
		"compute.instance.unrescue.start rescued/unrescuing", "instance.unrescue.start rescued/unrescuing",
		"compute.instance.unrescue.end active", "instance.unrescue.end active",
	}
	if diff := cmp.Diff(want, events(t, hook)); diff != "" {
		t.Error(diff)
	}
}

func TestRebuildIsTold(t *testing.T) {
	m := movable(t)
	image := m.bootableImage(t, "fresh", nil)
	hook := m.listen(t, "both")
	if _, err := m.rebuilt(t, image, map[string]any{"orig_image_ref": "before", "orig_sys_metadata": map[string]any{"image_os_distro": "old"}}); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"compute.instance.exists active/rebuilding", "instance.exists active/rebuilding",
		"compute.instance.rebuild.start active/rebuilding", "instance.rebuild.start active/rebuilding",
		"compute.instance.rebuild.end active", "instance.rebuild.end active",
	}
	if diff := cmp.Diff(want, events(t, hook)); diff != "" {
		t.Error(diff)
	}
	exists := payloads(t, hook, "compute.instance.exists")[0]
	if url, _ := exists["image_ref_url"].(string); !strings.HasSuffix(url, "before") {
		t.Errorf("the guest existed with image %q", url)
	}
	if diff := cmp.Diff(map[string]any{"os_distro": "old"}, exists["image_meta"]); diff != "" {
		t.Error(diff)
	}
	if name := payloads(t, hook, "compute.instance.rebuild.start")[0]["image_name"]; name != "fresh" {
		t.Errorf("rebuilt from %v", name)
	}
}

func TestFailedRebuildIsTold(t *testing.T) {
	m := movable(t)
	image := m.bootableImage(t, "lost", nil)
	m.services = refuseData(image)
	hook := m.listen(t, "both")
	if _, err := m.rebuilt(t, image, nil); err == nil {
		t.Fatal("rebuilt from an image that is lost")
	}
	got := events(t, hook)
	for _, want := range []string{"compute.instance.rebuild.error active/rebuilding", "instance.rebuild.error active/rebuilding"} {
		if !slices.Contains(got, want) {
			t.Errorf("no %q in %q", want, got)
		}
	}
}
