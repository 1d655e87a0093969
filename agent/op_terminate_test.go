package agent

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"bolide/rpc/nova"
)

// deleteWrites is what Nova's own node writes while it deletes an instance; it notes the removal of the files in a
// write of its own before.
var deleteWrites = []string{
	"event start compute_terminate_instance",
	"save vm_state=deleted task_state=none power_state=0 cleaned=true",
	"cast delete_instance_info",
	"Instance.destroy",
	"event finish_with_failure compute_terminate_instance",
}

func TestDeleteInEveryState(t *testing.T) {
	n := newNode(t, nil)
	ctx := within(t, 5*patience)
	for _, c := range []struct {
		name    string
		prepare func(uuid string) error
	}{
		{"running", func(string) error { return nil }},
		{"paused", func(uuid string) error { return n.hypervisor.Suspend(ctx, uuid) }},
		{"suspended", func(uuid string) error { return n.hypervisor.ManagedSave(ctx, uuid) }},
		{"stopped", func(uuid string) error { return n.hypervisor.Destroy(ctx, uuid) }},
		{"without a definition", func(uuid string) error {
			if err := n.hypervisor.Destroy(ctx, uuid); err != nil {
				return err
			}
			return n.hypervisor.Undefine(ctx, uuid)
		}},
		{"without files", func(uuid string) error { return os.RemoveAll(n.instanceDir(uuid)) }},
		{"in the middle of a resize", func(uuid string) error { return os.Mkdir(n.instanceDir(uuid)+"_resize", 0o755) }},
		{"after a delete that was cut off", func(uuid string) error {
			return os.MkdirAll(filepath.Join(n.instanceDir(uuid)+"_del", "rest"), 0o755)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := n.boot(t)
			n.files(t, g.UUID)
			if err := c.prepare(g.UUID); err != nil {
				t.Fatal(err)
			}
			n.conductor.forget()
			if _, err := n.ask(t, opTerminate, nova.TaskDeleting, map[string]any{"bdms": nil}); err != nil {
				t.Fatal(err)
			}
			n.wrote(t, deleteWrites)
			n.isGone(t, g.UUID)
		})
	}
}

// busyFiles makes the instance's files impossible to remove until release is called.
func (n *node) busyFiles(t *testing.T, uuid string) (release func()) {
	t.Helper()
	mount := filepath.Join(n.files(t, uuid), "busy")
	if err := os.Mkdir(mount, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", mount, "tmpfs", 0, ""); err != nil {
		t.Skipf("cannot mount: %v", err)
	}
	mounted := true
	release = func() {
		for _, dir := range []string{mount, filepath.Join(n.instanceDir(uuid)+"_del", "busy")} {
			if mounted && unix.Unmount(dir, 0) == nil {
				mounted = false
			}
		}
	}
	t.Cleanup(release)
	return release
}

// TestDeleteWithBusyFiles checks that files which cannot be removed keep nobody from deleting the instance, and that
// they are removed later.
func TestDeleteWithBusyFiles(t *testing.T) {
	n := newNode(t, nil)
	g := n.boot(t)
	release := n.busyFiles(t, g.UUID)
	n.conductor.forget()
	if _, err := n.ask(t, opTerminate, nova.TaskDeleting, map[string]any{"bdms": nil}); err != nil {
		t.Fatal(err)
	}
	want := slices.Clone(deleteWrites)
	want[1] = strings.TrimSuffix(want[1], " cleaned=true") // as it was: not cleaned
	n.wrote(t, want)

	gone := nova.As[nova.Instance](n.conductor.instance)
	n.conductor.answers["InstanceList.get_by_filters"] = n.profile.NewList("InstanceList", gone.Object)
	for attempt, busy := range []bool{true, false} {
		if !busy {
			release()
		}
		n.conductor.forget()
		if err := n.removeLeftFiles(within(t, patience)); err != nil {
			t.Fatal(err)
		}
		if gone.Cleaned() == busy || gone.SystemMetadata()["clean_attempts"] != string(rune('2'+attempt)) {
			t.Errorf("attempt %d: cleaned %v, attempts %s", attempt, gone.Cleaned(), gone.SystemMetadata()["clean_attempts"])
		}
	}
	n.isGone(t, g.UUID)
	if asked := n.conductor.filters["InstanceList.get_by_filters"].(map[string]any); asked["cleaned"] != false || asked["deleted"] != true || asked["host"] != "here" {
		t.Errorf("asked for %v", asked)
	}
}

