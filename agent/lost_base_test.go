package agent

import (
	"os"
	"path/filepath"
	"testing"

	"bolide/imagecache"
	"bolide/imagecache/disk"
	"bolide/rpc/nova"
)

// overlay puts the guest's disk over the base of an image in the cache, which need not be there.
func (m *moved) overlay(t *testing.T, imageID string) (base string) {
	t.Helper()
	base = filepath.Join(m.cfg.Default.InstancesPath, m.cfg.ImageCache.SubdirectoryName, imagecache.Name(imageID))
	path := filepath.Join(m.dir, "disk")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	qemuImg(t, "create", "-q", "-u", "-f", "qcow2", "-b", base, "-F", "raw", path, "1G")
	if err := disk.RecordFormat(path, "qcow2"); err != nil {
		t.Fatal(err)
	}
	return base
}

// TestHardRebootWithoutTheBase: what the root disk rests on is fetched again, if it is the instance's own image.
func TestHardRebootWithoutTheBase(t *testing.T) {
	const elsewhere = "99999999-9999-9999-9999-999999999999"
	for name, c := range map[string]struct {
		lost  bool // the image as well
		other bool // the disk was made from another image than the instance says
		class string
	}{
		"the image is there": {},
		"nor the image":      {lost: true, class: "ImageNotFound"},
		"of another image":   {other: true, class: "DiskNotFound"},
	} {
		t.Run(name, func(t *testing.T) {
			m := movable(t)
			image := elsewhere
			if !c.lost {
				image = m.bootableImage(t, "own", nil)
			}
			m.conductor.instance.Set("image_ref", image)
			m.conductor.instance.ClearChanges()
			if c.other {
				image = elsewhere
			}
			base := m.overlay(t, image)
			m.note(nova.TaskRebootingHard)
			_, err := m.ask(t, opReboot, nova.TaskRebootingHard, map[string]any{"reboot_type": "HARD", "block_device_info": nil})
			if class := nova.ClassOf(err); class != c.class || c.class == "" && err != nil {
				t.Fatalf("reboot: %v of class %q, want %q", err, class, c.class)
			}
			if there(base) != (c.class == "") {
				t.Errorf("the base is there: %v", there(base))
			}
			if want := m.power(t, m.uuid) == nova.PowerRunning; want != (c.class == "") {
				t.Errorf("the guest runs: %v", want)
			}
		})
	}
}
