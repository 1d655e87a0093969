package hypervisor

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"bolide/test/virt"
)

// usbDisk describes a disk that a guest without an operating system can let go of:
// USB needs nobody's consent.
func usbDisk(path, target string) string {
	return fmt.Sprintf(`<disk type='file' device='disk'>
  <driver name='qemu' type='raw'/><source file='%s'/><target dev='%s' bus='usb'/>
  <alias name='ua-%s'/>
</disk>`, path, target, target)
}

func TestDevices(t *testing.T) {
	d := virt.Start(t)
	h := connect(t, d, Options{})
	events, unsubscribe := h.Subscribe()
	defer unsubscribe()
	g := boot(t, h, d, virt.GuestOptions{Devices: "<controller type='usb' model='piix3-uhci'/>"})
	ctx := within(t, 2*patience)
	path := filepath.Join(filepath.Dir(g.Disk), "extra")
	if err := virt.WriteBootDisk(path); err != nil {
		t.Fatal(err)
	}
	xml := usbDisk(path, "sda")
	both := DeviceOptions{Live: true, Config: true}

	if err := h.AttachDevice(ctx, g.UUID, xml, both); err != nil {
		t.Fatal(err)
	}
	if s, err := h.Stats(ctx, g.UUID); err != nil || len(s.Disks) != 2 || s.Disks[1].Target != "sda" {
		t.Errorf("stats: %+v, %v", s, err)
	}
	if err := h.DetachDevice(ctx, g.UUID, xml, both); err != nil {
		t.Fatal(err)
	}
	if e := expect(t, events, EventDeviceRemoved); e.UUID != g.UUID || e.Device != "ua-sda" {
		t.Errorf("event: %+v", e)
	}
	for _, o := range []DeviceOptions{{Live: true}, {Config: true}} {
		if err := h.DetachDevice(ctx, g.UUID, xml, o); !errors.Is(err, ErrDeviceNotFound) {
			t.Errorf("detach again %+v: %v", o, err)
		}
	}
	if err := h.AttachDevice(ctx, g.UUID, usbDisk("/none", "sdb"), both); err == nil {
		t.Error("a disk without a file was attached")
	}
}

func TestMetadata(t *testing.T) {
	d := virt.Start(t)
	h := connect(t, d, Options{})
	g := boot(t, h, d, virt.GuestOptions{})
	ctx := within(t, 2*patience)
	for _, ports := range []string{"one", "two"} {
		m := Metadata{Namespace: "http://example.org/1", Key: "mine", XML: "<ports>" + ports + "</ports>"}
		if err := h.SetMetadata(ctx, g.UUID, m, DeviceOptions{Live: true, Config: true}); err != nil {
			t.Fatal(err)
		}
	}
	for _, o := range []XMLOptions{{}, {Inactive: true}} {
		xml, err := h.XML(ctx, g.UUID, o)
		if err != nil || !strings.Contains(xml, ">two</mine:ports>") || strings.Contains(xml, "one</") {
			t.Errorf("%+v: %v\n%s", o, err, xml)
		}
	}
}

// qcow2 makes an empty image.
func qcow2(t *testing.T, path, size string) {
	t.Helper()
	if out, err := exec.Command("qemu-img", "create", "-q", "-f", "qcow2", path, size).CombinedOutput(); err != nil {
		t.Fatalf("qemu-img: %v: %s", err, out)
	}
}

func TestBlockJobs(t *testing.T) {
	d := virt.Start(t)
	h := connect(t, d, Options{})
	events, unsubscribe := h.Subscribe()
	defer unsubscribe()
	g := boot(t, h, d, virt.GuestOptions{})
	ctx := within(t, 2*patience)
	dir := filepath.Dir(g.Disk)

	info, err := h.BlockInfo(ctx, g.UUID, "vda")
	if err != nil || info.Capacity != 1<<20 {
		t.Fatalf("block info: %+v, %v", info, err)
	}
	if err := h.BlockResize(ctx, g.UUID, "vda", 2<<20); err != nil {
		t.Fatal(err)
	}
	if info, err = h.BlockInfo(ctx, g.UUID, "vda"); err != nil || info.Capacity != 2<<20 {
		t.Errorf("block info after resize: %+v, %v", info, err)
	}
	if _, ok, err := h.BlockJob(ctx, g.UUID, "vda"); ok || err != nil {
		t.Errorf("a job where none is: %v, %v", ok, err)
	}

	// A live snapshot as Nova takes it: mirror the disk, stop when it is ready.
	copied := filepath.Join(dir, "copy")
	qcow2(t, copied, "2M")
	if err := h.BlockRebase(ctx, g.UUID, "vda", copied, BlockRebaseOptions{Copy: true, Reuse: true}); err == nil {
		t.Error("a persistent guest's disk was mirrored by a job that does not survive")
	}
	xml := fmt.Sprintf("<disk type='file'><driver type='qcow2'/><source file='%s'/></disk>", copied)
	if err := h.BlockCopy(ctx, g.UUID, "vda", xml, BlockCopyOptions{Reuse: true, Transient: true}); err != nil {
		t.Fatal(err)
	}
	if e := expect(t, events, EventBlockJob); e.Device != "vda" || e.Detail != "ready" {
		t.Errorf("event: %+v", e)
	}
	if job, ok, err := h.BlockJob(ctx, g.UUID, "vda"); !ok || err != nil || !job.Ready() {
		t.Errorf("job: %+v, %v, %v", job, ok, err)
	}
	if err := h.BlockJobAbort(ctx, g.UUID, "vda", BlockJobAbortOptions{Pivot: true}); err != nil {
		t.Fatal(err)
	}
	if e := expect(t, events, EventBlockJob); e.Detail != "completed" {
		t.Errorf("event: %+v", e)
	}

	// A snapshot of disks and its way back by an active commit.
	top := filepath.Join(dir, "top")
	snapshot := fmt.Sprintf("<domainsnapshot><disks><disk name='vda' snapshot='external'><source file='%s'/>"+
		"</disk></disks></domainsnapshot>", top)
	if err := h.CreateSnapshot(ctx, g.UUID, snapshot, SnapshotOptions{DiskOnly: true, NoMetadata: true}); err != nil {
		t.Fatal(err)
	}
	if err := h.BlockCommit(ctx, g.UUID, "vda", copied, top, BlockCommitOptions{Active: true}); err != nil {
		t.Fatal(err)
	}
	if e := expect(t, events, EventBlockJob); e.Detail != "ready" {
		t.Errorf("event: %+v", e)
	}
	if err := h.BlockJobAbort(ctx, g.UUID, "vda", BlockJobAbortOptions{Pivot: true}); err != nil {
		t.Fatal(err)
	}
	if s, err := h.Stats(ctx, g.UUID); err != nil || len(s.Disks) == 0 || s.Disks[0].Path != copied {
		t.Errorf("disk after commit: %+v, %v", s.Disks, err)
	}
}

