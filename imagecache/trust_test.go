package imagecache

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// hostile is one image that must be refused, how it is made, and a word that the fault must say.
type hostile struct {
	name   string
	stated string // the image service's disk format
	reason string
	make   func(t *testing.T, dir string) string
}

// created makes an image with qemu-img create.
func created(args ...string) func(*testing.T, string) string {
	return func(t *testing.T, dir string) string {
		path := filepath.Join(dir, "image")
		args := append([]string(nil), args...)
		for i, a := range args {
			args[i] = strings.NewReplacer("DIR", dir, "PATH", path).Replace(a)
		}
		qemuImg(t, append([]string{"create", "-q"}, args...)...)
		return path
	}
}

// patched changes bytes of what make makes. Values are written big endian.
func patched(mk func(*testing.T, string) string, at int64, value any) func(*testing.T, string) string {
	return func(t *testing.T, dir string) string {
		path := mk(t, dir)
		var b bytes.Buffer
		if s, ok := value.(string); ok {
			b.WriteString(s)
		} else if err := binary.Write(&b, binary.BigEndian, value); err != nil {
			t.Fatal(err)
		}
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteAt(b.Bytes(), at); err != nil {
			t.Fatal(err)
		}
		return path
	}
}

func written(content string) func(*testing.T, string) string {
	return func(t *testing.T, dir string) string {
		path := filepath.Join(dir, "image")
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
}

func vmdkDescriptor(kind, extents string) string {
	return "# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\ncreateType=\"" + kind + "\"\n" + extents +
		"\nddb.adapterType = \"ide\"\n"
}

// sparseVMDK is a monolithicSparse image with another descriptor.
func sparseVMDK(descriptor string) func(*testing.T, string) string {
	plain := created("-f", "vmdk", "PATH", "8M")
	return func(t *testing.T, dir string) string {
		padded := descriptor + strings.Repeat("\x00", 20*512-len(descriptor))
		return patched(plain, 512, padded)(t, dir)
	}
}

var (
	qcow2Plain = created("-f", "qcow2", "PATH", "8M")
	rawPlain   = created("-f", "raw", "PATH", "8M")
)

// filled makes a qcow2 image whose first two clusters hold data.
func filled(t *testing.T, dir string) string {
	path := qcow2Plain(t, dir)
	if out, err := exec.Command("qemu-io", "-f", "qcow2", "-c", "write -P 1 0 1M", path).CombinedOutput(); err != nil {
		t.Fatalf("qemu-io: %v\n%s", err, out)
	}
	return path
}

func hostiles() []hostile {
	return []hostile{
		{"CVE-2011-3147, CVE-2015-5163: backing file", "qcow2", `backing file: "/etc/passwd"`,
			created("-f", "qcow2", "-u", "-b", "/etc/passwd", "-F", "raw", "PATH", "8M")},
		{"CVE-2011-3147: backing file, stated raw", "raw", "backing file",
			created("-f", "qcow2", "-u", "-b", "/etc/passwd", "-F", "raw", "PATH", "8M")},
		{"CVE-2013-2096, -4463, -4469: size near 2^63", "qcow2", "virtual size is impossible",
			patched(qcow2Plain, 24, uint64(1<<63-512))},
		{"size beyond 2^63", "qcow2", "virtual size is impossible", patched(qcow2Plain, 24, uint64(1<<64-1))},
		{"CVE-2014-0134, LP 1524274, 1548450: raw whose guest wrote a qcow2 header", "raw",
			"content is qcow2, the image service states raw", filled},
		{"LP 1449062: tables that exhaust the reader", "qcow2", "L1 table", patched(qcow2Plain, 36, uint32(1<<31))},
		{"CVE-2022-47951: vmdk with a flat extent", "vmdk", "bare descriptor",
			written(vmdkDescriptor("monolithicFlat", `RW 16384 FLAT "/etc/passwd" 0`))},
		{"CVE-2022-47951: the same inside a sparse header", "vmdk", `extent: "/etc/passwd"`,
			sparseVMDK(vmdkDescriptor("monolithicFlat", `RW 16384 FLAT "/etc/passwd" 0`))},
		{"CVE-2024-32498: data file", "qcow2", "data file",
			created("-f", "qcow2", "-o", "data_file=DIR/elsewhere", "PATH", "8M")},
		{"CVE-2024-32498: data file name without its flag", "qcow2", `data file: "/etc/passwd"`,
			patched(qcow2Plain, 112, "DATA\x00\x00\x00\x0b/etc/passwd\x00\x00\x00\x00\x00\x00")},
		{"CVE-2024-40767: vmdk stated raw", "raw", "bare descriptor",
			written(vmdkDescriptor("twoGbMaxExtentFlat", `RW 16384 FLAT "passwd" 0`))},
		{"CVE-2024-40767: raw stated vmdk", "vmdk", "content is raw", rawPlain},
		{"CVE-2024-40767: vmdk without capacity", "vmdk", "states no capacity",
			patched(sparseVMDK(vmdkDescriptor("monolithicSparse", `RW 16384 SPARSE "x.vmdk"`)), 12, uint64(0))},

		{"vmdk with an absolute extent", "vmdk", `extent: "/etc/passwd"`,
			sparseVMDK(vmdkDescriptor("monolithicSparse", `RW 16384 SPARSE "/etc/passwd"`))},
		{"vmdk with a second extent", "vmdk", "2 extents",
			sparseVMDK(vmdkDescriptor("monolithicSparse", "RW 8192 SPARSE \"a\"\nRW 8192 SPARSE \"b\""))},
		{"vmdk with a parent", "vmdk", `parent: "/etc/passwd"`,
			sparseVMDK(vmdkDescriptor("monolithicSparse", "RW 8192 SPARSE \"a\"\nparentFileNameHint=\"/etc/passwd\""))},
		{"vmdk type that is not allowed", "vmdk", "keeps data in other files",
			sparseVMDK(vmdkDescriptor("vmfs", `RW 16384 SPARSE "x"`))},
		{"vmdk with a line that is not understood", "vmdk", "not understood",
			sparseVMDK(vmdkDescriptor("monolithicSparse", "RW 16384 SPARSE \"x\"\nsurprise"))},

		{"qcow2 with internal snapshots", "qcow2", "internal snapshots", func(t *testing.T, dir string) string {
			path := qcow2Plain(t, dir)
			qemuImg(t, "snapshot", "-c", "one", path)
			return path
		}},
		{"qcow2 with an overlong header extension", "qcow2", "extension is longer than the header",
			patched(qcow2Plain, 112, "\x68\x03\xf8\x57\x7f\xff\xff\xff")},
		{"qcow2 with tables past the end", "qcow2", "L1 table lies outside", patched(qcow2Plain, 40, uint64(1<<40))},
		{"qcow2 with a refcount table past the end", "qcow2", "refcount table lies outside", patched(qcow2Plain, 48, uint64(1<<40))},
		{"qcow2 with a cluster table past the end", "qcow2", "cluster table lies outside",
			patched(filled, 3<<16, uint64(1<<63|1<<40))},
		{"qcow2 that is its own backing file", "qcow2", "backing file",
			created("-f", "qcow2", "-u", "-b", "DIR/./image", "-F", "qcow2", "PATH", "8M")},
		{"qcow2 with features not known", "qcow2", "features that are not known", patched(qcow2Plain, 72, uint64(1<<40))},
		{"qcow2 marked corrupt", "qcow2", "marked corrupt", patched(qcow2Plain, 72, uint64(2))},
		{"qcow2, encrypted", "qcow2", "encrypted", created("-f", "qcow2", "--object", "secret,id=s,data=x",
			"-o", "encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10", "PATH", "8M")},
		{"qcow2, encrypted the old way", "qcow2", "encrypted", patched(qcow2Plain, 32, uint32(1))},
		{"qcow2 of a version to come", "qcow2", "version 4", patched(qcow2Plain, 4, uint32(4))},
		{"qcow2 with impossible clusters", "qcow2", "cluster bits", patched(qcow2Plain, 20, uint32(60))},
		{"qcow2 cut short", "qcow2", "", written("QFI\xfb\x00\x00\x00\x03")},
		{"qcow2 inside qcow2", "qcow2", "qcow2 image inside a qcow2 image", func(t *testing.T, dir string) string {
			return converted(t, mustRead(t, filled(t, dir)), "qcow2")
		}},
		{"bomb: compressed clusters used over and over", "qcow2", "expand beyond", compressedBomb},
		{"bomb: one table for the whole disk", "qcow2", "share one table", sharedTableBomb},

		{"qcow2 and ISO at once", "qcow2", "more than one format", patched(qcow2Plain, 32768, "\x01CD001\x01")},
		{"raw and vdi at once with an ISO", "raw", "more than one format",
			patched(patched(rawPlain, 64, "\x7f\x10\xda\xbe"), 32768, "\x01CD001\x01")},
		{"qed", "qed", "", created("-f", "qed", "PATH", "8M")},
		{"qed stated raw", "raw", "not accepted", created("-f", "qed", "PATH", "8M")},
		{"old qcow", "qcow2", "not accepted", created("-f", "qcow", "PATH", "8M")},
		{"luks stated raw", "raw", "encrypted", created("-f", "luks", "--object", "secret,id=s,data=x",
			"-o", "key-secret=s,iter-time=10", "PATH", "1M")},
		{"parallels stated raw", "raw", "not accepted", created("-f", "parallels", "PATH", "8M")},
		{"vdi that is a difference", "vdi", "parent", patched(created("-f", "vdi", "PATH", "8M"), 440, "0123456789abcdef")},
		{"vdi with a block table past the end", "vdi", "block table", patched(created("-f", "vdi", "PATH", "8M"), 340, uint32(0xffffff7f))},
		{"vhd with a broken footer", "vhd", "checksum", patched(created("-f", "vpc", "PATH", "8M"), 20, "xx")},
		{"vhdx with a log", "vhdx", "log was not replayed", patched(patched(created("-f", "vhdx", "PATH", "8M"),
			64<<10+48, "0123456789abcdef"), 128<<10+48, "0123456789abcdef")},
		{"vhdx without metadata", "vhdx", "region", patched(created("-f", "vhdx", "PATH", "8M"), 192<<10, "xxxx")},
		{"iso stated raw", "raw", "content is iso", patched(rawPlain, 32768, "\x01CD001\x01")},
		{"raw stated iso", "iso", "content is raw", rawPlain},
		{"qcow2 stated vhd", "vhd", "content is qcow2", qcow2Plain},
		{"qcow2 stated ami", "ami", "content is qcow2", qcow2Plain},
		{"nothing at all", "raw", "no data", written("")},
		{"format that is not supported", "ploop", "not supported", rawPlain},
	}
}

// compressedBomb points every cluster of a disk at one compressed cluster.
func compressedBomb(t *testing.T, dir string) string {
	src := filepath.Join(dir, "src")
	if err := os.WriteFile(src, bytes.Repeat([]byte{7}, 1<<16), 0o644); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "image")
	qemuImg(t, "convert", "-c", "-f", "raw", "-O", "qcow2", src, path)
	qemuImg(t, "resize", "-q", "-f", "qcow2", path, "512M")
	b := mustRead(t, path)
	l1 := binary.BigEndian.Uint64(b[40:])
	l2 := binary.BigEndian.Uint64(b[l1:]) & 0x00fffffffffffe00
	for i := l2 + 8; i < l2+1<<16; i += 8 {
		copy(b[i:], b[l2:l2+8])
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// sharedTableBomb points the whole of a large disk at one table.
func sharedTableBomb(t *testing.T, dir string) string {
	path := filled(t, dir)
	qemuImg(t, "resize", "-q", "-f", "qcow2", path, "4G")
	b := mustRead(t, path)
	l1 := binary.BigEndian.Uint64(b[40:])
	for i := l1 + 8; i < l1+64; i += 8 {
		copy(b[i:], b[l1:l1+8])
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestHostileImages(t *testing.T) {
	for _, h := range hostiles() {
		t.Run(h.name, func(t *testing.T) {
			path := h.make(t, t.TempDir())
			c, s := newCache(t, t.TempDir(), forceRaw), newStore()
			img := s.putFile(t, imageID, h.stated, path)
			_, err := c.Get(context.Background(), img, s, nil)
			var bad *ErrUnacceptable
			if !errors.As(err, &bad) {
				t.Fatalf("got %v", err)
			}
			if bad.Image != imageID || !strings.Contains(bad.Reason, h.reason) {
				t.Errorf("the fault says %q, not %q", err, h.reason)
			}
			if left := names(t, c); len(left) != 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func TestImagesAccepted(t *testing.T) {
	disk := guest(8 << 20)
	gpt := append([]byte(nil), disk...)
	gpt[450] = 0xee
	copy(gpt[512:], "EFI PART")
	for _, tc := range []struct {
		name, stated, container string
		body                    func(t *testing.T) []byte
		want                    []byte
	}{
		{"raw with MBR", "raw", "bare", func(*testing.T) []byte { return disk }, disk},
		{"raw with GPT", "raw", "bare", func(*testing.T) []byte { return gpt }, gpt},
		{"raw without partitions", "raw", "bare", func(*testing.T) []byte { return disk[512:] }, disk[512:]},
		{"raw shorter than a sector", "raw", "bare", func(*testing.T) []byte { return []byte("tiny") }, []byte("tiny")},
		{"machine image", "ami", "ami", func(*testing.T) []byte { return disk[512:] }, disk[512:]},
		{"kernel image", "aki", "aki", func(*testing.T) []byte { return append(make([]byte, 0x202), "HdrS"...) }, nil},
		{"ramdisk image", "ari", "ari", func(*testing.T) []byte { return []byte("\x1f\x8b\x08 and so on") }, nil},
		{"qcow2 v2", "qcow2", "bare", as(disk, "qcow2", "-o", "compat=0.10"), disk},
		{"qcow2 v3", "qcow2", "bare", as(disk, "qcow2"), disk},
		{"qcow2 with small clusters", "qcow2", "bare", as(disk, "qcow2", "-o", "cluster_size=512"), disk},
		{"qcow2 with large clusters", "qcow2", "bare", as(disk, "qcow2", "-o", "cluster_size=2M"), disk},
		{"qcow2 with extended tables", "qcow2", "bare", as(disk, "qcow2", "-o", "extended_l2=on"), disk},
		{"qcow2 with lazy refcounts", "qcow2", "bare", as(disk, "qcow2", "-o", "lazy_refcounts=on"), disk},
		{"qcow2 preallocated", "qcow2", "bare", as(disk, "qcow2", "-o", "preallocation=metadata"), disk},
		{"qcow2 compressed, zlib", "qcow2", "bare", as(disk, "qcow2", "-c"), disk},
		{"qcow2 compressed, zstd", "qcow2", "bare", as(disk, "qcow2", "-c", "-o", "compression_type=zstd"), disk},
		{"vmdk monolithicSparse", "vmdk", "bare", as(disk, "vmdk"), disk},
		{"vmdk streamOptimized", "vmdk", "bare", as(disk, "vmdk", "-o", "subformat=streamOptimized"), disk},
		{"vdi dynamic", "vdi", "bare", as(disk, "vdi"), disk},
		{"vdi fixed", "vdi", "bare", as(disk, "vdi", "-o", "static=on"), disk},
		{"vhd dynamic", "vhd", "bare", as(disk, "vpc", "-o", "force_size=on"), disk},
		{"vhd fixed", "vhd", "bare", as(disk, "vpc", "-o", "subformat=fixed,force_size=on"), disk},
		{"vhd fixed, stated raw", "raw", "bare", as(disk, "vpc", "-o", "subformat=fixed,force_size=on"), disk},
		{"vhdx dynamic", "vhdx", "bare", as(disk, "vhdx"), disk},
		{"vhdx fixed", "vhdx", "bare", as(disk, "vhdx", "-o", "subformat=fixed"), disk},
		{"iso", "iso", "bare", func(*testing.T) []byte { return iso(disk[:0]) }, iso(nil)},
		{"iso that boots from a stick", "iso", "bare", func(*testing.T) []byte { return iso(disk[:512]) }, iso(disk[:512])},
	} {
		for _, force := range []bool{true, false} {
			name := tc.name
			if !force {
				name += ", kept"
			}
			t.Run(name, func(t *testing.T) {
				c, s := newCache(t, t.TempDir(), func(o *Options) { o.ForceRaw = force }), newStore()
				img := s.put(imageID, tc.stated, tc.body(t))
				img.ContainerFormat = tc.container
				b, err := c.Get(context.Background(), img, s, nil)
				if err != nil {
					t.Fatal(err)
				}
				defer b.Release()
				again, err := c.Get(context.Background(), img, s, nil)
				if err != nil {
					t.Fatal(err)
				}
				defer again.Release()
				if again.Format != b.Format || again.VirtualSize != b.VirtualSize {
					t.Errorf("cached: %s of %d bytes, fetched: %s of %d", again.Format, again.VirtualSize, b.Format, b.VirtualSize)
				}
				if !force {
					if got := mustRead(t, b.Path); !bytes.Equal(got, s.content[imageID]) {
						t.Error("the image was changed")
					}
					return
				}
				if b.Format != "raw" {
					t.Errorf("format %s", b.Format)
				}
				if got := mustRead(t, b.Path); tc.want != nil && !bytes.HasPrefix(got, tc.want) {
					t.Error("the base is not the disk")
				}
			})
		}
	}
}

func as(raw []byte, format string, options ...string) func(*testing.T) []byte {
	return func(t *testing.T) []byte { return mustRead(t, converted(t, raw, format, options...)) }
}

// iso is a file system of one descriptor after the given first bytes.
func iso(head []byte) []byte {
	b := make([]byte, 20*2048)
	copy(b, head)
	d := b[16*2048:]
	copy(d, "\x01CD001\x01")
	binary.LittleEndian.PutUint32(d[80:], 20)
	binary.LittleEndian.PutUint16(d[128:], 2048)
	return b
}
