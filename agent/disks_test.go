package agent

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bolide/agent/cloud"
	"bolide/agent/guest"
	"bolide/hypervisor/configdrive"
	"bolide/imagecache/disk"
	"bolide/rpc"
	"bolide/rpc/nova"
	"bolide/test/controller/image"
	"bolide/test/virt"
)

// imageOf gives the image service a bootable image of a format, by Glance's name for it and QEMU's.
func (n *node) imageOf(t *testing.T, glance, qemu string) imageRecord {
	t.Helper()
	raw, path := filepath.Join(t.TempDir(), "raw"), filepath.Join(t.TempDir(), "image")
	if err := virt.WriteBootDisk(raw); err != nil {
		t.Fatal(err)
	}
	options := map[string]string{"vmdk": "subformat=streamOptimized", "vpc": "force_size=on"}[qemu]
	if options == "" {
		qemuImg(t, "convert", "-q", "-f", "raw", "-O", qemu, raw, path)
	} else {
		qemuImg(t, "convert", "-q", "-f", "raw", "-O", qemu, "-o", options, raw, path)
	}
	return n.uploaded(t, glance, path)
}

// uploaded gives the image service a file as an image of the format.
func (n *node) uploaded(t *testing.T, format, path string) imageRecord {
	t.Helper()
	r, err := n.glance.Create("project", image.Record{"name": format, "disk_format": format, "container_format": "bare", "visibility": "public"})
	if err != nil {
		t.Fatal(err)
	}
	n.upload(t, r.ID(), path)
	record, err := n.cloud.Images().Get(within(t, patience), identity(nil), r.ID())
	if err != nil {
		t.Fatal(err)
	}
	return recordOf(record)
}

// upload gives the image service a file as the image's data.
func (n *node) upload(t *testing.T, id, path string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if err := n.cloud.Images().Upload(within(t, patience), identity(nil), id, cloud.Upload{Body: f, Size: st.Size()}); err != nil {
		t.Fatal(err)
	}
}

// building is the making of a guest from the image.
func (n *node) building(r imageRecord) *spawn {
	const uuid = "0fba2a70-9a8b-4f2b-a38b-6b0a8f1d6a3b"
	s := &spawn{task: n.ownTask("build", uuid, rpc.AdminContext()), image: r}
	s.inst, s.entry = nova.As[nova.Instance](n.newInstance(uuid)), n.board.Begin(s.describe())
	return s
}

// made is what qemu-img says of a disk.
type made struct {
	Format  string `json:"format"`
	Size    int64  `json:"virtual-size"`
	Backing string `json:"backing-filename-format"`
}

func madeAt(t *testing.T, path string) made {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "qemu-img", "info", "--output=json", path).Output()
	if err != nil {
		t.Fatal(err)
	}
	var m made
	if err := json.Unmarshal(out, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// startsLike reports whether the disk begins with what boots.
func startsLike(t *testing.T, path, format string) bool {
	t.Helper()
	want, got := filepath.Join(t.TempDir(), "want"), filepath.Join(t.TempDir(), "got")
	if err := virt.WriteBootDisk(want); err != nil {
		t.Fatal(err)
	}
	qemuImg(t, "convert", "-q", "-f", format, "-O", "raw", path, got)
	a, err := os.ReadFile(want)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, len(a))
	f, err := os.Open(got)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.ReadAt(b, 0); err != nil {
		t.Fatal(err)
	}
	return cmp.Equal(a, b)
}

