package disk

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"bolide/imagecache/format"

	"github.com/sirupsen/logrus"
)

func newTool(t testing.TB, change ...func(*Options)) *Tool {
	t.Helper()
	if _, err := exec.LookPath("qemu-img"); err != nil {
		t.Skip("qemu-img is not installed")
	}
	log := logrus.New()
	log.SetOutput(io.Discard)
	o := Options{Log: logrus.NewEntry(log)}
	for _, c := range change {
		c(&o)
	}
	tool, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return tool
}

// qemu runs a tool the plain way, to make and to judge files independently of the package.
func qemu(t testing.TB, argv ...string) []byte {
	t.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", argv, err, out)
	}
	return out
}

// info is what an unconfined qemu-img says.
func info(t testing.TB, path, format string) Info {
	t.Helper()
	var i Info
	if err := json.Unmarshal(qemu(t, "qemu-img", "info", "-f", format, "--output=json", path), &i); err != nil {
		t.Fatal(err)
	}
	return i
}

func rawFile(t testing.TB, size int64, content map[int64]string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "raw")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	for off, s := range content {
		if _, err := f.WriteAt([]byte(s), off); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

func TestOverlay(t *testing.T) {
	tool := newTool(t)
	ctx := context.Background()
	raw := rawFile(t, 1<<20, map[int64]string{0: "first", 1<<20 - 4: "last"})
	small := filepath.Join(t.TempDir(), "base.qcow2")
	qemu(t, "qemu-img", "convert", "-f", "raw", "-O", "qcow2", "-o", "cluster_size=4k", raw, small)

	for _, tc := range []struct {
		name, base, format string
		size               int64
		cluster            int64
		wantSize           int64
	}{
		{"raw base", raw, "raw", 1 << 30, 65536, 1 << 30},
		{"size of the base", raw, "raw", 0, 65536, 1 << 20},
		{"qcow2 base keeps its cluster size", small, "qcow2", 1 << 30, 4096, 1 << 30},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := Overlay{Path: filepath.Join(t.TempDir(), "disk"), Base: tc.base, BaseFormat: tc.format, Size: tc.size}
			for range 2 { // a repetition finds it done
				if err := tool.CreateOverlay(ctx, o); err != nil {
					t.Fatal(err)
				}
			}
			got := info(t, o.Path, "qcow2")
			if got.Backing != tc.base || got.BackingFormat != tc.format || got.VirtualSize != tc.wantSize ||
				got.ClusterSize != tc.cluster {
				t.Errorf("got %+v", got)
			}
			qemu(t, "qemu-img", "check", "-q", "-f", "qcow2", o.Path)
			if left, _ := filepath.Glob(o.Path + ".*"); left != nil {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func TestOverlayRefused(t *testing.T) {
	tool := newTool(t)
	ctx := context.Background()
	dir := t.TempDir()
	raw := rawFile(t, 2<<20, nil)
	backed := filepath.Join(dir, "backed")
	qemu(t, "qemu-img", "create", "-q", "-f", "qcow2", "-b", raw, "-F", "raw", backed)
	taken := filepath.Join(dir, "taken")
	qemu(t, "qemu-img", "create", "-q", "-f", "qcow2", taken, "4M")

	var large *ErrTooLarge
	err := tool.CreateOverlay(ctx, Overlay{Path: filepath.Join(dir, "a"), Base: raw, BaseFormat: "raw", Size: 1 << 20})
	if !errors.As(err, &large) || large.ImageSize != 2<<20 || large.DiskSize != 1<<20 {
		t.Errorf("base larger than the disk: %v", err)
	}
	var unsafe *format.ErrUnsafe
	err = tool.CreateOverlay(ctx, Overlay{Path: filepath.Join(dir, "b"), Base: backed, BaseFormat: "qcow2"})
	if !errors.As(err, &unsafe) {
		t.Errorf("base with a backing file: %v", err)
	}
	var exists *ErrExists
	err = tool.CreateOverlay(ctx, Overlay{Path: taken, Base: raw, BaseFormat: "raw"})
	if !errors.As(err, &exists) {
		t.Errorf("name taken: %v", err)
	}
	var format *ErrFormat
	err = tool.CreateOverlay(ctx, Overlay{Path: filepath.Join(dir, "c"), Base: raw})
	if !errors.As(err, &format) {
		t.Errorf("no format: %v", err)
	}
	for _, name := range []string{"a", "b", "c"} {
		if left, _ := filepath.Glob(filepath.Join(dir, name+"*")); name != "b" && left != nil {
			t.Errorf("left behind: %v", left)
		}
	}
}

func TestResize(t *testing.T) {
	tool := newTool(t)
	ctx := context.Background()
	raw := rawFile(t, 1<<20, nil)
	overlay := filepath.Join(t.TempDir(), "disk")
	if err := tool.CreateOverlay(ctx, Overlay{Path: overlay, Base: raw, BaseFormat: "raw"}); err != nil {
		t.Fatal(err)
	}
	if err := tool.Resize(ctx, overlay, "qcow2", 8<<20); err != nil {
		t.Fatal(err)
	}
	if got := info(t, overlay, "qcow2").VirtualSize; got != 8<<20 {
		t.Errorf("grown to %d", got)
	}
	var shrink *ErrShrink
	if err := tool.Resize(ctx, overlay, "qcow2", 1<<20); !errors.As(err, &shrink) {
		t.Errorf("shrinking: %v", err)
	}
}

// TestResizeRawWithForeignHeader is CVE-2026-24708: a guest writes a qcow2 header to its raw disk and asks for a
// resize.
func TestResizeRawWithForeignHeader(t *testing.T) {
	tool := newTool(t)
	ctx := context.Background()
	victim := rawFile(t, 1<<20, map[int64]string{0: "of the host"})
	bait := filepath.Join(t.TempDir(), "disk")
	qemu(t, "qemu-img", "create", "-q", "-f", "qcow2", "-b", victim, "-F", "raw", bait, "64M")
	before, err := os.ReadFile(bait)
	if err != nil {
		t.Fatal(err)
	}
	if err := tool.Resize(ctx, bait, "raw", 2<<20); err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile(bait)
	if err != nil {
		t.Fatal(err)
	}
	if len(after) != 2<<20 || string(after[:len(before)]) != string(before) {
		t.Errorf("the disk was read as something else than raw: %d bytes", len(after))
	}
}

func TestConvertDoesNotFollowReferences(t *testing.T) {
	tool := newTool(t)
	secret := rawFile(t, 1<<20, map[int64]string{0: "secret"})
	bait := filepath.Join(t.TempDir(), "bait")
	qemu(t, "qemu-img", "create", "-q", "-f", "qcow2", "-b", secret, "-F", "raw", bait)
	out := filepath.Join(t.TempDir(), "out")
	if err := tool.Convert(context.Background(), Convert{Src: bait, SrcFormat: "qcow2", Dst: out, DstFormat: "raw"}); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if string(got[:6]) == "secret" {
		t.Error("the backing file was read")
	}
}

func TestExtractAndFlatten(t *testing.T) {
	tool := newTool(t)
	ctx := context.Background()
	base := rawFile(t, 4<<20, map[int64]string{0: "from the base"})
	dir := t.TempDir()
	disk := filepath.Join(dir, "disk")
	if err := tool.CreateOverlay(ctx, Overlay{Path: disk, Base: base, BaseFormat: "raw", Size: 16 << 20}); err != nil {
		t.Fatal(err)
	}
	qemu(t, "qemu-io", "-f", "qcow2", "-c", "write -P 7 8M 64k", disk)
	want := filepath.Join(dir, "want")
	qemu(t, "qemu-img", "convert", "-f", "qcow2", "-O", "raw", disk, want)

	snap := filepath.Join(dir, "snap")
	c := Convert{Src: disk, SrcFormat: "qcow2", Dst: snap, DstFormat: "qcow2", Compress: true}
	if err := tool.Extract(ctx, c); err != nil {
		t.Fatal(err)
	}
	qemu(t, "qemu-img", "compare", "-f", "qcow2", "-F", "raw", snap, want)
	if got := info(t, snap, "qcow2"); got.Backing != "" {
		t.Errorf("snapshot rests on %s", got.Backing)
	}
	if err := tool.Flatten(ctx, disk); err != nil {
		t.Fatal(err)
	}
	qemu(t, "qemu-img", "compare", "-f", "qcow2", "-F", "raw", disk, want)
	if got := info(t, disk, "qcow2"); got.Backing != "" {
		t.Errorf("flattened disk rests on %s", got.Backing)
	}
}

func TestRebaseAndCommit(t *testing.T) {
	tool := newTool(t)
	ctx := context.Background()
	dir := t.TempDir()
	one := rawFile(t, 4<<20, map[int64]string{0: "one"})
	two := rawFile(t, 4<<20, map[int64]string{0: "two"})
	disk, want := filepath.Join(dir, "disk"), filepath.Join(dir, "want")
	if err := tool.CreateOverlay(ctx, Overlay{Path: disk, Base: one, BaseFormat: "raw"}); err != nil {
		t.Fatal(err)
	}
	qemu(t, "qemu-img", "convert", "-f", "qcow2", "-O", "raw", disk, want)
	if err := tool.Rebase(ctx, Rebase{Path: disk, Base: two, BaseFormat: "raw"}); err != nil {
		t.Fatal(err)
	}
	qemu(t, "qemu-img", "compare", "-f", "qcow2", "-F", "raw", disk, want)
	if got := info(t, disk, "qcow2"); got.Backing != two || got.BackingFormat != "raw" {
		t.Errorf("rests on %s (%s)", got.Backing, got.BackingFormat)
	}
	if err := tool.Commit(ctx, disk); err != nil {
		t.Fatal(err)
	}
	qemu(t, "qemu-img", "compare", "-f", "raw", "-F", "raw", two, want)
	if err := tool.Rebase(ctx, Rebase{Path: disk, Base: one, BaseFormat: "raw", SameContent: true}); err != nil {
		t.Fatal(err)
	}
	if got := info(t, disk, "qcow2"); got.Backing != one {
		t.Errorf("rests on %s", got.Backing)
	}
}

func TestCopyKeepsHoles(t *testing.T) {
	tool := newTool(t)
	src := rawFile(t, 64<<20, map[int64]string{1 << 20: "data", 63 << 20: "more"})
	dst := filepath.Join(t.TempDir(), "copy")
	if err := tool.Copy(context.Background(), Copy{Src: src, Dst: dst, Size: 128 << 20}); err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(dst)
	if err != nil {
		t.Fatal(err)
	}
	if st.Size() != 128<<20 {
		t.Errorf("size %d", st.Size())
	}
	if got := info(t, dst, "raw").ActualSize; got > 1<<20 {
		t.Errorf("%d bytes on disk for 8 bytes of data", got)
	}
	qemu(t, "cmp", "-n", "67108864", src, dst)
	var large *ErrTooLarge
	err = tool.Copy(context.Background(), Copy{Src: src, Dst: dst + "2", Size: 1 << 20})
	if !errors.As(err, &large) {
		t.Errorf("copy into a smaller disk: %v", err)
	}
}

func TestFileSystems(t *testing.T) {
	tool := newTool(t)
	for _, tc := range []struct {
		kind, content string
		size          int64
	}{{"ext4", "ext", 8 << 20}, {"vfat", "fat", 8 << 20}, {"swap", "swap", 8 << 20}} {
		t.Run(tc.kind, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "fs")
			fs := FileSystem{Path: path, Size: tc.size, Type: tc.kind, Label: "ephemeral0"}
			if err := tool.CreateFileSystem(context.Background(), fs); err != nil {
				t.Fatal(err)
			}
			got, err := inspect(path)
			if err != nil || got.err != nil {
				t.Fatal(err, got.err)
			}
			if got.Content != tc.content || got.fileSize != tc.size {
				t.Errorf("got %q of %d bytes", got.Content, got.fileSize)
			}
			if tc.kind != "swap" {
				if label := qemu(t, "blkid", "-p", "-o", "value", "-s", "LABEL", path); string(label) != "ephemeral0\n" &&
					string(label) != "EPHEMERAL0\n" {
					t.Errorf("label %q", label)
				}
			}
		})
	}
	if err := tool.CreateFileSystem(context.Background(), FileSystem{Path: "/x", Type: "zfs"}); err == nil {
		t.Error("unknown file system made")
	}
}

func TestRecordFormat(t *testing.T) {
	dir := t.TempDir()
	disk, swap := filepath.Join(dir, "disk"), filepath.Join(dir, "disk.swap")
	for range 2 {
		if err := errors.Join(RecordFormat(disk, "qcow2"), RecordFormat(swap, "raw")); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(filepath.Join(dir, "disk.info"))
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"` + disk + `": "qcow2", "` + swap + `": "raw"}` + "\n"; string(got) != want {
		t.Errorf("got  %swant %s", got, want)
	}
	if err := RecordFormat(disk, "raw"); err == nil {
		t.Error("a disk changed its format")
	}
	if f, err := RecordedFormat(swap); err != nil || f != "raw" {
		t.Errorf("recorded %q, %v", f, err)
	}
	if f, err := RecordedFormat(filepath.Join(dir, "other")); err != nil || f != "" {
		t.Errorf("recorded %q, %v", f, err)
	}
}

func TestPreallocate(t *testing.T) {
	tool := newTool(t, func(o *Options) { o.Preallocate = "space" })
	ctx := context.Background()
	base := rawFile(t, 1<<20, nil)
	dir := t.TempDir()
	overlay, empty, flat := filepath.Join(dir, "disk"), filepath.Join(dir, "disk.swap"), filepath.Join(dir, "flat")
	err := errors.Join(
		tool.CreateOverlay(ctx, Overlay{Path: overlay, Base: base, BaseFormat: "raw", Size: 4 << 20}),
		tool.CreateEmpty(ctx, Empty{Path: empty, Format: "raw", Size: 4 << 20}),
		tool.Copy(ctx, Copy{Src: base, Dst: flat, Size: 4 << 20}),
	)
	if err != nil {
		t.Fatal(err)
	}
	for path, format := range map[string]string{overlay: "qcow2", empty: "raw", flat: "raw"} {
		if got := info(t, path, format); got.ActualSize < 4<<20 || got.VirtualSize != 4<<20 {
			t.Errorf("%s takes %d bytes for %d", path, got.ActualSize, got.VirtualSize)
		}
	}
}

// TestSnapshotOfRawDiskWithForeignHeader is LP 1524274: the guest of a raw disk writes a qcow2 header that names a
// file of the host, and takes a snapshot.
func TestSnapshotOfRawDiskWithForeignHeader(t *testing.T) {
	tool := newTool(t)
	secret := rawFile(t, 1<<20, map[int64]string{0: "of the host"})
	dir := t.TempDir()
	disk, out := filepath.Join(dir, "disk"), filepath.Join(dir, "out")
	qemu(t, "qemu-img", "create", "-q", "-f", "qcow2", "-b", secret, "-F", "raw", disk)
	c := Convert{Src: disk, SrcFormat: "raw", Dst: out, DstFormat: "qcow2"}
	if err := tool.Extract(context.Background(), c); err != nil {
		t.Fatal(err)
	}
	qemu(t, "qemu-img", "compare", "-f", "raw", "-F", "qcow2", disk, out)
}

func TestChainRefused(t *testing.T) {
	dir := t.TempDir()
	one, two, bare := filepath.Join(dir, "one"), filepath.Join(dir, "two"), filepath.Join(dir, "bare")
	data := filepath.Join(dir, "data")
	qemu(t, "qemu-img", "create", "-q", "-f", "qcow2", "-u", "-b", two, "-F", "qcow2", one, "1M")
	qemu(t, "qemu-img", "create", "-q", "-f", "qcow2", "-u", "-b", one, "-F", "qcow2", two, "1M")
	qemu(t, "qemu-img", "create", "-q", "-f", "qcow2", "-u", "-b", "one", "-F", "qcow2", bare, "1M")
	qemu(t, "qemu-img", "create", "-q", "-f", "qcow2", "-o", "data_file="+filepath.Join(dir, "x"), data, "1M")
	for name, path := range map[string]string{"circle": one, "relative name": bare, "data file": data, "nothing": dir + "/none"} {
		if chain, err := Chain(path, "qcow2"); err == nil {
			t.Errorf("%s: %v", name, chain)
		}
	}
	if _, err := Chain(rawFile(t, 1<<20, nil), "qcow2"); err == nil {
		t.Error("raw stated qcow2 is followed")
	}
}
