package format

import (
	"bytes"
	"encoding/binary"
	"flag"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "make the seeds anew with qemu-img")

// sparse is an image that is zeros but for some stretches, so that images of many megabytes fit a fuzzer's input:
// four bytes of size, then for each stretch four bytes of offset, two of length, and the bytes, all little endian.
type sparse struct {
	size  int64
	parts []stretch
	read  int64 // bytes asked for
}

type stretch struct {
	at   int64
	data []byte
}

func unpack(b []byte) *sparse {
	s := &sparse{}
	if len(b) < 4 {
		return s
	}
	s.size = int64(binary.LittleEndian.Uint32(b))
	for b = b[4:]; len(b) >= 6; {
		at, n := int64(binary.LittleEndian.Uint32(b)), int(binary.LittleEndian.Uint16(b[4:]))
		b = b[6:]
		n = min(n, len(b))
		s.parts = append(s.parts, stretch{at, b[:n]})
		b = b[n:]
	}
	return s
}

func pack(image []byte) []byte {
	out := binary.LittleEndian.AppendUint32(nil, uint32(len(image)))
	const grain = 32
	for off := 0; off < len(image); {
		end := min(off+grain, len(image))
		if len(bytes.Trim(image[off:end], "\x00")) == 0 {
			off = end
			continue
		}
		for end < len(image) && end-off < 1<<15 && len(bytes.Trim(image[end:min(end+grain, len(image))], "\x00")) > 0 {
			end = min(end+grain, len(image))
		}
		data := bytes.TrimRight(image[off:end], "\x00")
		out = binary.LittleEndian.AppendUint32(out, uint32(off))
		out = binary.LittleEndian.AppendUint16(out, uint16(len(data)))
		out = append(out, data...)
		off = end
	}
	return out
}

func (s *sparse) ReadAt(p []byte, off int64) (int, error) {
	s.read += int64(len(p))
	n := int(min(int64(len(p)), max(0, s.size-off)))
	clear(p[:n])
	for _, part := range s.parts {
		from, to := max(off, part.at), min(off+int64(n), part.at+int64(len(part.data)))
		if from < to {
			copy(p[from-off:to-off], part.data[from-part.at:to-part.at])
		}
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// bytes returns the whole image.
func (s *sparse) bytes() []byte {
	b := make([]byte, s.size)
	_, _ = s.ReadAt(b, 0)
	return b
}

// seedImages are real images as qemu-img makes them, by the name of their seed.
var seedImages = map[string][]string{
	"qcow2-v2":              {"-f", "qcow2", "-o", "compat=0.10", "IMAGE", "8M"},
	"qcow2-v3":              {"-f", "qcow2", "IMAGE", "8M"},
	"qcow2-zstd":            {"-f", "qcow2", "-o", "compression_type=zstd", "IMAGE", "8M"},
	"qcow2-extended":        {"-f", "qcow2", "-o", "extended_l2=on", "IMAGE", "8M"},
	"qcow2-backing":         {"-f", "qcow2", "-u", "-b", "/etc/passwd", "-F", "raw", "IMAGE", "8M"},
	"qcow2-data-file":       {"-f", "qcow2", "-o", "data_file=other", "IMAGE", "8M"},
	"qcow2-encrypted":       {"-f", "qcow2", "--object", "secret,id=s,data=x", "-o", "encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10", "IMAGE", "8M"},
	"qcow":                  {"-f", "qcow", "IMAGE", "8M"},
	"qed":                   {"-f", "qed", "-u", "-b", "/etc/passwd", "-F", "raw", "IMAGE", "8M"},
	"vmdk-monolithicSparse": {"-f", "vmdk", "IMAGE", "8M"},
	"vmdk-streamOptimized":  {"-f", "vmdk", "-o", "subformat=streamOptimized", "IMAGE", "8M"},
	"vmdk-monolithicFlat":   {"-f", "vmdk", "-o", "subformat=monolithicFlat", "IMAGE", "8M"},
	"vhd-dynamic":           {"-f", "vpc", "IMAGE", "8M"},
	"vhd-fixed":             {"-f", "vpc", "-o", "subformat=fixed", "IMAGE", "1M"},
	"vhdx-dynamic":          {"-f", "vhdx", "IMAGE", "8M"},
	"vdi-dynamic":           {"-f", "vdi", "IMAGE", "8M"},
	"vdi-fixed":             {"-f", "vdi", "-o", "static=on", "IMAGE", "1M"},
	"luks":                  {"-f", "luks", "--object", "secret,id=s,data=x", "-o", "key-secret=s,iter-time=10", "IMAGE", "1M"},
	"parallels":             {"-f", "parallels", "IMAGE", "8M"},
}

// seed returns a real image by name.
func seed(t testing.TB, name string) []byte {
	t.Helper()
	path := filepath.Join("testdata", "seeds", name)
	if *update {
		dir := t.TempDir()
		image := filepath.Join(dir, "image.vmdk")
		args := []string{"create", "-q"}
		for _, a := range seedImages[name] {
			args = append(args, strings.Replace(a, "IMAGE", image, 1))
		}
		cmd := exec.Command("qemu-img", args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("qemu-img %v: %v\n%s", args, err, out)
		}
		b, err := os.ReadFile(image)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(strings.Join(args, " "), "secret") {
			clear(b[4096:]) // key material is random and of no use here
		}
		if err := os.WriteFile(path, pack(b), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestPack(t *testing.T) {
	want := make([]byte, 100000)
	copy(want[10:], "abc")
	copy(want[5000:], bytes.Repeat([]byte("x\x00y"), 20000))
	want[99999] = 1
	got := unpack(pack(want)).bytes()
	if !bytes.Equal(got, want) {
		t.Error("an image is not what it was")
	}
}
