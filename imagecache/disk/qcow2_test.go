package disk

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestEmptyImageIsQEMUs compares what is written here with what qemu-img writes.
func TestEmptyImageIsQEMUs(t *testing.T) {
	newTool(t) // skips without qemu-img
	base := rawFile(t, 1<<20, map[int64]string{0: "base"})
	for _, size := range []int64{1 << 20, 1<<30 + 5, 20 << 30, 64 << 40} {
		for _, cluster := range []int64{0, 512, 4096, 2 << 20} {
			for _, backing := range []string{"", base} {
				t.Run(fmt.Sprintf("%d in %d over %q", size, cluster, filepath.Base(backing)), func(t *testing.T) {
					ours := filepath.Join(t.TempDir(), "ours")
					if err := os.WriteFile(ours, nil, 0o644); err != nil {
						t.Fatal(err)
					}
					q := emptyQCOW2{size: size, cluster: cluster, backing: backing}
					args := []string{"qemu-img", "create", "-q", "-f", "qcow2"}
					if backing != "" {
						q.backingFormat = "raw"
						args = append(args, "-b", backing, "-F", "raw")
					}
					if err := q.write(ours); err != nil {
						t.Fatal(err)
					}
					qemu(t, "qemu-img", "check", "-q", "-f", "qcow2", ours)
					got := about(t, ours)
					theirs := filepath.Join(t.TempDir(), "theirs")
					qemu(t, append(args, "-o", fmt.Sprintf("cluster_size=%v", got["cluster-size"]), theirs, fmt.Sprint(size))...)
					if diff := cmp.Diff(about(t, theirs), got); diff != "" {
						t.Error(diff)
					}
				})
			}
		}
	}
}

// about is what qemu-img says of an image, but for its name and place on disk.
func about(t *testing.T, path string) map[string]any {
	t.Helper()
	var m map[string]any
	d := json.NewDecoder(bytes.NewReader(qemu(t, "qemu-img", "info", "-f", "qcow2", "--output=json", path)))
	d.UseNumber()
	if err := d.Decode(&m); err != nil {
		t.Fatal(err)
	}
	delete(m, "filename")
	delete(m, "actual-size")
	return m
}

func TestEmptyImageTakesData(t *testing.T) {
	tool := newTool(t)
	base := rawFile(t, 8<<20, map[int64]string{0: "base", 4 << 20: "more"})
	path := filepath.Join(t.TempDir(), "disk")
	if err := tool.CreateOverlay(context.Background(), Overlay{Path: path, Base: base, BaseFormat: "raw", Size: 40 << 30}); err != nil {
		t.Fatal(err)
	}
	for _, at := range []string{"0", "5M", "1G", "40959M"} {
		qemu(t, "qemu-io", "-f", "qcow2", "-c", "write -P 9 "+at+" 64k", path)
	}
	qemu(t, "qemu-io", "-f", "qcow2", "-c", "read -P 9 40959M 64k", "-c", "read -P 0 2G 64k", path)
	qemu(t, "qemu-img", "check", "-q", "-f", "qcow2", path)
	if out := qemu(t, "qemu-io", "-f", "qcow2", "-c", "read -v 4M 4", path); !bytes.Contains(out, []byte("more")) {
		t.Errorf("the base is not seen: %s", out)
	}
}

func TestEmptyImageRefused(t *testing.T) {
	path := rawFile(t, 0, nil)
	for name, q := range map[string]emptyQCOW2{
		"too large":     {size: 1 << 62},
		"name too long": {size: 1 << 20, backing: "/" + strings.Repeat("x", 1023), backingFormat: "raw"},
	} {
		if err := q.write(path); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
