package disk

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// BenchmarkOverlay is the disk step of a boot from a cached image: an overlay, synced, with its name.
func BenchmarkOverlay(b *testing.B) {
	tool := newTool(b)
	base := rawFile(b, 1<<30, nil)
	dir := b.TempDir()
	n := 0
	for b.Loop() {
		o := Overlay{Path: filepath.Join(dir, fmt.Sprint(n)), Base: base, BaseFormat: "raw", Size: 20 << 30}
		if err := tool.CreateOverlay(context.Background(), o); err != nil {
			b.Fatal(err)
		}
		n++
	}
}

// benchDisk is a sparse disk of 2 GiB with 512 MiB of data that does not compress away.
func benchDisk(b *testing.B) string {
	b.Helper()
	path := filepath.Join(b.TempDir(), "disk.raw")
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(2 << 30); err != nil {
		b.Fatal(err)
	}
	block := make([]byte, 2<<20)
	for off := int64(0); off < 2<<30; off += 8 << 20 {
		for i := range block {
			block[i] = byte(int64(i)*off>>20) | 1
		}
		if _, err := f.WriteAt(block, off); err != nil {
			b.Fatal(err)
		}
	}
	return path
}

// BenchmarkConvert converts a qcow2 image to raw; compare with BenchmarkCP, which is cp --sparse and a sync of the
// same data.
func BenchmarkConvert(b *testing.B) {
	tool := newTool(b)
	raw := benchDisk(b)
	image := filepath.Join(b.TempDir(), "image.qcow2")
	qemu(b, "qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, image)
	out := filepath.Join(b.TempDir(), "out")
	b.SetBytes(512 << 20)
	for b.Loop() {
		c := Convert{Src: image, SrcFormat: "qcow2", Dst: out, DstFormat: "raw"}
		if err := tool.Convert(context.Background(), c); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCopy is a flat disk made from a raw base.
func BenchmarkCopy(b *testing.B) {
	tool := newTool(b)
	raw := benchDisk(b)
	out := filepath.Join(b.TempDir(), "out")
	b.SetBytes(512 << 20)
	for b.Loop() {
		if err := tool.Copy(context.Background(), Copy{Src: raw, Dst: out, Replace: true}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCP(b *testing.B) {
	raw := benchDisk(b)
	out := filepath.Join(b.TempDir(), "out")
	b.SetBytes(512 << 20)
	for b.Loop() {
		if err := exec.Command("sh", "-c", `rm -f "$2" && cp --sparse=auto "$1" "$2" && sync "$2"`, "sh", raw, out).Run(); err != nil {
			b.Fatal(err)
		}
	}
}