// TestRootDisks makes the root disk from images of every format, for both kinds of disks, with the cache keeping images
// raw and as they came.
func TestRootDisks(t *testing.T) {
	if testing.Short() {
		t.Skip("minutes under the race detector")
	}
	const size = gib // of the flavor
	for _, c := range []struct {
		kind, keep string
		want       map[string]made // by the image's format
	}{
		{"qcow2", "true", map[string]made{
			"raw": {"qcow2", size, "raw"}, "qcow2": {"qcow2", size, "raw"}, "vmdk": {"qcow2", size, "raw"},
			"vhd": {"qcow2", size, "raw"}, "vdi": {"qcow2", size, "raw"}, "ami": {"qcow2", size, "raw"},
		}},
		{"qcow2", "false", map[string]made{"raw": {"qcow2", size, "raw"}, "qcow2": {"qcow2", size, "qcow2"}}},
		{"raw", "true", map[string]made{
			"raw": {"raw", size, ""}, "qcow2": {"raw", size, ""}, "vmdk": {"raw", size, ""}, "vhd": {"raw", size, ""}, "vdi": {"raw", size, ""},
		}},
		{"raw", "false", map[string]made{"raw": {"raw", size, ""}, "qcow2": {"qcow2", size, ""}}},
	} {
		t.Run("images_type "+c.kind+", force_raw_images "+c.keep, func(t *testing.T) {
			n := newNode(t, map[string]string{"libvirt.images_type": c.kind, "DEFAULT.force_raw_images": c.keep, "compute.vmdk_allowed_types": "streamOptimized"})
			for format, want := range c.want {
				qemu := map[string]string{"vhd": "vpc", "ami": "raw"}[format]
				if qemu == "" {
					qemu = format
				}
				s := n.building(n.imageOf(t, format, qemu))
				path := filepath.Join(t.TempDir(), guest.RootDisk)
				if err := s.makeRoot(within(t, patience), path); err != nil {
					t.Errorf("%s: %v", format, err)
					continue
				}
				if diff := cmp.Diff(want, madeAt(t, path)); diff != "" {
					t.Errorf("%s:\n%s", format, diff)
				}
				if recorded, err := disk.RecordedFormat(path); err != nil || recorded != want.Format {
					t.Errorf("%s: recorded as %q, %v", format, recorded, err)
				}
				if !startsLike(t, path, want.Format) {
					t.Errorf("%s: the disk is not the image", format)
				}
			}
		})
	}
}

// TestISORoot makes the root disk from the image of a CD-ROM.
func TestISORoot(t *testing.T) {
	n := newNode(t, nil)
	iso := filepath.Join(t.TempDir(), "cd.iso")
	if err := (configdrive.Drive{Label: "install", Files: map[string][]byte{"readme": []byte("read me")}}).WriteFile(iso); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), guest.RootDisk)
	if err := n.building(n.uploaded(t, "iso", iso)).makeRoot(within(t, patience), path); err != nil {
		t.Fatal(err)
	}
	if got := madeAt(t, path); got.Format != "qcow2" || got.Backing != "raw" {
		t.Errorf("made %+v", got)
	}
	flat := filepath.Join(t.TempDir(), "flat")
	qemuImg(t, "convert", "-q", "-f", "qcow2", "-O", "raw", path, flat)
	want, err := os.ReadFile(iso)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(flat); err != nil || !bytes.HasPrefix(got, want) {
		t.Errorf("the disk is not the CD: %v", err)
	}
}

// TestKernelAndRAMDisk brings what a guest without a boot loader is started with, once.
func TestKernelAndRAMDisk(t *testing.T) {
	n := newNode(t, nil)
	dir, files := t.TempDir(), map[string]string{"kernel": "aki", "ramdisk": "ari"}
	s := n.building(imageRecord{})
	for name, format := range files {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte("this is the "+name), 0o600); err != nil {
			t.Fatal(err)
		}
		s.inst.Set(name+"_id", n.uploaded(t, format, path).ID)
	}
	for range 2 {
		if err := s.makeKernel(within(t, patience), dir); err != nil {
			t.Fatal(err)
		}
		for name := range files {
			if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != "this is the "+name {
				t.Errorf("%s: %q, %v", name, got, err)
			}
		}
	}
	s.inst.Set("kernel_id", "99999999-9999-9999-9999-999999999999")
	if err := s.makeKernel(within(t, patience), t.TempDir()); !nova.Is(err, "ImageNotFound") {
		t.Errorf("an image that is not there: %v", err)
	}
}
