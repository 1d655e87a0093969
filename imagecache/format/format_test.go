package format

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func detect(t *testing.T, b []byte) Info {
	t.Helper()
	info, err := Detect(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func TestDetectRealImages(t *testing.T) {
	const size = 8 << 20
	for name, want := range map[string]Info{
		"qcow2-v2":       {Format: QCOW2, Variant: "v2", VirtualSize: size, ClusterSize: 65536, Compression: "zlib"},
		"qcow2-v3":       {Format: QCOW2, Variant: "v3", VirtualSize: size, ClusterSize: 65536, Compression: "zlib"},
		"qcow2-zstd":     {Format: QCOW2, Variant: "v3", VirtualSize: size, ClusterSize: 65536, Compression: "zstd"},
		"qcow2-extended": {Format: QCOW2, Variant: "v3", VirtualSize: size, ClusterSize: 65536, Compression: "zlib"},
		"qcow2-backing": {Format: QCOW2, Variant: "v3", VirtualSize: size, ClusterSize: 65536, Compression: "zlib",
			References: []Reference{{Kind: Backing, Path: "/etc/passwd", Format: "raw"}}},
		"qcow2-encrypted": {Format: QCOW2, Variant: "v3", VirtualSize: size, ClusterSize: 65536, Compression: "zlib",
			Encrypted: true},
		"qcow": {Format: QCOW1, VirtualSize: size, Faults: []string{"format not accepted"}},
		"qed": {Format: QED, VirtualSize: size, ClusterSize: 65536, Faults: []string{"format not accepted"},
			References: []Reference{{Kind: Backing, Path: "/etc/passwd"}}},
		"vmdk-monolithicSparse": {Format: VMDK, Variant: VMDKMonolithicSparse, VirtualSize: size, ClusterSize: 65536},
		"vmdk-streamOptimized": {Format: VMDK, Variant: VMDKStreamOptimized, VirtualSize: size, ClusterSize: 65536,
			Compression: "deflate"},
		"vmdk-monolithicFlat": {Format: VMDK, Variant: "monolithicFlat", VirtualSize: 325,
			Faults: []string{"it is a bare descriptor"}, References: []Reference{{Kind: Extent, Path: "image-flat.vmdk", Format: "flat"}}},
		"vhd-dynamic":  {Format: VHD, Variant: "dynamic", VirtualSize: 8390656, ClusterSize: 2 << 20},
		"vhd-fixed":    {Format: VHD, Variant: "fixed", VirtualSize: 1079296},
		"vhdx-dynamic": {Format: VHDX, Variant: "dynamic", VirtualSize: size, ClusterSize: 8 << 20},
		"vdi-dynamic":  {Format: VDI, Variant: "dynamic", VirtualSize: size, ClusterSize: 1 << 20},
		"vdi-fixed":    {Format: VDI, Variant: "fixed", VirtualSize: 1 << 20, ClusterSize: 1 << 20},
		"parallels":    {Format: Parallels, VirtualSize: 1048576, Faults: []string{"format not accepted"}},
	} {
		t.Run(name, func(t *testing.T) {
			img := unpack(seed(t, name))
			got, err := Detect(img, img.size)
			if err != nil {
				t.Fatal(err)
			}
			if name == "vmdk-monolithicFlat" {
				want.VirtualSize = got.VirtualSize // the descriptor's length
			}
			if name == "parallels" {
				want.VirtualSize = img.size
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			if img.read > 1<<20 {
				t.Errorf("%d bytes were read", img.read)
			}
		})
	}
}

func TestDetectReferencesAndSecrets(t *testing.T) {
	data := unpack(seed(t, "qcow2-data-file"))
	info, err := Detect(data, data.size)
	if err != nil {
		t.Fatal(err)
	}
	if len(info.References) != 1 || info.References[0].Kind != DataFile || info.References[0].Path != "other" {
		t.Errorf("got %+v", info.References)
	}
	luks := unpack(seed(t, "luks"))
	info, err = Detect(luks, luks.size)
	if err != nil || info.Format != LUKS || !info.Encrypted || info.Variant != "v1" {
		t.Errorf("got %+v, %v", info, err)
	}
}

func TestDetectRaw(t *testing.T) {
	boot := func(change func([]byte)) []byte {
		b := make([]byte, 8192)
		b[510], b[511] = 0x55, 0xaa
		change(b)
		return b
	}
	at := func(off int, s string) []byte {
		b := make([]byte, off+len(s)+1)
		copy(b[off:], s)
		return b
	}
	for _, tc := range []struct {
		name, partitions, content string
		b                         []byte
	}{
		{"nothing", "", "", nil},
		{"zeros", "", "", make([]byte, 8192)},
		{"mbr", "mbr", "", boot(func(b []byte) { b[450] = 0x83 })},
		{"mbr, active", "mbr", "", boot(func(b []byte) { b[446], b[450] = 0x80, 0x83 })},
		{"boot sector without partitions", "", "", boot(func([]byte) {})},
		{"boot sector of a file system", "", "fat", boot(func(b []byte) { b[446] = 0x11; copy(b[0x36:], "FAT16") })},
		{"gpt", "gpt", "", boot(func(b []byte) { copy(b[512:], "EFI PART") })},
		{"gpt with sectors of 4 KiB", "gpt", "", boot(func(b []byte) { copy(b[4096:], "EFI PART") })},
		{"kernel", "", "linux kernel", at(0x202, "HdrS")},
		{"ramdisk", "", "cpio", at(0, "070701")},
		{"ext", "", "ext", at(0x438, "\x53\xef")},
		{"swap", "", "swap", at(4086, "SWAPSPACE2")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			want := Info{Format: Raw, VirtualSize: int64(len(tc.b)), Partitions: tc.partitions, Content: tc.content}
			if diff := cmp.Diff(want, detect(t, tc.b)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDetectISO(t *testing.T) {
	for _, tc := range []struct {
		name, mark, variant string
		blocks              uint32
		faults              []string
	}{
		{"9660", "\x01CD001", "9660", 20, nil},
		{"9660 cut short", "\x01CD001", "9660", 21, []string{"it is cut short"}},
		{"udf", "\x00BEA01", "udf", 0, nil},
		{"udf bridge", "\x00NSR02", "udf", 0, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := make([]byte, 20*2048)
			copy(b[32768:], tc.mark)
			binary.LittleEndian.PutUint32(b[32768+80:], tc.blocks)
			binary.LittleEndian.PutUint16(b[32768+128:], 2048)
			got := detect(t, b)
			if got.Format != ISO || got.Variant != tc.variant || !slices.Equal(got.Faults, tc.faults) {
				t.Errorf("got %+v", got)
			}
		})
	}
}

// TestStreamedVMDK is what OVF tools write: a header that leaves the place of the grain directory to a footer.
func TestStreamedVMDK(t *testing.T) {
	img := unpack(seed(t, "vmdk-streamOptimized")).bytes()
	build := func(change func(footer []byte)) []byte {
		b := slices.Clone(img)
		footer := slices.Clone(b[:512])
		for i := range 8 {
			b[56+i] = 0xff
		}
		change(footer)
		return append(append(b, footer...), make([]byte, 512)...)
	}
	for _, tc := range []struct {
		name   string
		change func([]byte)
		fault  string
	}{
		{"sound", func([]byte) {}, ""},
		{"no footer", func(f []byte) { f[0] = 0 }, "footer is missing"},
		{"another descriptor", func(f []byte) { f[28] = 77 }, "contradicts"},
		{"another capacity", func(f []byte) { f[12] ^= 1 }, "contradicts"},
		{"directory nowhere", func(f []byte) { f[62] = 1 }, "outside the file"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := strings.Join(detect(t, build(tc.change)).Faults, "; ")
			if !strings.Contains(got, tc.fault) || (tc.fault == "") != (got == "") {
				t.Errorf("faults %q", got)
			}
		})
	}
}

func TestDifferencingVHD(t *testing.T) {
	img := unpack(seed(t, "vhd-dynamic")).bytes()
	binary.BigEndian.PutUint32(img[60:], vhdDiffering)
	binary.BigEndian.PutUint32(img[64:], vhdChecksum(img[:512], 64))
	header := img[512:1536]
	for i, c := range "C:\\parent" {
		binary.BigEndian.PutUint16(header[64+2*i:], uint16(c))
	}
	binary.BigEndian.PutUint32(header[36:], vhdChecksum(header, 36))
	got := detect(t, img)
	if want := []Reference{{Kind: Parent, Path: `C:\parent`, Format: "vhd"}}; !slices.Equal(got.References, want) {
		t.Errorf("got %+v", got)
	}
}

func TestAmbiguous(t *testing.T) {
	img := unpack(seed(t, "qcow2-v3")).bytes()
	copy(img[32768:], "\x01CD001\x01")
	_, err := Detect(bytes.NewReader(img), int64(len(img)))
	var amb *ErrAmbiguous
	if !errors.As(err, &amb) || !slices.Equal(amb.Formats, []Format{QCOW2, ISO}) {
		t.Errorf("got %v", err)
	}
}

func TestReadErrorsAreNotAVerdict(t *testing.T) {
	if _, err := Detect(failing{}, 1<<20); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v", err)
	}
	if _, err := Allocated(failing{}, 1<<20); err == nil {
		t.Error("no error")
	}
}

type failing struct{}

func (failing) ReadAt([]byte, int64) (int, error) { return 0, io.ErrClosedPipe }

func TestSafe(t *testing.T) {
	if err := Safe(Info{Format: Raw, VirtualSize: 1 << 40}); err != nil {
		t.Error(err)
	}
	err := Safe(Info{Format: QCOW2, VirtualSize: MaxVirtualSize + 1, Encrypted: true, Snapshots: 2,
		References: []Reference{{Kind: Backing, Path: "/a\nb"}}, Faults: []string{"it is odd"}})
	var unsafe *ErrUnsafe
	if !errors.As(err, &unsafe) || len(unsafe.Reasons) != 5 {
		t.Fatalf("got %v", err)
	}
	if strings.Contains(err.Error(), "\n") {
		t.Error("a name from the image breaks the line")
	}
}

func TestQEMUNames(t *testing.T) {
	for f, want := range map[Format]string{Raw: "raw", QCOW2: "qcow2", VHD: "vpc", ISO: "raw", VHDX: "vhdx", VMDK: "vmdk"} {
		if got := f.QEMU(); got != want {
			t.Errorf("%s is %s, want %s", f, got, want)
		}
	}
}
