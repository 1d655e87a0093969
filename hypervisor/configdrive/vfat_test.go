package configdrive

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// run runs another program on the drive.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	tool, err := exec.LookPath(name)
	if err != nil {
		if tool, err = exec.LookPath("/usr/sbin/" + name); err != nil {
			t.Skipf("%s is not installed", name)
		}
	}
	cmd := exec.CommandContext(t.Context(), tool, args...)
	cmd.Env = []string{"LC_ALL=C.UTF-8", "MTOOLS_SKIP_CHECK=1", "PATH=/usr/bin:/bin"}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", tool, args, err, out)
	}
	return string(out)
}

// TestOthersReadVFAT has the file system checked by fsck, and its files read by mtools.
func TestOthersReadVFAT(t *testing.T) {
	d := drive()
	d.Format = VFAT
	image := filepath.Join(t.TempDir(), "disk.config")
	if err := d.WriteFile(image); err != nil {
		t.Fatal(err)
	}
	run(t, "fsck.vfat", "-n", image)
	if label := run(t, "mlabel", "-s", "-i", image, "::"); !strings.Contains(label, "config-2") {
		t.Errorf("label: %s", label)
	}
	dir := t.TempDir()
	run(t, "mcopy", "-s", "-n", "-i", image, "::*", dir)
	got := map[string][]byte{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		got[name] = content
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(d.Files, got, cmp.Comparer(bytes.Equal)); diff != "" {
		t.Error(diff)
	}
}

func TestVFATIsOfItsSize(t *testing.T) {
	d := drive()
	d.Format = VFAT
	image := filepath.Join(t.TempDir(), "disk.config")
	if err := d.WriteFile(image); err != nil {
		t.Fatal(err)
	}
	var whole bytes.Buffer
	n, err := d.WriteTo(&whole)
	if err != nil || n != fatSize {
		t.Errorf("%d bytes, %v", n, err)
	}
	if file, err := os.ReadFile(image); err != nil || !bytes.Equal(file, whole.Bytes()) {
		t.Errorf("the file is another drive: %d bytes, %v", len(file), err)
	}
}

func TestRefusedVFAT(t *testing.T) {
	many := map[string][]byte{}
	for i := range 600 {
		many[strings.Repeat("x", 20)+string(rune('a'+i%26))+strings.Repeat("y", i/26)] = []byte("z")
	}
	for name, d := range map[string]Drive{
		"more than it holds":           {Files: map[string][]byte{"a": make([]byte, fatSize)}},
		"more names than its root":     {Files: many},
		"a label longer than it takes": {Label: "configuration", Files: map[string][]byte{"a": nil}},
	} {
		d.Format = VFAT
		if err := d.WriteFile(filepath.Join(t.TempDir(), "drive")); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
