package agent

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
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

// snapshotWrites is what Nova's own node writes during a snapshot, in its order.
var snapshotWrites = []string{
	"event start compute_snapshot_instance",
	"save task_state=image_snapshot if image_snapshot_pending",
	"save power_state=1",
	"save task_state=image_pending_upload if image_snapshot",
	"save task_state=image_uploading if image_pending_upload",
	"save task_state=image_pending_upload if image_uploading",
	"save task_state=image_uploading if image_pending_upload",
	"save task_state=none if image_uploading",
	"event finish_with_failure compute_snapshot_instance",
}

// newImage is the record without data that Nova's API makes for a snapshot.
func (n *node) newImage(t *testing.T, properties image.Record) string {
	t.Helper()
	if properties == nil {
		properties = image.Record{}
	}
	if properties["name"] == nil {
		properties["name"] = "snapshot"
	}
	r, err := n.glance.Create("project", properties)
	if err != nil {
		t.Fatal(err)
	}
	return r.ID()
}

// imageData is the data that the image service has of an image.
func (n *node) imageData(t *testing.T, id string) []byte {
	t.Helper()
	body, err := n.cloud.Images().Open(within(t, patience), identity(nil), id, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(body); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// onOverlay makes the guest's disk an overlay of what it was, and returns the description with it.
func onOverlay(t *testing.T, g virt.Guest) string {
	t.Helper()
	overlay := g.Disk + ".qcow2"
	qemuImg(t, "create", "-q", "-f", "qcow2", "-b", g.Disk, "-F", "raw", overlay)
	return strings.NewReplacer(g.Disk, overlay, "type='raw'", "type='qcow2'").Replace(g.XML)
}

func qemuImg(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("qemu-img", args...).CombinedOutput(); err != nil {
		t.Fatalf("qemu-img %v: %v: %s", args, err, out)
	}
}

// leftCopies are the files of snapshots that were not removed.
func (n *node) leftCopies(t *testing.T) []string {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(n.cfg.Libvirt.SnapshotsDirectory, "*"))
	if err != nil {
		t.Fatal(err)
	}
	return left
}

func TestSnapshot(t *testing.T) {
	n := newNode(t, map[string]string{"libvirt.snapshot_image_format": "raw"})
	ctx := within(t, 3*patience)
	for _, c := range []struct {
		name    string
		overlay bool
		prepare func(string) error // brings the running guest into its state
		power   nova.PowerState
	}{
		{"running", false, nil, nova.PowerRunning},
		{"running on an overlay", true, nil, nova.PowerRunning},
		{"paused", true, func(uuid string) error { return n.hypervisor.Suspend(ctx, uuid) }, nova.PowerPaused},
		{"stopped", true, func(uuid string) error { return n.hypervisor.Destroy(ctx, uuid) }, nova.PowerShutdown},
		{"suspended", true, func(uuid string) error { return n.hypervisor.ManagedSave(ctx, uuid) }, nova.PowerShutdown},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := n.bootOn(t, c.overlay)
			if c.prepare != nil {
				if err := c.prepare(g.UUID); err != nil {
					t.Fatal(err)
				}
			}
			n.conductor.forget()
			id := n.newImage(t, nil)
			if _, err := n.ask(t, opSnapshot, nova.TaskImageSnapshotPending, map[string]any{"image_id": id}); err != nil {
				t.Fatal(err)
			}
			want := slices.Clone(snapshotWrites)
			want[2] = fmt.Sprintf("save power_state=%d", c.power)
			if got := n.conductor.written(); !slices.Equal(got, want) {
				t.Errorf("written:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
			disk, err := os.ReadFile(g.Disk)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(n.imageData(t, id), disk) {
				t.Error("the image is not what the disk holds")
			}
			if power := n.power(t, g.UUID); power != c.power {
				t.Errorf("guest is %s afterwards, was %s", power, c.power)
			}
			if left := n.leftCopies(t); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// bootOn boots a guest whose disk is a file or an overlay.
func (n *node) bootOn(t *testing.T, overlay bool) virt.Guest {
	t.Helper()
	if !overlay {
		return n.boot(t)
	}
	g := n.daemon.NewGuest(t, virt.GuestOptions{})
	n.define(t, onOverlay(t, g))
	n.start(t, g)
	return g
}

func TestSnapshotDescribesImage(t *testing.T) {
	n := newNode(t, nil)
	n.bootOn(t, true)
	id := n.newImage(t, image.Record{"name": "mine", "hw_disk_bus": "virtio"})
	n.conductor.instance.Set("os_type", "linux")
	n.conductor.instance.Set("kernel_id", "kernel")
	if _, err := n.ask(t, opSnapshot, nova.TaskImageSnapshotPending, map[string]any{"image_id": id}); err != nil {
		t.Fatal(err)
	}
	r, err := n.glance.Get(id)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]any{
		"name": "mine", "status": "active", "disk_format": "qcow2", "container_format": "bare", "hw_disk_bus": "virtio",
		"image_location": "snapshot", "image_state": "available", "owner_id": "project", "os_type": "linux",
		"kernel_id": "kernel", "ramdisk_id": nil,
	} {
		if r[name] != want {
			t.Errorf("%s is %v, want %v", name, r[name], want)
		}
	}
}

func TestSnapshotOfAMIKeepsItsFormat(t *testing.T) {
	n := newNode(t, nil)
	n.bootOn(t, true)
	n.conductor.instance.Set("system_metadata", map[string]any{"image_disk_format": "ami", "image_container_format": "ami"})
	id := n.newImage(t, nil)
	if _, err := n.ask(t, opSnapshot, nova.TaskImageSnapshotPending, map[string]any{"image_id": id}); err != nil {
		t.Fatal(err)
	}
	r, err := n.glance.Get(id)
	if err != nil || r["disk_format"] != "ami" || r["container_format"] != "ami" {
		t.Errorf("image %v, %v", r, err)
	}
}

// TestColdSnapshot checks that a guest whose disk may not be copied while it runs is as it was afterwards.
func TestColdSnapshot(t *testing.T) {
	n := newNode(t, map[string]string{"workarounds.disable_libvirt_livesnapshot": "true", "libvirt.snapshot_image_format": "raw"})
	ctx := within(t, 3*patience)
	for _, want := range []nova.PowerState{nova.PowerRunning, nova.PowerPaused} {
		g := n.bootOn(t, true)
		if want == nova.PowerPaused {
			if err := n.hypervisor.Suspend(ctx, g.UUID); err != nil {
				t.Fatal(err)
			}
		}
		before, err := n.hypervisor.Guest(ctx, g.UUID)
		if err != nil {
			t.Fatal(err)
		}
		id := n.newImage(t, nil)
		if _, err := n.ask(t, opSnapshot, nova.TaskImageSnapshotPending, map[string]any{"image_id": id}); err != nil {
			t.Fatal(err)
		}
		after, err := n.hypervisor.Guest(ctx, g.UUID)
		if err != nil || powerState(after.State) != want || after.ID == before.ID {
			t.Errorf("guest was %+v and is %+v, %v", before, after, err)
		}
		if r, err := n.glance.Get(id); err != nil || r.Status() != "active" {
			t.Errorf("image %v, %v", r, err)
		}
	}
}

// errTold is what the services are told to answer with.
var errTold = errors.New("told to fail")

func TestSnapshotThatFails(t *testing.T) {
	const untaken = `snapshot failed on here at step "announce": an unexpected error; try again, or give REQUEST to the operator`
	n := newNode(t, nil)
	g := n.bootOn(t, true)
	deleting := nova.NewError("UnexpectedDeletingTaskStateError", nil)
	for _, c := range []struct {
		name  string
		at    string                                        // the write that is refused
		with  error                                         // the refusal
		serve func(http.ResponseWriter, *http.Request) bool // in place of the services
		last  []string                                      // what is written last
		fails bool                                          // the operation has failed
	}{
		{
			name: "conductor does not take a write", at: "save task_state=image_uploading if image_pending_upload", with: errTold, fails: true,
			last: []string{"fault 500 " + untaken, "save task_state=none", "event finish_with_failure compute_snapshot_instance: " + untaken},
		},
		{
			name: "deleted before it begins", at: "save task_state=image_snapshot if image_snapshot_pending", with: deleting,
			last: []string{"save task_state=image_snapshot if image_snapshot_pending", "event finish_with_failure compute_snapshot_instance"},
		},
		{
			name: "deleted before the upload", at: "save task_state=image_pending_upload if image_uploading", with: deleting,
			last: []string{"save task_state=image_pending_upload if image_uploading", "event finish_with_failure compute_snapshot_instance"},
		},
		{
			name: "quota of the image service", serve: refuse(http.MethodPut, http.StatusRequestEntityTooLarge), fails: true,
			last: []string{"save task_state=none", "event finish_with_failure compute_snapshot_instance: Quota exceeded or out of space for image %s in the image service."},
		},
		{
			name: "image removed meanwhile", serve: refuse(http.MethodPut, http.StatusNotFound),
			last: []string{"save task_state=none", "event finish_with_failure compute_snapshot_instance"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			id := n.newImage(t, nil)
			n.conductor.forget()
			n.services = c.serve
			n.conductor.refuse = func(line string) error {
				if line == c.at {
					return c.with
				}
				return nil
			}
			_, err := n.ask(t, opSnapshot, nova.TaskImageSnapshotPending, map[string]any{"image_id": id})
			n.services, n.conductor.refuse = nil, nil
			if (err != nil) != c.fails {
				t.Errorf("error %v", err)
			}
			n.endsWith(t, c.last, id)
			n.captureLeftNothing(t, g, id)
		})
	}
}

// refuse answers uploads with a status.
func refuse(method string, status int) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != method || !strings.HasSuffix(r.URL.Path, "/file") {
			return false
		}
		w.WriteHeader(status)
		return true
	}
}

// endsWith checks what was written last; %s in it stands for the image's id, and "…" at its end for any text.
func (n *node) endsWith(t *testing.T, last []string, id string) {
	t.Helper()
	got := n.conductor.written()
	if len(got) < len(last) {
		t.Fatalf("written: %q", got)
	}
	for i, line := range got[len(got)-len(last):] {
		want, open := strings.CutSuffix(strings.ReplaceAll(last[i], "%s", id), "…")
		if line != want && !(open && strings.HasPrefix(line, want)) {
			t.Errorf("written %q, want %q", line, want)
		}
	}
}

// captureLeftNothing checks that an image that was not finished is gone with all that was made for it, and that the
// guest runs on undisturbed.
func (n *node) captureLeftNothing(t *testing.T, g virt.Guest, id string) {
	t.Helper()
	if r, err := n.glance.Get(id); err == nil {
		t.Errorf("image is left: %v", r)
	}
	if left := n.leftCopies(t); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if _, there, err := n.hypervisor.BlockJob(within(t, patience), g.UUID, "vda"); there || err != nil {
		t.Errorf("block job is left: %v, %v", there, err)
	}
	if power := n.power(t, g.UUID); power != nova.PowerRunning {
		t.Errorf("guest is %s", power)
	}
}

// TestSnapshotInterrupted deletes the instance at each point of its snapshot but the last, when it is done.
func TestSnapshotInterrupted(t *testing.T) {
	n := newNode(t, nil)
	g := n.bootOn(t, true)
	for _, at := range snapshotWrites[1:7] {
		t.Run(at, func(t *testing.T) {
			id := n.newImage(t, nil)
			n.conductor.forget()
			n.conductor.refuse = func(line string) error {
				if line == at {
					n.queues.interrupt(g.UUID, errDeleted)
				}
				return nil
			}
			_, err := n.ask(t, opSnapshot, nova.TaskImageSnapshotPending, map[string]any{"image_id": id})
			n.conductor.refuse = nil
			if err != nil {
				t.Errorf("error %v", err)
			}
			n.endsWith(t, []string{at, "event finish_with_failure compute_snapshot_instance"}, id)
			n.captureLeftNothing(t, g, id)
		})
	}
}

func TestSnapshotOfNoGuest(t *testing.T) {
	n := newNode(t, nil)
	n.conductor.instance = n.newInstance("22222222-2222-2222-2222-222222222222")
	id := n.newImage(t, nil)
	if _, err := n.ask(t, opSnapshot, nova.TaskImageSnapshotPending, map[string]any{"image_id": id}); err != nil {
		t.Fatal(err)
	}
	n.endsWith(t, []string{"save task_state=none", "event finish_with_failure compute_snapshot_instance"}, id)
	if r, err := n.glance.Get(id); err == nil {
		t.Errorf("image is left: %v", r)
	}
}

func TestBackupKeepsTheNewest(t *testing.T) {
	n := newNode(t, nil)
	g := n.bootOn(t, true)
	kind := image.Record{"image_type": "backup", "backup_type": "daily", "instance_uuid": g.UUID}
	var all []string
	for _, created := range []string{"2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z"} {
		r := image.Record{"created_at": created}
		for name, value := range kind {
			r[name] = value
		}
		all = append(all, n.newImage(t, r))
	}
	weekly := n.newImage(t, image.Record{"image_type": "backup", "backup_type": "weekly", "instance_uuid": g.UUID})
	all = append(all, n.newImage(t, kind))
	n.conductor.forget()
	_, err := n.ask(t, opBackup, nova.TaskImageBackup, map[string]any{"image_id": all[3], "backup_type": "daily", "rotation": 2})
	if err != nil {
		t.Fatal(err)
	}
	want := append([]string{"event start compute_backup_instance", "save power_state=1", "save task_state=image_pending_upload if image_backup"},
		snapshotWrites[4:8]...)
	want = append(want, "event finish_with_failure compute_backup_instance")
	if got := n.conductor.written(); !slices.Equal(got, want) {
		t.Errorf("written:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for i, id := range append(all, weekly) {
		_, err := n.glance.Get(id)
		if there := err == nil; there != (i >= 2) {
			t.Errorf("backup %d: there is %v", i, there)
		}
	}
}

// TestQuiesceWithoutAgent checks the refusals that Nova's API tells apart.
func TestQuiesceWithoutAgent(t *testing.T) {
	n := newNode(t, nil)
	g := n.boot(t)
	for _, op := range []func(*Agent) operation{opQuiesce, opUnquiesce} {
		if _, err := n.ask(t, op, "", nil); !nova.Is(err, "QemuGuestAgentNotEnabled") {
			t.Errorf("image without agent: %v", err)
		}
		n.conductor.instance.Set("system_metadata", map[string]any{"image_hw_qemu_guest_agent": "yes"})
		_, err := n.ask(t, op, "", nil)
		if nova.ClassOf(err) != "InternalError" || !strings.HasPrefix(nova.FaultMessage(err), "Error from libvirt while quiescing instance-00000001: [Error Code ") {
			t.Errorf("guest without agent: %v", err)
		}
		n.conductor.instance.Set("system_metadata", map[string]any{})
	}
	if err := n.hypervisor.Undefine(within(t, patience), g.UUID); err != nil && !errors.Is(err, hypervisor.ErrInvalidState) {
		t.Fatal(err)
	}
	n.cfg.Libvirt.VirtType = "lxc"
	if _, err := n.ask(t, opQuiesce, "", nil); !nova.Is(err, "InstanceQuiesceNotSupported") {
		t.Errorf("other kind of guest: %v", err)
	}
}

func TestSnapshotWaitsForItsTurn(t *testing.T) {
	n := newNode(t, map[string]string{"DEFAULT.max_concurrent_snapshots": "1"})
	n.bootOn(t, true)
	id := n.newImage(t, nil)
	if err := n.snapshots.Acquire(within(t, patience), 1); err != nil {
		t.Fatal(err)
	}
	accepted := make(chan struct{})
	n.conductor.refuse = func(line string) error {
		if line == snapshotWrites[1] {
			close(accepted)
		}
		return nil
	}
	done := make(chan error, 1)
	go func() {
		_, err := n.ask(t, opSnapshot, nova.TaskImageSnapshotPending, map[string]any{"image_id": id})
		done <- err
	}()
	<-accepted
	select {
	case err := <-done:
		t.Fatalf("did not wait: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	n.snapshots.Release(1)
	if err := <-done; err != nil {
		t.Error(err)
	}
}
