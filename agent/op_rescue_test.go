package agent

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"bolide/hypervisor"
	"bolide/rpc/nova"
	"bolide/test/controller/image"
	"bolide/test/virt"
)

// bootableImage gives the image service an image that boots.
func (n *node) bootableImage(t *testing.T, name string, properties image.Record) string {
	t.Helper()
	record := image.Record{"name": name, "disk_format": "raw", "container_format": "bare", "visibility": "public"}
	for k, v := range properties {
		record[k] = v
	}
	r, err := n.glance.Create("project", record)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "image")
	if err := virt.WriteBootDisk(path); err != nil {
		t.Fatal(err)
	}
	n.upload(t, r.ID(), path)
	return r.ID()
}

// domain is the guest's definition.
func (m *moved) domain(t *testing.T) string {
	t.Helper()
	xml, err := m.hypervisor.XML(within(t, patience), m.uuid, hypervisor.XMLOptions{Inactive: true})
	if err != nil {
		t.Fatal(err)
	}
	return xml
}

// files are the names of the guest's files.
func (m *moved) files(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir(m.dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// rescued rescues the guest with the image and returns what was written.
func (m *moved) rescued(t *testing.T, image string) ([]string, error) {
	t.Helper()
	m.note(nova.TaskRescuing)
	_, err := m.ask(t, opRescue, nova.TaskRescuing, map[string]any{
		"rescue_image_ref": image, "rescue_password": "sesame", "clean_shutdown": false,
	})
	return m.conductor.written(), err
}

// What Nova's own node writes, in its order.
var (
	rescueWrites = []string{
		"event start compute_rescue_instance",
		"save vm_state=rescued task_state=none if rescuing",
		"event finish_with_failure compute_rescue_instance",
	}
	unrescueWrites = []string{
		"event start compute_unrescue_instance",
		"save vm_state=active task_state=none if unrescuing",
		"event finish_with_failure compute_unrescue_instance",
	}
)

func TestRescueAndBack(t *testing.T) {
	for name, c := range map[string]struct {
		properties image.Record
		disks      []string // in the order in which the guest has them
		boots      string   // what of the description makes the rescue disk the one to boot from
	}{
		"rescue disk in front": {nil, []string{"/disk.rescue'", "/disk'"}, "<boot dev='hd'/>"},
		"rescue disk behind":   {image.Record{"hw_rescue_bus": "virtio"}, []string{"/disk'", "/disk.rescue'"}, "<boot order='1'/>"},
	} {
		t.Run(name, func(t *testing.T) {
			m := movable(t)
			normal := m.domain(t)
			got, err := m.rescued(t, m.bootableImage(t, name, c.properties))
			if err != nil {
				t.Fatal(err)
			}
			compare(t, "rescue_instance", rescueWrites, got)
			xml := m.domain(t)
			first, second := strings.Index(xml, c.disks[0]), strings.Index(xml, c.disks[1])
			if first < 0 || second < first || !strings.Contains(xml, c.boots) {
				t.Errorf("the rescued guest has not %q with %s:\n%s", c.disks, c.boots, xml)
			}
			if power := m.power(t, m.uuid); power != nova.PowerRunning {
				t.Errorf("the rescued guest is %s", power)
			}
			m.note(nova.TaskUnrescuing)
			if _, err := m.ask(t, opUnrescue, nova.TaskUnrescuing, nil); err != nil {
				t.Fatal(err)
			}
			compare(t, "unrescue_instance", unrescueWrites, m.conductor.written())
			if m.domain(t) != normal {
				t.Errorf("the guest is not what it was:\n%s", m.domain(t))
			}
			if files := m.files(t); slices.ContainsFunc(files, func(f string) bool { return strings.Contains(f, "rescue") }) {
				t.Errorf("left of the rescue: %q", files)
			}
		})
	}
}

func TestARescueThatFailsIsUndone(t *testing.T) {
	m := movable(t)
	normal := m.domain(t)
	broken := m.bootableImage(t, "broken", nil)
	m.services = refuseData(broken)
	got, err := m.rescued(t, broken)
	if !nova.Is(err, "InstanceNotRescuable") {
		t.Fatalf("err = %v", err)
	}
	if power := m.power(t, m.uuid); power != nova.PowerRunning || m.domain(t) != normal {
		t.Errorf("the guest is %s:\n%s", power, m.domain(t))
	}
	if files := m.files(t); slices.ContainsFunc(files, func(f string) bool { return strings.Contains(f, "rescue") }) {
		t.Errorf("left of the rescue: %q", files)
	}
	if slices.Contains(got, "save vm_state=error") {
		t.Errorf("a guest that runs is in error: %q", got)
	}
	if !slices.ContainsFunc(got, func(l string) bool {
		return strings.HasPrefix(l, "fault 400 Instance "+m.uuid+" cannot be rescued: Driver Error: ")
	}) {
		t.Errorf("no fault: %q", got)
	}
}

func TestUnrescueWithoutADescriptionMakesOne(t *testing.T) {
	m := movable(t)
	if _, err := m.rescued(t, m.bootableImage(t, "rescue", nil)); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(m.dir, unrescueFile)); err != nil {
		t.Fatal(err)
	}
	if _, err := m.ask(t, opUnrescue, nova.TaskUnrescuing, nil); err != nil {
		t.Fatal(err)
	}
	if xml := m.domain(t); strings.Contains(xml, "rescue") || !strings.Contains(xml, "/disk'") {
		t.Errorf("the guest's disks are not its own:\n%s", xml)
	}
}

func TestALongRescueEnds(t *testing.T) {
	m := movable(t)
	if _, err := m.rescued(t, m.bootableImage(t, "rescue", nil)); err != nil {
		t.Fatal(err)
	}
	m.note(nova.NoTask)
	m.conductor.instance.Set("launched_at", "2020-01-01T00:00:00Z")
	m.conductor.instance.ClearChanges()
	m.conductor.answers["InstanceList.get_by_filters"] = m.profile.NewList("InstanceList", m.conductor.instance.Clone())
	m.cfg.Default.RescueTimeout = 1
	if err := m.endLongRescues(within(t, patience)); err != nil {
		t.Fatal(err)
	}
	compare(t, "the task", append([]string{"save task_state=unrescuing if none", "action unrescue"}, unrescueWrites...), m.conductor.written())
}

func TestUndecidedMoves(t *testing.T) {
	m := movable(t)
	for name, c := range map[string]struct {
		vm   nova.VMState
		task nova.TaskState
		want []string
	}{
		"waits":            {nova.VMResized, nova.NoTask, []string{"migration confirming", "action confirmResize", "cast confirm_resize"}},
		"in error":         {nova.VMError, nova.NoTask, []string{"migration error"}},
		"is being deleted": {nova.VMResized, nova.TaskDeleting, []string{}},
		"not recorded yet": {nova.VMActive, nova.TaskResizeFinish, []string{}},
		"decided already":  {nova.VMActive, nova.NoTask, []string{"migration error"}},
	} {
		t.Run(name, func(t *testing.T) {
			service := m.profile.New("Service")
			service.Set("last_seen_up", "2099-01-01T00:00:00Z")
			m.conductor.answers["Service.get_by_compute_host"] = service
			m.migration.Set("status", "finished")
			m.migration.ClearChanges()
			m.conductor.answers["MigrationList.get_unconfirmed_by_dest_compute"] = m.profile.NewList("MigrationList", m.migration.Clone())
			m.conductor.instance.Set("vm_state", string(c.vm))
			m.note(c.task)
			if err := m.confirmLongResizes(within(t, patience)); err != nil {
				t.Fatal(err)
			}
			compare(t, "the task", c.want, m.conductor.written())
		})
	}
}

func TestWhatMovesLeftOfDeletedInstancesGoes(t *testing.T) {
	m := movable(t)
	m.migration.Set("status", "error")
	m.migration.ClearChanges()
	m.conductor.answers["MigrationList.get_by_filters"] = m.profile.NewList("MigrationList", m.migration.Clone())
	gone := m.conductor.instance.Clone()
	gone.Set("host", "elsewhere")
	gone.Set("deleted", true)
	gone.ClearChanges()
	m.conductor.answers["InstanceList.get_by_filters"] = m.profile.NewList("InstanceList", gone)
	if err := m.removeMoved(within(t, patience)); err != nil {
		t.Fatal(err)
	}
	compare(t, "the task", []string{"migration failed"}, m.conductor.written())
	if there(m.dir) || m.power(t, m.uuid) != nova.PowerNoState {
		t.Error("the guest is still here")
	}
	gone.Set("host", "here")
	gone.ClearChanges()
	m.note(nova.NoTask)
	m.conductor.answers["InstanceList.get_by_filters"] = m.profile.NewList("InstanceList", gone)
	if err := errors.Join(os.Mkdir(m.dir, 0o755), m.removeMoved(within(t, patience))); err != nil {
		t.Fatal(err)
	}
	if !there(m.dir) {
		t.Error("what is another task's to remove is gone")
	}
}
