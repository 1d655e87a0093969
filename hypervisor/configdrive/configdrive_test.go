package configdrive

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/kdomanski/iso9660"
)

// drive is one as a guest gets it, and the odd cases: an empty file, one that fills its sectors exactly, names too long
// for the primary hierarchy or outside ASCII, and more files in a directory than one sector can list.
func drive() Drive {
	d := Drive{
		Publisher: "OpenStack Nova 26.2.2",
		Created:   time.Date(2026, 11, 21, 18, 30, 5, 0, time.UTC),
		Files: map[string][]byte{
			"ec2/2009-04-04/meta-data.json":               []byte(`{"hostname": "vm"}`),
			"ec2/latest/meta-data.json":                   []byte(`{"hostname": "vm"}`),
			"openstack/2012-08-10/meta_data.json":         []byte(`{"uuid": "1"}`),
			"openstack/latest/vendor_data2.json":          {},
			"openstack/latest/user_data":                  bytes.Repeat([]byte{7}, 2*sectorSize),
			"openstack/content/0000":                      bytes.Repeat([]byte("x"), 3*sectorSize+1),
			"notes/a-name-that-is-longer-than-thirty.txt": []byte("long"),
			"notes/a-name-that-is-longer-than-thirty.doc": []byte("other"),
			"notes/grüße.txt":                             []byte("utf-8"),
		},
	}
	for i := range 60 {
		d.Files[fmt.Sprintf("many/%04d.json", i)] = fmt.Appendf(nil, "%d", i)
	}
	return d
}

func TestLinuxReadsDrive(t *testing.T) {
	// The reader loses entries of directories larger than a sector, as it uses the buffer of one for the next.
	d := drive()
	maps.DeleteFunc(d.Files, func(name string, _ []byte) bool { return strings.HasPrefix(name, "many/") })
	var image bytes.Buffer
	if _, err := d.WriteTo(&image); err != nil {
		t.Fatal(err)
	}
	read, err := iso9660.OpenImage(bytes.NewReader(image.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	root, err := read.RootDir()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][]byte{}
	walkRockRidge(t, root, "", got)
	if diff := cmp.Diff(d.Files, got); diff != "" {
		t.Error(diff)
	}
	if label, _ := read.Label(); label != "config-2" {
		t.Errorf("label is %q", label)
	}
}

func walkRockRidge(t *testing.T, dir *iso9660.File, at string, got map[string][]byte) {
	t.Helper()
	children, err := dir.GetChildren()
	if err != nil {
		t.Fatal(err)
	}
	for _, child := range children {
		name := path.Join(at, child.Name())
		if !child.ModTime().Equal(drive().Created) {
			t.Errorf("%s is of %s", name, child.ModTime())
		}
		if child.IsDir() {
			walkRockRidge(t, child, name, got)
			continue
		}
		if child.Mode().Perm() != 0o444 {
			t.Errorf("%s has mode %s", name, child.Mode())
		}
		content, err := io.ReadAll(child.Reader())
		if err != nil {
			t.Fatal(err)
		}
		got[name] = content
	}
}

func TestWindowsReadsDrive(t *testing.T) {
	var image bytes.Buffer
	if _, err := drive().WriteTo(&image); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(drive().Files, readJoliet(t, image.Bytes())); diff != "" {
		t.Error(diff)
	}
}

// TestAnotherToolReadsDrive compares with what isoinfo of cdrkit finds in each of the hierarchies.
func TestAnotherToolReadsDrive(t *testing.T) {
	tool, err := exec.LookPath("isoinfo")
	if err != nil {
		t.Skip("isoinfo (package genisoimage) is not installed")
	}
	image := filepath.Join(t.TempDir(), "drive.iso")
	d := drive()
	delete(d.Files, "notes/grüße.txt") // isoinfo prints names in the locale's character set
	if err := d.WriteFile(image); err != nil {
		t.Fatal(err)
	}
	for kind, option := range map[string]string{"Rock Ridge": "-R", "Joliet": "-J"} {
		got := map[string][]byte{}
		for _, file := range strings.Fields(isoinfo(t, tool, "-i", image, option, "-f")) {
			if _, ok := d.Files[file[1:]]; ok {
				got[file[1:]] = []byte(isoinfo(t, tool, "-i", image, option, "-x", file))
			}
		}
		if diff := cmp.Diff(d.Files, got, cmp.Comparer(bytes.Equal)); diff != "" {
			t.Errorf("%s: %s", kind, diff)
		}
	}
	about := isoinfo(t, tool, "-i", image, "-d")
	for _, want := range []string{
		"Volume id: config-2\n", "Publisher id: OpenStack Nova 26.2.2\n", "Joliet with UCS level 3 found", "Rock Ridge signatures version 1 found",
	} {
		if !strings.Contains(about, want) {
			t.Errorf("no %q in:\n%s", want, about)
		}
	}
}

func isoinfo(t *testing.T, tool string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), tool, args...).Output()
	if err != nil {
		t.Fatalf("%s %q: %v", tool, args, err)
	}
	return string(out)
}

