package format

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
)

// fuzzParser feeds one recogniser and Detect with images that begin as real ones. Whatever the bytes, nothing may
// panic, read much, or call something safe that names another file.
func fuzzParser(f *testing.F, format Format, prefix string) {
	for _, name := range slices.Sorted(maps.Keys(seedImages)) {
		if strings.HasPrefix(name, prefix) {
			f.Add(seed(f, name))
		}
	}
	var rec recogniser
	for _, r := range recognisers() {
		if r.format == format {
			rec = r
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		img := unpack(b)
		if rec.parse != nil {
			checkInfo(t, format, func() (Info, error) {
				i := &image{r: img, size: img.size}
				if !rec.match(i) {
					return Info{}, errNotMatched
				}
				return rec.parse(i)
			})
		}
		checkInfo(t, "", func() (Info, error) { return Detect(img, img.size) })
		if img.read > 16<<20 {
			t.Errorf("%d bytes were read", img.read)
		}
	})
}

// errNotMatched stands for bytes that are not the parser's matter.
var errNotMatched = errors.New("not matched")

func checkInfo(t *testing.T, want Format, parse func() (Info, error)) {
	info, err := parse()
	if err != nil {
		return
	}
	if want != "" && info.Format != want {
		t.Errorf("parser of %s says %s", want, info.Format)
	}
	if Safe(info) != nil {
		return
	}
	if len(info.References) > 0 || info.VirtualSize < 0 || info.VirtualSize > MaxVirtualSize || info.Encrypted {
		t.Errorf("called safe: %+v", info)
	}
	if slices.Contains([]Format{QCOW1, QED, LUKS, Parallels, Bochs, Cloop}, info.Format) {
		t.Errorf("called safe: %s", info.Format)
	}
}

func FuzzQCOW2(f *testing.F) { fuzzParser(f, QCOW2, "qcow2") }
func FuzzQCOW1(f *testing.F) { fuzzParser(f, QCOW1, "qcow") }
func FuzzQED(f *testing.F)   { fuzzParser(f, QED, "qed") }
func FuzzVMDK(f *testing.F)  { fuzzParser(f, VMDK, "vmdk") }
func FuzzVHD(f *testing.F)   { fuzzParser(f, VHD, "vhd-") }
func FuzzVHDX(f *testing.F)  { fuzzParser(f, VHDX, "vhdx") }
func FuzzVDI(f *testing.F)   { fuzzParser(f, VDI, "vdi") }
func FuzzLUKS(f *testing.F)  { fuzzParser(f, LUKS, "luks") }

func FuzzISO(f *testing.F) {
	b := make([]byte, 20*2048)
	copy(b[32768:], "\x01CD001\x01")
	b[510], b[511], b[450] = 0x55, 0xaa, 0x83
	f.Add(pack(b))
	fuzzParser(f, ISO, "iso")
}

func FuzzRaw(f *testing.F) {
	b := make([]byte, 8192)
	b[510], b[511], b[450] = 0x55, 0xaa, 0xee
	copy(b[512:], "EFI PART")
	f.Add(pack(b))
	fuzzParser(f, Raw, "raw")
}

func FuzzVMDKDescriptor(f *testing.F) {
	f.Add([]byte("# Disk DescriptorFile\nversion=1\nparentCID=ffffffff\ncreateType=\"vmfs\"\nRW 1 FLAT \"a\" 0\nddb.x = \"y\"\n"))
	f.Add([]byte("RW\nRDONLY x\nNOACCESS 1 ZERO\n=\n\x00\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		d := parseVMDKDescriptor(b)
		if len(d.extents) > 65 || len(d.faults) > 10 {
			t.Errorf("%d extents, %d faults", len(d.extents), len(d.faults))
		}
	})
}

func FuzzAllocated(f *testing.F) {
	for _, name := range slices.Sorted(maps.Keys(seedImages)) {
		if strings.HasPrefix(name, "qcow2") {
			f.Add(seed(f, name))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		img := unpack(b)
		img.size = min(img.size, 16<<20)
		n, err := Allocated(img, img.size)
		if err == nil && n < 0 {
			t.Errorf("%d bytes", n)
		}
		if img.read > 64<<20 {
			t.Errorf("%d bytes were read", img.read)
		}
	})
}