// TestLeftFilesAreGivenUp checks the bound of the attempts, and that a guest that still runs keeps its files.
func TestLeftFilesAreGivenUp(t *testing.T) {
	n := newNode(t, map[string]string{"DEFAULT.maximum_instance_delete_attempts": "2"})
	running := n.boot(t)
	n.files(t, running.UUID)
	often := n.newInstance("22222222-2222-2222-2222-222222222222")
	n.files(t, often.Str("uuid"))
	often.Set("system_metadata", map[string]any{"clean_attempts": "2"})
	n.conductor.answers["InstanceList.get_by_filters"] = n.profile.NewList("InstanceList", often, n.conductor.instance)
	n.conductor.forget()
	if err := n.removeLeftFiles(within(t, patience)); err != nil {
		t.Fatal(err)
	}
	n.wrote(t, nil)
	for _, uuid := range []string{running.UUID, often.Str("uuid")} {
		if _, err := os.Stat(n.instanceDir(uuid)); err != nil {
			t.Error(err)
		}
	}
}

// TestDeleteThatFails breaks the steps: the instance is in error, still being deleted, and can be deleted again.
func TestDeleteThatFails(t *testing.T) {
	n := newNode(t, nil)
	g := n.boot(t)
	n.files(t, g.UUID)
	for at, failed := range map[string]string{
		"VirtualInterface.delete_by_instance_uuid": "save vm_state=error",
		// what could not be saved is saved with the next write
		deleteWrites[1]:    "save vm_state=error task_state=none power_state=0 cleaned=true",
		"Instance.destroy": "save vm_state=error",
	} {
		n.conductor.instance = n.newInstance(g.UUID)
		n.conductor.forget()
		n.conductor.refuse = func(line string) error {
			if line == at {
				return errTold
			}
			return nil
		}
		if _, err := n.ask(t, opTerminate, nova.TaskDeleting, map[string]any{"bdms": nil}); err == nil {
			t.Errorf("%s: no error", at)
		}
		n.conductor.refuse = nil
		n.endsWith(t, []string{failed, "fault 500 …", "save task_state=none", "event finish_with_failure compute_terminate_instance: …"}, "")
	}
	n.conductor.forget()
	if _, err := n.ask(t, opTerminate, nova.TaskDeleting, map[string]any{"bdms": nil}); err != nil {
		t.Fatal(err)
	}
	n.isGone(t, g.UUID)
}

func TestReclaim(t *testing.T) {
	n := newNode(t, map[string]string{"DEFAULT.reclaim_instance_interval": "3600"})
	g := n.boot(t)
	n.files(t, g.UUID)
	record := n.conductor.instance
	young := n.newInstance("22222222-2222-2222-2222-222222222222")
	record.Set("deleted_at", time.Now().Add(-2*time.Hour).UTC())
	young.Set("deleted_at", time.Now().UTC())
	n.conductor.answers["InstanceList.get_by_filters"] = n.profile.NewList("InstanceList", young, record)

	n.conductor.forget()
	if err := n.reclaimDeleted(within(t, patience)); err != nil {
		t.Fatal(err)
	}
	n.wrote(t, nil) // the record says by now that the user has it back
	record.Set("vm_state", "soft-delete")
	n.conductor.forget()
	if err := n.reclaimDeleted(within(t, patience)); err != nil {
		t.Fatal(err)
	}
	n.wrote(t, deleteWrites[1:4])
	n.isGone(t, g.UUID)
}

func TestGuestsOfDeletedInstances(t *testing.T) {
	n := newNode(t, nil)
	for _, c := range []struct {
		action string
		power  nova.PowerState
		files  bool
	}{
		{"log", nova.PowerRunning, true},
		{"shutdown", nova.PowerShutdown, true},
		{"reap", nova.PowerNoState, false},
	} {
		t.Run(c.action, func(t *testing.T) {
			n.cfg.Default.RunningDeletedInstanceAction = c.action
			g := n.boot(t)
			n.files(t, g.UUID)
			record := n.conductor.instance
			record.Set("deleted", true)
			record.Set("deleted_at", time.Now().Add(-time.Minute).UTC())
			n.conductor.answers["InstanceList.get_by_filters"] = n.profile.NewList("InstanceList", record)

			n.cfg.Default.RunningDeletedInstanceTimeout = time.Hour
			if err := n.endDeletedGuests(within(t, patience)); err != nil {
				t.Fatal(err)
			}
			if power := n.power(t, g.UUID); power != nova.PowerRunning {
				t.Errorf("before its time guest is %s", power)
			}
			n.cfg.Default.RunningDeletedInstanceTimeout = 0
			if err := n.endDeletedGuests(within(t, patience)); err != nil {
				t.Fatal(err)
			}
			if power := n.power(t, g.UUID); power != c.power {
				t.Errorf("guest is %s, want %s", power, c.power)
			}
			if _, err := os.Stat(n.instanceDir(g.UUID)); (err == nil) != c.files {
				t.Errorf("files: %v", err)
			}
			asked := n.conductor.filters["InstanceList.get_by_filters"].(map[string]any)
			if uuids := asked["uuid"].([]string); !slices.Contains(uuids, g.UUID) || asked["deleted"] != true || asked["soft_deleted"] != false {
				t.Errorf("asked for %v", asked)
			}
		})
	}
}
