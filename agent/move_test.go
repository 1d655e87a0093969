package agent

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bolide/imagecache/disk"
	"bolide/rpc/nova"
	"bolide/test/virt"
)

// moved is a guest that a test moves, with what travels with it.
type moved struct {
	*node
	uuid, dir string
	migration *nova.Object
	flavor    *nova.Object // the new one
}

// movable boots a guest with its files where the node has them, on a host that has been measured, and offers it a flavor
// with a larger disk.
func movable(t *testing.T) *moved {
	t.Helper()
	n := newNode(t, map[string]string{"DEFAULT.shutdown_timeout": "5"})
	n.measure(t)
	g := n.daemon.NewGuest(t, virt.GuestOptions{})
	n.conductor.instance = n.newInstance(g.UUID)
	m := n.moving(g.UUID)
	n.conductor.instance.Set("instance_type_id", 1)
	n.conductor.answers["InstanceInfoCache.get_by_instance_uuid"] = n.infoCache(g.UUID)
	m.makeDisk(t)
	if _, err := n.ask(t, opStart, nova.TaskPoweringOn, nil); err != nil {
		t.Fatal(err)
	}
	m.note(nova.NoTask)
	return m
}

// moving offers a guest of the node a flavor with a larger disk.
func (n *node) moving(uuid string) *moved {
	m := &moved{node: n, uuid: uuid, dir: n.instanceDir(uuid), flavor: n.flavor(), migration: n.profile.New("Migration")}
	m.flavor.Set("id", 2)
	m.flavor.Set("root_gb", 2)
	m.flavor.ClearChanges()
	for field, v := range map[string]any{
		"id": 5, "uuid": "22222222-2222-2222-2222-222222222222", "instance_uuid": uuid, "migration_type": "resize",
		"status": "pre-migrating", "source_compute": "here", "source_node": "here", "dest_compute": nil, "dest_node": nil,
		"dest_host": nil, "old_instance_type_id": 1, "new_instance_type_id": 2,
	} {
		m.migration.Set(field, v)
	}
	m.migration.ClearChanges()
	return m
}

// makeDisk gives the guest a disk that boots, of the flavor's size.
func (m *moved) makeDisk(t *testing.T) {
	t.Helper()
	if err := os.MkdirAll(m.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	raw, path := filepath.Join(t.TempDir(), "boot"), filepath.Join(m.dir, "disk")
	if err := virt.WriteBootDisk(raw); err != nil {
		t.Fatal(err)
	}
	qemuImg(t, "convert", "-q", "-f", "raw", "-O", "qcow2", raw, path)
	qemuImg(t, "resize", "-q", "-f", "qcow2", path, "1G")
	if err := disk.RecordFormat(path, "qcow2"); err != nil {
		t.Fatal(err)
	}
}

// note puts the task that Nova's API or another host gives the instance on its record, and begins a new list of writes.
func (m *moved) note(task nova.TaskState) {
	m.conductor.mu.Lock()
	m.conductor.instance.Set("task_state", nil)
	if task != nova.NoTask {
		m.conductor.instance.Set("task_state", string(task))
	}
	m.conductor.instance.ClearChanges()
	m.conductor.lines = nil
	m.conductor.mu.Unlock()
}

// do asks for one part of the move, in the state that the migration then has, and returns what was written.
func (m *moved) do(t *testing.T, op func(*Agent) operation, task nova.TaskState, status string) ([]string, error) {
	t.Helper()
	m.note(task)
	m.migration.Set("status", status)
	if op(nil).method != "prep_resize" {
		m.migration.Set("dest_compute", "here")
		m.migration.Set("dest_node", "here")
		m.migration.Set("dest_host", "127.0.0.1")
	}
	m.migration.ClearChanges()
	_, err := m.ask(t, op, task, map[string]any{
		"migration": m.migration, "flavor": m.flavor, "image": map[string]any{}, "request_spec": nil, "filter_properties": map[string]any{},
		"host_list": nil, "node": "here", "clean_shutdown": true,
		"disk_info": fmt.Sprintf(`[{"type": "qcow2", "path": %q}]`, filepath.Join(m.dir, "disk")),
	})
	return m.conductor.written(), err
}

// bytes is the size that the guest has of its disk.
func (m *moved) bytes(t *testing.T) int64 {
	t.Helper()
	size, err := disk.VirtualSize(filepath.Join(m.dir, "disk"), "qcow2")
	if err != nil {
		t.Fatal(err)
	}
	return size
}

func (m *moved) aside() bool { return there(m.dir + asideSuffix) }

func compare(t *testing.T, what string, want, got []string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s wrote (-want +got):\n%s", what, diff)
	}
}