func TestPlainReaderSeesWholeNames(t *testing.T) {
	for _, c := range []struct {
		node node
		want string
	}{
		{node{name: "meta_data.json"}, "meta_data.json;1"},
		{node{name: "user_data"}, "user_data.;1"},
		{node{name: "2009-04-04", dir: true}, "2009-04-04"},
		{node{name: "a;b"}, "a_b_295a9749.;1"},
		{node{name: "a-name-that-is-longer-than-thirty.txt"}, "a-name-that-is-longe_0a564bf0.;1"},
		{node{name: "a-name-that-is-longer-than-thirty.doc"}, "a-name-that-is-longe_9020e9d1.;1"},
	} {
		got := string(isoName(&c.node))
		if got != c.want {
			t.Errorf("%s is %q, want %q", c.node.name, got, c.want)
		}
		if len(got) > maxISOName+2 {
			t.Errorf("%s: %q is too long", c.node.name, got)
		}
	}
}

func TestSameDriveSameBytes(t *testing.T) {
	var first, second bytes.Buffer
	if _, err := drive().WriteTo(&first); err != nil {
		t.Fatal(err)
	}
	if _, err := drive().WriteTo(&second); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("the same drive gave different bytes")
	}
}

func TestRefusedDrives(t *testing.T) {
	long := strings.Repeat("n", maxNameLength+1)
	for name, d := range map[string]Drive{
		"absolute":          {Files: map[string][]byte{"/a": nil}},
		"empty":             {Files: map[string][]byte{"": nil}},
		"unclean":           {Files: map[string][]byte{"a//b": nil}},
		"leaves":            {Files: map[string][]byte{"../a": nil}},
		"deep":              {Files: map[string][]byte{"a/b/c/d/e/f/g/h/i": nil}},
		"long":              {Files: map[string][]byte{long: nil}},
		"wide":              {Files: map[string][]byte{strings.Repeat("語", 60): nil}},
		"not UTF-8":         {Files: map[string][]byte{"\xff": nil}},
		"file in file":      {Files: map[string][]byte{"a": nil, "a/b": nil}},
		"label":             {Label: strings.Repeat("l", 17)},
		"publisher":         {Publisher: strings.Repeat("p", 129)},
		"control character": {Publisher: "a\nb"},
	} {
		t.Run(name, func(t *testing.T) {
			if n, err := d.WriteTo(io.Discard); err == nil || n != 0 {
				t.Errorf("wrote %d bytes, error %v", n, err)
			}
		})
	}
}

func TestWriteFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "disk.config")
	if err := os.WriteFile(name, []byte("an older one"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := drive().WriteFile(name); err != nil {
		t.Fatal(err)
	}
	var want bytes.Buffer
	if _, err := drive().WriteTo(&want); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(name)
	if err != nil || !bytes.Equal(got, want.Bytes()) {
		t.Errorf("file differs, error %v", err)
	}
	if info, _ := os.Stat(name); info.Mode().Perm() != 0o644 {
		t.Errorf("mode is %s", info.Mode())
	}
	if err := drive().WriteFile(filepath.Join(t.TempDir(), "missing", "disk.config")); err == nil {
		t.Error("wrote into a directory that does not exist")
	}
}

// TestFast holds the writer to the time that a boot has for it.
func TestFast(t *testing.T) {
	const bound = 20 * time.Millisecond
	best := time.Hour
	for range 5 {
		began := time.Now()
		if _, err := drive().WriteTo(io.Discard); err != nil {
			t.Fatal(err)
		}
		best = min(best, time.Since(began))
	}
	if best > bound {
		t.Errorf("took %s, want at most %s", best, bound)
	}
}

func FuzzWriteTo(f *testing.F) {
	f.Add("openstack/latest/meta_data.json", "ec2/latest/user-data", []byte("x"))
	f.Add("a", "a/b", []byte{})
	f.Fuzz(func(t *testing.T, one, other string, content []byte) {
		d := Drive{Files: map[string][]byte{one: content, other: content}}
		var image bytes.Buffer
		if _, err := d.WriteTo(&image); err != nil {
			return // refused is fine
		}
		got := readJoliet(t, image.Bytes())
		if diff := cmp.Diff(slices.Sorted(maps.Keys(d.Files)), slices.Sorted(maps.Keys(got))); diff != "" {
			t.Error(diff)
		}
	})
}

func BenchmarkWriteTo(b *testing.B) {
	d := drive()
	for b.Loop() {
		if _, err := d.WriteTo(io.Discard); err != nil {
			b.Fatal(err)
		}
	}
}
