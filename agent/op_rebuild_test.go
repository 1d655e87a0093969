package agent

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"bolide/rpc/nova"
)

// refuseData lets the image service fail to give the data of an image.
func refuseData(image string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/images/"+image+"/file") {
			return false
		}
		http.Error(w, "the image is lost", http.StatusGone)
		return true
	}
}

// rebuilt rebuilds the guest from the image and returns what was written.
func (m *moved) rebuilt(t *testing.T, image string, more map[string]any) ([]string, error) {
	t.Helper()
	m.note(nova.TaskRebuilding)
	args := map[string]any{
		"orig_image_ref": image, "image_ref": image, "injected_files": []any{}, "new_pass": "sesame", "orig_sys_metadata": map[string]any{},
		"bdms": nil, "recreate": false, "on_shared_storage": false, "preserve_ephemeral": false, "migration": nil,
		"scheduled_node": nil, "limits": nil, "request_spec": nil, "accel_uuids": []any{},
	}
	for k, v := range more {
		args[k] = v
	}
	_, err := m.ask(t, opRebuild, nova.TaskRebuilding, args)
	return m.conductor.written(), err
}

// What Nova's own node writes during a rebuild, in its order; that it writes states which stay the same is left out.
var rebuildWrites = []string{
	"event start compute_rebuild_instance",
	"save task_state=rebuilding if rebuilding",
	"save cleaned=true",
	"save task_state=rebuild_block_device_mapping if rebuilding",
	"save task_state=rebuild_spawning if rebuild_block_device_mapping",
	"save task_state=none if rebuild_spawning",
	"cast update_instance_info",
	"event finish_with_failure compute_rebuild_instance",
}