// What Nova's own node writes in each part of a resize, in its order; power states apart, which it leaves to its polls.
var (
	prepWrites = []string{
		"event start compute_prep_resize",
		"save",
		"migration pre-migrating",
		"save",
		"cast resize_instance",
		"event finish_with_failure compute_prep_resize",
	}
	sendWrites = []string{
		"event start compute_resize_instance",
		"migration migrating",
		"save task_state=resize_migrating if resize_prep",
		"migration post-migrating",
		"save task_state=resize_migrated if resize_migrating",
		"cast finish_resize",
		"event finish_with_failure compute_resize_instance",
	}
	finishWrites = []string{
		"event start compute_finish_resize",
		"save task_state=resize_finish if resize_migrated",
		"migration finished",
		"save vm_state=resized task_state=none if resize_finish",
		"cast update_instance_info",
		"event finish_with_failure compute_finish_resize",
	}
	confirmWrites = []string{
		"event start compute_confirm_resize",
		"migration confirmed",
		"save vm_state=active task_state=none if none|deleting|soft-deleting",
		"save",
		"event finish_with_failure compute_confirm_resize",
	}
	revertWrites = []string{
		"event start compute_revert_resize",
		"migration reverted",
		"save if resize_reverting",
		"cast finish_revert_resize",
		"event finish_with_failure compute_revert_resize",
	}
	finishRevertWrites = []string{
		"event start compute_finish_revert_resize",
		"save if resize_reverting",
		"save if resize_reverting",
		"save vm_state=active task_state=none",
		"save",
		"event finish_with_failure compute_finish_revert_resize",
	}
)

// resizeParts take a guest to where its user decides.
var resizeParts = []struct {
	op     func(*Agent) operation
	task   nova.TaskState
	status string
	want   []string // is written
}{
	{opPrepResize, nova.TaskResizePrep, "pre-migrating", prepWrites},
	{opResizeInstance, nova.TaskResizePrep, "pre-migrating", sendWrites},
	{opFinishResize, nova.TaskResizeMigrated, "post-migrating", finishWrites},
}

// resize takes the guest to where its user decides.
func (m *moved) resize(t *testing.T) {
	t.Helper()
	for _, part := range resizeParts {
		got, err := m.do(t, part.op, part.task, part.status)
		if err != nil {
			t.Fatal(err)
		}
		compare(t, part.op(nil).method, part.want, got)
	}
}

func TestResizeIsConfirmed(t *testing.T) {
	m := movable(t)
	m.resize(t)
	if size := m.bytes(t); size != 2*gib {
		t.Errorf("the disk has %d bytes", size)
	}
	if !m.aside() {
		t.Error("the old disk was not kept")
	}
	if c := m.resources.Capacity(); c.DiskGB.Claimed != 3 {
		t.Errorf("%d GB are held for both sizes", c.DiskGB.Claimed)
	}
	got, err := m.do(t, opConfirmResize, nova.NoTask, "confirming")
	if err != nil {
		t.Fatal(err)
	}
	compare(t, "confirm_resize", confirmWrites, got)
	if m.aside() {
		t.Error("the old disk is still there")
	}
	if c := m.resources.Capacity(); c.DiskGB.Claimed != 2 {
		t.Errorf("%d GB are held for the new size", c.DiskGB.Claimed)
	}
	if power := m.power(t, m.uuid); power != nova.PowerRunning {
		t.Errorf("the guest is %s", power)
	}
}