func TestManagedSave(t *testing.T) {
	d := virt.Start(t)
	h := connect(t, d, Options{})
	events, unsubscribe := h.Subscribe()
	defer unsubscribe()
	g := boot(t, h, d, virt.GuestOptions{})
	ctx := within(t, 2*patience)

	if err := h.ManagedSave(ctx, g.UUID); err != nil {
		t.Fatal(err)
	}
	if e := expect(t, events, EventStopped); e.Detail != "saved" {
		t.Errorf("event: %+v", e)
	}
	if has, err := h.HasManagedSave(ctx, g.UUID); !has || err != nil {
		t.Errorf("save image: %v, %v", has, err)
	}
	if err := h.Start(ctx, g.UUID, StartOptions{}); err != nil {
		t.Fatal(err)
	}
	if e := expect(t, events, EventStarted); e.Detail != "restored" {
		t.Errorf("event: %+v", e)
	}
	if err := h.ManagedSave(ctx, g.UUID); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := h.RemoveManagedSave(ctx, g.UUID); err != nil {
			t.Errorf("remove save image: %v", err)
		}
	}
	if has, err := h.HasManagedSave(ctx, g.UUID); has || err != nil {
		t.Errorf("save image after removal: %v, %v", has, err)
	}
}

func TestStats(t *testing.T) {
	d := virt.Start(t)
	h := connect(t, d, Options{})
	g := boot(t, h, d, virt.GuestOptions{})
	off := define(t, h, d, virt.GuestOptions{})
	ctx := within(t, 2*patience)

	s, err := h.Stats(ctx, g.UUID)
	if err != nil {
		t.Fatal(err)
	}
	if s.State != Running || s.CPU.Total <= 0 || len(s.VCPUs) != 1 || !s.VCPUs[0].Running ||
		s.Memory.Current != 32<<10 || s.Memory.RSS == 0 {
		t.Errorf("stats: %+v", s)
	}
	if len(s.Disks) != 1 || s.Disks[0].Target != "vda" || s.Disks[0].ReadBytes < 512 || s.Disks[0].Capacity != 1<<20 {
		t.Errorf("disks: %+v", s.Disks)
	}
	all, err := h.AllStats(ctx)
	if err != nil || len(all) != 1 || all[g.UUID].State != Running {
		t.Errorf("all stats: %+v, %v", all, err)
	}
	if s, err := h.Stats(ctx, off.UUID); err != nil || s.State != Shutoff {
		t.Errorf("stats of a guest that is off: %+v, %v", s, err)
	}
	if _, err := h.Stats(ctx, "00000000-0000-0000-0000-000000000001"); !errors.Is(err, ErrNotFound) {
		t.Errorf("stats of no guest: %v", err)
	}
}

func TestCallsThatNeedAnAgent(t *testing.T) {
	d := virt.Start(t)
	h := connect(t, d, Options{})
	with := boot(t, h, d, virt.GuestOptions{Devices: "<channel type='unix'>" +
		"<target type='virtio' name='org.qemu.guest_agent.0'/></channel>"})
	ctx := within(t, 2*patience)
	for name, err := range map[string]error{
		"freeze":   h.FSFreeze(ctx, with.UUID),
		"thaw":     h.FSThaw(ctx, with.UUID),
		"password": h.SetUserPassword(ctx, with.UUID, "root", "secret"),
	} {
		if !errors.Is(err, ErrAgent) {
			t.Errorf("%s without an agent: %v", name, err)
		}
	}
	if err := h.InjectNMI(ctx, with.UUID); err != nil {
		t.Errorf("inject NMI: %v", err)
	}
	if err := h.Reset(ctx, with.UUID); err != nil {
		t.Errorf("reset: %v", err)
	}
	if _, err := os.Stat(with.Console); err != nil {
		t.Error(err)
	}
}