func TestRebuild(t *testing.T) {
	m := movable(t)
	mark := filepath.Join(m.dir, "mark") // of the guest that was there before
	if err := os.WriteFile(mark, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := m.rebuilt(t, m.bootableImage(t, "image", nil), nil)
	if err != nil {
		t.Fatal(err)
	}
	compare(t, "rebuild_instance", rebuildWrites, got)
	if there(mark) || m.bytes(t) != 1*gib {
		t.Errorf("the old guest is there: %t; the disk has %d bytes", there(mark), m.bytes(t))
	}
	if power := m.power(t, m.uuid); power != nova.PowerRunning {
		t.Errorf("the guest is %s", power)
	}
}

func TestRebuildOfAStoppedGuestLeavesItOff(t *testing.T) {
	m := movable(t)
	if _, err := m.ask(t, opStop, nova.TaskPoweringOff, map[string]any{"clean_shutdown": false}); err != nil {
		t.Fatal(err)
	}
	got, err := m.rebuilt(t, m.bootableImage(t, "image", nil), nil)
	if err != nil {
		t.Fatal(err)
	}
	compare(t, "rebuild_instance", []string{
		"event start compute_rebuild_instance",
		"save task_state=rebuilding if rebuilding",
		"save cleaned=true",
		"save task_state=rebuild_block_device_mapping if rebuilding",
		"save task_state=rebuild_spawning if rebuild_block_device_mapping",
		"save vm_state=active task_state=none if rebuild_spawning",
		"save task_state=powering-off",
		"event start compute_stop_instance",
		"save vm_state=stopped task_state=none if powering-off|none",
		"event finish_with_failure compute_stop_instance",
		"cast update_instance_info",
		"event finish_with_failure compute_rebuild_instance",
	}, got)
	if power := m.power(t, m.uuid); power != nova.PowerShutdown {
		t.Errorf("the guest is %s", power)
	}
}

// An image that cannot be had costs nobody his guest.
func TestARebuildWithoutItsImageChangesNothing(t *testing.T) {
	m := movable(t)
	lost := m.bootableImage(t, "lost", nil)
	m.services = refuseData(lost)
	got, err := m.rebuilt(t, lost, nil)
	if !nova.Is(err, "BuildAbortException") {
		t.Fatalf("err = %v", err)
	}
	if power := m.power(t, m.uuid); power != nova.PowerRunning || m.bytes(t) != 1*gib {
		t.Errorf("the guest is %s, its disk has %d bytes", power, m.bytes(t))
	}
	if i := nova.As[nova.Instance](m.conductor.instance); i.VMState() != nova.VMActive || i.TaskState() != nova.NoTask {
		t.Errorf("the record says %s/%s: %q", i.VMState(), i.TaskState(), got)
	}
}

func TestARebuildThatFailsLateLeavesTheInstanceInError(t *testing.T) {
	m := movable(t)
	m.conductor.refuse = func(line string) error {
		if strings.HasPrefix(line, "save task_state=rebuild_spawning") {
			return nova.NewErrorText("NovaException", "broken")
		}
		return nil
	}
	got, err := m.rebuilt(t, m.bootableImage(t, "image", nil), nil)
	if err == nil || !slices.Contains(got, "save vm_state=error task_state=rebuild_spawning") && !slices.Contains(got, "save vm_state=error") {
		t.Errorf("err = %v, written %q", err, got)
	}
}

func TestPreservingEphemeralDisksIsRefused(t *testing.T) {
	m := movable(t)
	got, err := m.rebuilt(t, m.bootableImage(t, "image", nil), map[string]any{"preserve_ephemeral": true})
	if !nova.Is(err, "PreserveEphemeralNotSupported") {
		t.Errorf("err = %v", err)
	}
	if power := m.power(t, m.uuid); power != nova.PowerRunning || slices.Contains(got, "save vm_state=error") {
		t.Errorf("the guest is %s: %q", power, got)
	}
}

// evacuable is a guest of a host that died, with the evacuation that is to bring it here.
func evacuable(t *testing.T) *moved {
	t.Helper()
	m := movable(t)
	task := m.ownTask("test", m.uuid, nil)
	if err := task.removeDomain(within(t, patience)); err != nil {
		t.Fatal(err)
	}
	m.resources.Forget(m.uuid)
	m.conductor.instance.Set("host", "dead")
	m.conductor.instance.Set("node", "dead")
	m.migration.Set("migration_type", "evacuation")
	m.migration.Set("source_compute", "dead")
	m.migration.Set("new_instance_type_id", 1)
	m.migration.Set("status", "accepted")
	m.migration.ClearChanges()
	return m
}

// What Nova's own node writes during an evacuation, in its order.
var evacuateWrites = []string{
	"event start compute_rebuild_instance",
	"migration pre-migrating",
	"save",
	"save task_state=rebuilding power_state=0 if rebuilding",
	"save task_state=rebuild_block_device_mapping if rebuilding",
	"save task_state=rebuild_spawning if rebuild_block_device_mapping",
	"save task_state=none power_state=1 if rebuild_spawning",
	"cast update_instance_info",
	"save host=here",
	"migration done",
	"event finish_with_failure compute_rebuild_instance",
}

func TestEvacuate(t *testing.T) {
	for name, shared := range map[string]bool{"from the image": false, "with its disks": true} {
		t.Run(name, func(t *testing.T) {
			m := evacuable(t)
			if !shared {
				if err := os.RemoveAll(m.dir); err != nil {
					t.Fatal(err)
				}
				m.conductor.instance.Set("image_ref", m.bootableImage(t, "image", nil))
			}
			got, err := m.rebuilt(t, "", map[string]any{
				"image_ref": nil, "recreate": true, "on_shared_storage": nil, "migration": m.migration,
			})
			if err != nil {
				t.Fatal(err)
			}
			compare(t, "rebuild_instance", evacuateWrites, got)
			if power := m.power(t, m.uuid); power != nova.PowerRunning {
				t.Errorf("the guest is %s", power)
			}
			if c := m.resources.Capacity(); c.DiskGB.Claimed != 1 {
				t.Errorf("%d GB are held", c.DiskGB.Claimed)
			}
		})
	}
}

func TestEvacuationToSTOPPED(t *testing.T) {
	m := evacuable(t)
	_, err := m.rebuilt(t, "", map[string]any{
		"image_ref": nil, "recreate": true, "on_shared_storage": nil, "migration": m.migration, "target_state": "stopped",
	})
	if err != nil {
		t.Fatal(err)
	}
	if i := nova.As[nova.Instance](m.conductor.instance); i.VMState() != nova.VMStopped || i.Host() != "here" {
		t.Errorf("the record says %s on %s", i.VMState(), i.Host())
	}
	if power := m.power(t, m.uuid); power != nova.PowerShutdown {
		t.Errorf("the guest is %s", power)
	}
}

func TestAnEvacuationIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*moved)
		args  map[string]any
		class string
		vm    nova.VMState
	}{
		"host without room for it": {func(m *moved) {
			m.conductor.refuse = func(line string) error {
				if line == "migration pre-migrating" {
					return nova.ComputeResourcesUnavailable("no")
				}
				return nil
			}
		}, nil, "BuildAbortException", nova.VMActive},
		"files where none should be": {func(*moved) {}, map[string]any{"on_shared_storage": false}, "InvalidSharedStorage", nova.VMError},
	} {
		t.Run(name, func(t *testing.T) {
			m := evacuable(t)
			c.spoil(m)
			args := map[string]any{"image_ref": nil, "recreate": true, "on_shared_storage": nil, "migration": m.migration}
			for k, v := range c.args {
				args[k] = v
			}
			got, err := m.rebuilt(t, "", args)
			if nova.ClassOf(err) != c.class || !slices.Contains(got, "migration failed") {
				t.Errorf("err = %v, written %q", err, got)
			}
			if i := nova.As[nova.Instance](m.conductor.instance); i.VMState() != c.vm || i.Host() != "dead" || i.TaskState() != nova.NoTask {
				t.Errorf("the record says %s/%s on %s", i.VMState(), i.TaskState(), i.Host())
			}
			if !there(filepath.Join(m.dir, "disk")) {
				t.Error("its disk is gone")
			}
			if c := m.resources.Capacity(); c.DiskGB.Claimed != 0 {
				t.Errorf("%d GB are held", c.DiskGB.Claimed)
			}
		})
	}
}