func TestResizeIsReverted(t *testing.T) {
	m := movable(t)
	m.resize(t)
	got, err := m.do(t, opRevertResize, nova.TaskResizeReverting, "reverting")
	if err != nil {
		t.Fatal(err)
	}
	compare(t, "revert_resize", revertWrites, got)
	if power := m.power(t, m.uuid); power != nova.PowerNoState {
		t.Errorf("the guest that was given up is %s", power)
	}
	if got, err = m.do(t, opFinishRevertResize, nova.TaskResizeReverting, "reverted"); err != nil {
		t.Fatal(err)
	}
	compare(t, "finish_revert_resize", finishRevertWrites, got)
	if size := m.bytes(t); size != 1*gib || m.aside() {
		t.Errorf("the disk has %d bytes, the old one lies aside: %t", size, m.aside())
	}
	if power := m.power(t, m.uuid); power != nova.PowerRunning {
		t.Errorf("the guest is %s", power)
	}
	if c := m.resources.Capacity(); c.DiskGB.Claimed != 1 {
		t.Errorf("%d GB are held for the old size", c.DiskGB.Claimed)
	}
	if f := m.conductor.instance.Obj("flavor"); f.Int("id") != 1 {
		t.Errorf("the instance has flavor %d", f.Int("id"))
	}
}

func TestResizeOfAStoppedGuestLeavesItOff(t *testing.T) {
	m := movable(t)
	if _, err := m.ask(t, opStop, nova.TaskPoweringOff, map[string]any{"clean_shutdown": false}); err != nil {
		t.Fatal(err)
	}
	m.resize(t)
	if power := m.power(t, m.uuid); power != nova.PowerShutdown {
		t.Errorf("the resized guest is %s", power)
	}
	if _, err := m.do(t, opRevertResize, nova.TaskResizeReverting, "reverting"); err != nil {
		t.Fatal(err)
	}
	got, err := m.do(t, opFinishRevertResize, nova.TaskResizeReverting, "reverted")
	if err != nil {
		t.Fatal(err)
	}
	compare(t, "finish_revert_resize", []string{
		"event start compute_finish_revert_resize",
		"save if resize_reverting",
		"save if resize_reverting",
		"save task_state=powering-off",
		"event start compute_stop_instance",
		"save vm_state=stopped task_state=none if powering-off|none",
		"event finish_with_failure compute_stop_instance",
		"save",
		"event finish_with_failure compute_finish_revert_resize",
	}, got)
}

// Whatever breaks before the record is handed over, the guest runs where and as it did.
func TestSendingIsUndone(t *testing.T) {
	m := movable(t)
	for _, at := range []string{
		"migration migrating", "save task_state=resize_migrating if resize_prep", "migration post-migrating",
		"save task_state=resize_migrated if resize_migrating", "cast finish_resize",
	} {
		t.Run(at, func(t *testing.T) {
			broken := false
			m.conductor.refuse = func(line string) error {
				if line == at && !broken {
					broken = true
					return errors.New("broken")
				}
				return nil
			}
			got, err := m.do(t, opResizeInstance, nova.TaskResizePrep, "pre-migrating")
			if !nova.Is(err, "ResizeError") || !broken {
				t.Fatalf("err = %v", err)
			}
			if power := m.power(t, m.uuid); power != nova.PowerRunning {
				t.Errorf("the guest is %s", power)
			}
			if m.aside() || m.bytes(t) != 1*gib {
				t.Errorf("the disks were not put back")
			}
			i := nova.As[nova.Instance](m.conductor.instance)
			if i.Host() != "here" || i.VMState() != nova.VMActive || i.TaskState() != nova.NoTask {
				t.Errorf("the record says %s, %s/%s", i.Host(), i.VMState(), i.TaskState())
			}
			for _, line := range []string{"migration error", "save task_state=none"} {
				if !slices.Contains(got, line) {
					t.Errorf("%q was not written: %q", line, got)
				}
			}
			if !slices.ContainsFunc(got, func(l string) bool { return strings.HasPrefix(l, "fault 500 Resize error: ") }) {
				t.Errorf("no fault: %q", got)
			}
		})
	}
}

func TestDisksDoNotShrink(t *testing.T) {
	m := movable(t)
	m.flavor.Set("root_gb", 0)
	m.flavor.ClearChanges()
	got, err := m.do(t, opResizeInstance, nova.TaskResizePrep, "pre-migrating")
	if !nova.Is(err, "ResizeError") || nova.FaultMessage(err) != "Resize error: Unable to resize disk down." {
		t.Errorf("err = %v", err)
	}
	if slices.Contains(got, "migration post-migrating") || m.aside() {
		t.Errorf("the guest was touched: %q", got)
	}
	if power := m.power(t, m.uuid); power != nova.PowerRunning {
		t.Errorf("the guest is %s", power)
	}
}

