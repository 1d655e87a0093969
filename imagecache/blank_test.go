package imagecache

import (
	"bytes"
	"context"
	"path/filepath"
	"testing"
)

// Names and file systems as nova/privsep/fs.py gives them; the hashes are of "vfat", "ext4" and the command.
func TestEphemeralNames(t *testing.T) {
	cmd := map[string]string{"linux": "mkfs.ext3 -L %(fs_label)s %(target)s"}
	for _, tc := range []struct {
		name         string
		e            Ephemeral
		file, format string
	}{
		{"nothing known", Ephemeral{SizeGiB: 1}, "ephemeral_1_0706d66", "vfat"},
		{"linux", Ephemeral{SizeGiB: 20, OSType: "linux"}, "ephemeral_20_0706d66", "ext4"},
		{"windows", Ephemeral{SizeGiB: 1, OSType: "windows"}, "ephemeral_1_0706d66", "ntfs"},
		{"configured", Ephemeral{SizeGiB: 1, OSType: "linux", DefaultFormat: "ext4"}, "ephemeral_1_40d1d2c", "ext4"},
		{"asked for", Ephemeral{SizeGiB: 1, DefaultFormat: "ext4", GuestFormat: "xfs"}, "ephemeral_1_40d1d2c", "xfs"},
		{"by command", Ephemeral{SizeGiB: 1, OSType: "linux", Commands: cmd}, "ephemeral_1_a53d6b1", "ext4"},
		{"command of another system", Ephemeral{SizeGiB: 1, OSType: "windows", Commands: cmd}, "ephemeral_1_0706d66", "ntfs"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := tc.e.Name(); got != tc.file {
				t.Errorf("name %s, want %s", got, tc.file)
			}
			if got := tc.e.format(); got != tc.format {
				t.Errorf("file system %s, want %s", got, tc.format)
			}
		})
	}
}

func TestEphemeral(t *testing.T) {
	c := newCache(t, t.TempDir())
	get := func(e Ephemeral) *Base {
		t.Helper()
		b, err := c.Ephemeral(context.Background(), e)
		if err != nil {
			t.Fatal(err)
		}
		b.Release()
		return b
	}
	fat := get(Ephemeral{SizeGiB: 1, Label: "ephemeral0"})
	if again := get(Ephemeral{SizeGiB: 1, Label: "ephemeral1"}); again.Path != fat.Path {
		t.Errorf("made twice: %s, %s", fat.Path, again.Path)
	}
	// Nova's name says nothing of the os_type; a guest must not get the other one's file system for that.
	ext := get(Ephemeral{SizeGiB: 1, Label: "ephemeral0", OSType: "linux"})
	for b, want := range map[*Base]string{fat: "fat", ext: "ext"} {
		info, err := detectFile(b.Path)
		if err != nil || info.Content != want || b.VirtualSize != 1<<30 || b.Format != "raw" {
			t.Errorf("%s holds %q, %v", b.Path, info.Content, err)
		}
	}
	if got := filepath.Base(ext.Path); got != "ephemeral_1_0706d66-ext4" {
		t.Errorf("made as %s", got)
	}
	if _, err := c.Ephemeral(context.Background(), Ephemeral{}); err == nil {
		t.Error("a disk of nothing was made")
	}
}

func TestEphemeralByCommand(t *testing.T) {
	c := newCache(t, t.TempDir())
	b, err := c.Ephemeral(context.Background(), Ephemeral{SizeGiB: 1, Label: "data", OSType: "linux",
		Commands: map[string]string{"linux": "mkfs.ext4 -q -F -L %(fs_label)s %(target)s"}})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Release()
	if !bytes.Contains(mustRead(t, b.Path)[:4096], []byte("data\x00")) {
		t.Error("the label is missing")
	}
}

func TestSwap(t *testing.T) {
	c := newCache(t, t.TempDir())
	b, err := c.Swap(context.Background(), 64)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Release()
	info, err := detectFile(b.Path)
	if err != nil || info.Content != "swap" || b.VirtualSize != 64<<20 || filepath.Base(b.Path) != "swap_64" {
		t.Errorf("got %+v, %q, %v", b, info.Content, err)
	}
}
