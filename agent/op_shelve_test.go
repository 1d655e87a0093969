package agent

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bolide/hypervisor"
	"bolide/rpc/nova"
	"bolide/test/controller/image"
	"bolide/test/virt"
)

// shelveWrites is what Nova's own node writes while it shelves a guest and takes it off the host at once.
var shelveWrites = []string{
	"event start compute_shelve_instance",
	"save task_state=shelving_image_pending_upload if shelving",
	"save task_state=shelving_image_uploading if shelving_image_pending_upload",
	"save task_state=shelving_image_pending_upload if shelving_image_uploading",
	"save task_state=shelving_image_uploading if shelving_image_pending_upload",
	"save vm_state=shelved task_state=shelving_offloading power_state=4 if shelving|shelving_image_uploading",
	"save vm_state=shelved_offloaded task_state=none cleaned=true if shelving|shelving_offloading",
	"save host=none",
	"cast delete_instance_info",
	"event finish_with_failure compute_shelve_instance",
}

func (n *node) wrote(t *testing.T, want []string) {
	t.Helper()
	if got := n.conductor.written(); !slices.Equal(got, want) {
		t.Errorf("written:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// files makes the instance's directory.
func (n *node) files(t *testing.T, uuid string) string {
	t.Helper()
	dir := n.instanceDir(uuid)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "disk"), []byte("data"), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

// isGone checks that nothing of the instance is on the host.
func (n *node) isGone(t *testing.T, uuid string) {
	t.Helper()
	if g, err := n.hypervisor.Guest(within(t, patience), uuid); err == nil {
		t.Errorf("guest is left: %+v", g)
	}
	left, err := filepath.Glob(n.instanceDir(uuid) + "*")
	if err != nil || len(left) > 0 {
		t.Errorf("files are left: %v, %v", left, err)
	}
}

func TestShelveAndOffload(t *testing.T) {
	n := newNode(t, nil)
	g := n.bootOn(t, true)
	n.files(t, g.UUID)
	id := n.newImage(t, nil)
	before := time.Now().Add(-time.Second)
	if _, err := n.ask(t, opShelve, nova.TaskShelving, map[string]any{"image_id": id, "clean_shutdown": true}); err != nil {
		t.Fatal(err)
	}
	n.wrote(t, shelveWrites)
	n.isGone(t, g.UUID)
	meta := nova.As[nova.Instance](n.conductor.instance).SystemMetadata()
	at, err := time.Parse(shelvedAtFormat, meta[shelvedAtKey])
	if meta[shelvedImageKey] != id || meta[shelvedHostKey] != "here" || err != nil || at.Before(before) {
		t.Errorf("notes of the shelving: %v, %v", meta, err)
	}
	if r, err := n.glance.Get(id); err != nil || r.Status() != "active" {
		t.Errorf("image: %v, %v", r, err)
	}
}

func TestShelveWithoutOffload(t *testing.T) {
	n := newNode(t, map[string]string{"DEFAULT.shelved_offload_time": "-1"})
	g := n.bootOn(t, true)
	if err := n.hypervisor.Suspend(within(t, patience), g.UUID); err != nil {
		t.Fatal(err)
	}
	id := n.newImage(t, nil)
	began := time.Now()
	if _, err := n.ask(t, opShelve, nova.TaskShelving, map[string]any{"image_id": id, "clean_shutdown": true}); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took >= n.cfg.Default.ShutdownTimeout {
		t.Errorf("a paused guest was asked to shut down: took %s", took)
	}
	want := append(slices.Clone(shelveWrites[:5]),
		"save vm_state=shelved task_state=none power_state=4 if shelving|shelving_image_uploading",
		"event finish_with_failure compute_shelve_instance")
	n.wrote(t, want)
	if power := n.power(t, g.UUID); power != nova.PowerShutdown {
		t.Errorf("guest is %s", power)
	}
}

// TestShelveThatFails checks that the image is gone and the guest runs again; the record says that it never stopped.
func TestShelveThatFails(t *testing.T) {
	n := newNode(t, map[string]string{"DEFAULT.shutdown_timeout": "0"})
	uuid := n.unshelved(t, n.bootable(t))
	id := n.newImage(t, nil)
	n.conductor.forget()
	n.services = refuse(http.MethodPut, http.StatusRequestEntityTooLarge)
	_, err := n.ask(t, opShelve, nova.TaskShelving, map[string]any{"image_id": id})
	n.services = nil
	if !nova.Is(err, "ImageQuotaExceeded") {
		t.Errorf("error %v", err)
	}
	text := fmt.Sprintf("Quota exceeded or out of space for image %s in the image service.", id)
	n.endsWith(t, []string{"fault 500 " + text, "save task_state=none", "event finish_with_failure compute_shelve_instance: " + text}, id)
	if r, err := n.glance.Get(id); err == nil {
		t.Errorf("image is left: %v", r)
	}
	if power := n.power(t, uuid); power != nova.PowerRunning {
		t.Errorf("guest is %s", power)
	}
}

func TestOffloadTakesItsTime(t *testing.T) {
	n := newNode(t, map[string]string{"DEFAULT.shelved_offload_time": "3600"})
	due, young, broken := n.bootOn(t, true), n.newInstance("22222222-2222-2222-2222-222222222222"), n.newInstance("33333333-3333-3333-3333-333333333333")
	n.files(t, due.UUID)
	record := n.conductor.instance
	shelf := func(i *nova.Object, at string) *nova.Object {
		i.Set("vm_state", "shelved")
		i.Set("system_metadata", map[string]any{shelvedAtKey: at})
		i.ClearChanges()
		return i
	}
	n.conductor.answers["InstanceList.get_by_filters"] = n.profile.NewList("InstanceList",
		shelf(broken, "yesterday"), shelf(record, time.Now().UTC().Add(-2*time.Hour).Format("2006-01-02T15:04:05")),
		shelf(young, time.Now().UTC().Format(shelvedAtFormat)))
	n.conductor.forget()
	err := n.offloadShelved(within(t, patience))
	if err == nil || !strings.Contains(err.Error(), broken.Str("uuid")) {
		t.Errorf("error %v", err)
	}
	n.wrote(t, []string{
		"save task_state=shelving_offloading if none",
		"event start compute_shelve_offload_instance",
		"save vm_state=shelved_offloaded task_state=none power_state=4 cleaned=true if shelving|shelving_offloading",
		"save host=none",
		"cast delete_instance_info",
		"event finish_with_failure compute_shelve_offload_instance",
	})
	n.isGone(t, due.UUID)
	if asked := n.conductor.filters["InstanceList.get_by_filters"].(map[string]any); asked["host"] != "here" || asked["vm_state"] != "shelved" {
		t.Errorf("asked for %v", asked)
	}
}

// bootable gives the conductor the record of an offloaded instance and the image service what it was shelved to: a disk
// that the smallest guest boots from. It returns the image.
func (n *node) bootable(t *testing.T) image.Record {
	t.Helper()
	file := filepath.Join(t.TempDir(), "boot")
	if err := virt.WriteBootDisk(file); err != nil {
		t.Fatal(err)
	}
	r, err := n.glance.Add("guest-shelved", "raw", file, "project")
	if err != nil {
		t.Fatal(err)
	}
	i := n.newInstance("44444444-4444-4444-4444-444444444444")
	for field, value := range map[string]any{
		"vm_state": "shelved_offloaded", "power_state": 4, "host": nil, "node": nil, "availability_zone": nil, "key_data": "ssh-rsa mine",
		"system_metadata": map[string]any{shelvedImageKey: r.ID(), shelvedAtKey: "2026-01-01T00:00:00", shelvedHostKey: "there"},
	} {
		i.Set(field, value)
	}
	i.ClearChanges()
	n.conductor.instance = i
	n.measure(t)
	n.conductor.forget()
	return r
}

// unshelve asks for the instance to be brought back.
func (n *node) unshelve(t *testing.T, shelf image.Record) error {
	t.Helper()
	_, err := n.ask(t, opUnshelve, nova.TaskUnshelving, map[string]any{
		"image":             map[string]any{"id": shelf.ID(), "status": "active", "disk_format": "raw", "container_format": "bare", "size": shelf["size"], "min_ram": 0, "min_disk": 0, "properties": map[string]any{}},
		"filter_properties": map[string]any{"limits": map[string]any{}}, "node": "here", "request_spec": nil,
	})
	return err
}

// unshelved brings the instance back and returns its UUID.
func (n *node) unshelved(t *testing.T, shelf image.Record) string {
	t.Helper()
	if err := n.unshelve(t, shelf); err != nil {
		t.Fatal(err)
	}
	return n.conductor.instance.Str("uuid")
}

const firstImage = "11111111-1111-1111-1111-111111111111"

func TestUnshelve(t *testing.T) {
	n := newNode(t, nil)
	shelf := n.bootable(t)
	uuid := n.unshelved(t, shelf)
	n.wrote(t, []string{
		"event start compute_unshelve_instance",
		"save task_state=spawning",
		"save host=here image_ref=" + shelf.ID(),
		"save vm_state=active task_state=none power_state=1 image_ref=" + firstImage + " if spawning",
		"cast update_instance_info",
		"event finish_with_failure compute_unshelve_instance",
	})
	i := nova.As[nova.Instance](n.conductor.instance)
	for _, key := range []string{shelvedImageKey, shelvedAtKey, shelvedHostKey} {
		if v, there := i.SystemMetadata()[key]; there {
			t.Errorf("%s is still %q", key, v)
		}
	}
	if i.KeyData() != "ssh-rsa mine" || i.Node() == "" || i.LaunchedOn() != "here" {
		t.Errorf("record: %v %v %v", i.KeyData(), i.Node(), i.LaunchedOn())
	}
	if r, err := n.glance.Get(shelf.ID()); err == nil {
		t.Errorf("image of the shelf is left: %v", r)
	}
	if power := n.power(t, uuid); power != nova.PowerRunning {
		t.Errorf("guest is %s", power)
	}
}

// TestUnshelveThatFails breaks the unshelving at several points: each time the instance is offloaded as before, and
// its image is there for another try.
func TestUnshelveThatFails(t *testing.T) {
	n := newNode(t, nil)
	shelf := n.bootable(t)
	uuid := n.conductor.instance.Str("uuid")
	for _, c := range []struct {
		name  string
		at    string
		serve func(http.ResponseWriter, *http.Request) bool
	}{
		{name: "claim is not saved", at: "save host=here image_ref=" + shelf.ID()},
		{name: "image is not sent", serve: refuse(http.MethodGet, http.StatusNotFound)},
		{name: "end is not saved", at: "save vm_state=active task_state=none power_state=1 image_ref=" + firstImage + " if spawning"},
	} {
		t.Run(c.name, func(t *testing.T) {
			n.conductor.forget()
			n.services = c.serve
			n.conductor.refuse = func(line string) error {
				if line == c.at {
					return errTold
				}
				return nil
			}
			if err := n.unshelve(t, shelf); err == nil {
				t.Error("no error")
			}
			n.services, n.conductor.refuse = nil, nil
			n.isGone(t, uuid)
			i := nova.As[nova.Instance](n.conductor.instance)
			if i.Host() != "" || i.Node() != "" || i.ImageRef() != firstImage || i.TaskState() != nova.NoTask || i.VMState() != nova.VMShelvedOffloaded || i.KeyData() != "ssh-rsa mine" {
				t.Errorf("record: host %q image %q task %q vm %q key %q", i.Host(), i.ImageRef(), i.TaskState(), i.VMState(), i.KeyData())
			}
			if i.SystemMetadata()[shelvedImageKey] != shelf.ID() {
				t.Errorf("notes of the shelving: %v", i.SystemMetadata())
			}
			if r, err := n.glance.Get(shelf.ID()); err != nil || r.Status() != "active" {
				t.Errorf("image of the shelf: %v, %v", r, err)
			}
		})
	}
	if err := n.unshelve(t, shelf); err != nil {
		t.Errorf("another try: %v", err)
	}
}

// TestStartFromTheShelf unshelves a guest that was not offloaded: Nova asks the host to start it.
func TestStartFromTheShelf(t *testing.T) {
	n := newNode(t, nil)
	uuid := n.unshelved(t, n.bootable(t))
	if err := n.hypervisor.Destroy(within(t, patience), uuid); err != nil {
		t.Fatal(err)
	}
	shelf := n.newImage(t, nil)
	n.conductor.instance.Set("system_metadata", map[string]any{shelvedImageKey: shelf})
	n.conductor.instance.Set("vm_state", "shelved")
	n.conductor.forget()
	if _, err := n.ask(t, opStart, nova.TaskPoweringOn, nil); err != nil {
		t.Fatal(err)
	}
	if meta := nova.As[nova.Instance](n.conductor.instance).SystemMetadata(); meta[shelvedImageKey] != "" {
		t.Errorf("notes: %v", meta)
	}
	if r, err := n.glance.Get(shelf); err == nil {
		t.Errorf("image of the shelf is left: %v", r)
	}
	if g, err := n.hypervisor.Guest(within(t, patience), uuid); err != nil || g.State != hypervisor.Running {
		t.Errorf("guest %+v, %v", g, err)
	}
}