func TestAFinishThatFailsLeavesTheInstanceInError(t *testing.T) {
	m := movable(t)
	for _, part := range []func(*Agent) operation{opPrepResize, opResizeInstance} {
		if _, err := m.do(t, part, nova.TaskResizePrep, "pre-migrating"); err != nil {
			t.Fatal(err)
		}
	}
	m.conductor.refuse = func(line string) error {
		if line == "migration finished" {
			return errors.New("broken")
		}
		return nil
	}
	got, err := m.do(t, opFinishResize, nova.TaskResizeMigrated, "post-migrating")
	if err == nil || !slices.Contains(got, "migration error") || !slices.Contains(got, "save vm_state=error") {
		t.Errorf("err = %v, written %q", err, got)
	}
	if f := m.conductor.instance.Obj("flavor"); f.Int("id") != 1 {
		t.Errorf("the instance has flavor %d", f.Int("id"))
	}
	if !there(filepath.Join(m.dir, "disk")) {
		t.Error("its disk is gone")
	}
}

func TestAGuestThatCannotComeIsHandedBack(t *testing.T) {
	m := movable(t)
	m.flavor.Set("id", 1) // a migration to where it is
	m.flavor.ClearChanges()
	offer := map[string]any{
		"migration": m.migration, "flavor": m.flavor, "image": map[string]any{}, "node": "here", "clean_shutdown": true,
		"filter_properties": map[string]any{"retry": map[string]any{"num_attempts": 1, "hosts": []any{}}}, "host_list": []any{},
	}
	for name, c := range map[string]struct {
		refuse error
		class  string
		want   []string
	}{
		"taken": {nil, "", []string{
			"event start compute_prep_resize",
			"save task_state=resize_prep",
			"call migrate_server",
			"fault 400 Unable to migrate instance (" + m.uuid + ") to current host (here).",
			"event finish_with_failure compute_prep_resize",
		}},
		"refused": {nova.NewErrorText("NoValidHost", "No valid host was found. "), "UnableToMigrateToSelf", []string{
			"event start compute_prep_resize",
			"save task_state=resize_prep",
			"call migrate_server",
			"fault 500 No valid host was found. ",
			"migration error",
			"save task_state=none",
			"fault 400 Unable to migrate instance (" + m.uuid + ") to current host (here).",
			"save task_state=none",
			"event finish_with_failure compute_prep_resize: Unable to migrate instance (" + m.uuid + ") to current host (here).",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			m.note(nova.TaskResizePrep)
			m.conductor.refuse = func(line string) error {
				if line == "call migrate_server" {
					return c.refuse
				}
				return nil
			}
			_, err := m.ask(t, opPrepResize, nova.TaskResizePrep, offer)
			if nova.ClassOf(err) != c.class {
				t.Errorf("err = %v", err)
			}
			compare(t, "prep_resize", c.want, m.conductor.written())
		})
	}
}

func TestOnlyFinishedMovesAreConfirmed(t *testing.T) {
	m := movable(t)
	for _, status := range []string{"confirmed", "reverted", "error"} {
		got, err := m.do(t, opConfirmResize, nova.NoTask, status)
		if err != nil {
			t.Error(err)
		}
		compare(t, status, []string{"event start compute_confirm_resize", "event finish_with_failure compute_confirm_resize"}, got)
	}
}

// TestLostConfirmations: a confirmation that a process before had taken in, and of which nothing was done, is carried out.
func TestLostConfirmations(t *testing.T) {
	m := movable(t)
	m.resize(t)
	for _, c := range []struct {
		name, status string
		vm           nova.VMState
		want         []string
	}{
		{"the user has yet to decide", "finished", nova.VMResized, []string{}},
		{"it is over", "confirming", nova.VMActive, []string{}},
		{"lost", "confirming", nova.VMResized, confirmWrites},
	} {
		m.migration.Set("status", c.status)
		m.migration.ClearChanges()
		m.conductor.answers["MigrationList.get_by_filters"] = m.profile.NewList("MigrationList", m.migration.Clone())
		m.conductor.answers["Migration.get_by_id_and_instance"] = m.migration.Clone()
		m.conductor.instance.Set("vm_state", string(c.vm))
		m.note(nova.NoTask)
		if err := m.findLostConfirmations(within(t, patience)); err != nil {
			t.Fatal(err)
		}
		compare(t, c.name, c.want, m.conductor.written())
	}
	if m.aside() {
		t.Error("the disks set aside are still there")
	}
}
