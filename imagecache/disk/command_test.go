package disk

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCommandStatesItsFormats(t *testing.T) {
	for _, tc := range []struct {
		name string
		c    command
		ok   bool
	}{
		{"info", command{verb: "info", args: []string{"-f", "raw", "/x"}}, true},
		{"info without", command{verb: "info", args: []string{"/x"}}, false},
		{"format at the very end", command{verb: "info", args: []string{"/x", "-f"}}, false},
		{"format that is no driver", command{verb: "info", args: []string{"-f", "auto", "/x"}}, false},
		{"resize without", command{verb: "resize", args: []string{"/x", "1"}}, false},
		{"rebase", command{verb: "rebase", args: []string{"-f", "qcow2", "-b", "/b", "-F", "raw", "/x"}}, true},
		{"rebase with base of no format", command{verb: "rebase", args: []string{"-f", "qcow2", "-b", "/b", "/x"}}, false},
		{"rebase to nothing", command{verb: "rebase", args: []string{"-f", "qcow2", "-b", "", "/x"}}, true},
		{"convert", command{verb: "convert", args: []string{"-O", "raw", `json:{"driver":"raw"}`, "/y"}}, true},
		{"convert of a file by name", command{verb: "convert", args: []string{"-O", "raw", "/x", "/y"}}, false},
		{"convert to nothing", command{verb: "convert", args: []string{`json:{"driver":"raw"}`, "/y"}}, false},
		{"verb not in use", command{verb: "amend", args: []string{"-f", "qcow2", "/x"}}, false},
		{"path that could be a protocol", command{verb: "info", args: []string{"-f", "raw", "x"}, reads: []string{"nbd:x"}}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := tc.c.check(); (err == nil) != tc.ok {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestLayerIsQuoted(t *testing.T) {
	l := layer{path: `/a "b",c`, format: "qcow2", backing: &layer{path: "/base", format: "raw"}}
	got, err := l.source()
	if err != nil {
		t.Fatal(err)
	}
	want := `json:{"driver":"qcow2","file":{"driver":"file","filename":"/a \"b\",c"},` +
		`"backing":{"driver":"raw","file":{"driver":"file","filename":"/base"}}}`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestOperationsRefuseUnknownFormats(t *testing.T) {
	tool := newTool(t)
	ctx := context.Background()
	path := rawFile(t, 1<<20, nil)
	out := filepath.Join(t.TempDir(), "out")
	for _, f := range []string{"", "auto", "qcow2,backing.file.filename=/etc/passwd", "nbd", "-U"} {
		_, info := tool.Info(ctx, path, f)
		for name, err := range map[string]error{
			"info":    info,
			"resize":  tool.Resize(ctx, path, f, 2<<20),
			"overlay": tool.CreateOverlay(ctx, Overlay{Path: out, Base: path, BaseFormat: f}),
			"empty":   tool.CreateEmpty(ctx, Empty{Path: out, Format: f, Size: 1 << 20}),
			"source":  tool.Convert(ctx, Convert{Src: path, SrcFormat: f, Dst: out, DstFormat: "raw"}),
			"result":  tool.Convert(ctx, Convert{Src: path, SrcFormat: "raw", Dst: out, DstFormat: f}),
			"extract": tool.Extract(ctx, Convert{Src: path, SrcFormat: f, Dst: out, DstFormat: "raw"}),
		} {
			if !errors.As(err, new(*ErrFormat)) {
				t.Errorf("%s with format %q: %v", name, f, err)
			}
		}
	}
}

// TestOnePlaceRunsQemuImg holds the rule that no other code of the project runs qemu-img, so that no other code can
// leave a format out: outside this package nothing names it as a program, and inside it one file starts processes.
func TestOnePlaceRunsQemuImg(t *testing.T) {
	seen := 0
	for _, room := range []string{"agent", "cmd", "hypervisor", "imagecache", "netplug", "rpc"} {
		err := filepath.WalkDir(filepath.Join("..", "..", room), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			src, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			seen++
			own := filepath.Join("..", "..", "imagecache", "disk")
			if bytes.Contains(src, []byte(`"qemu-img"`)) && path != filepath.Join(own, "disk.go") {
				t.Errorf("%s names qemu-img as a program", path)
			}
			runs := path == filepath.Join(own, "run.go") || path == filepath.Join(own, "sandbox.go")
			if room == "imagecache" && bytes.Contains(src, []byte(`"os/exec"`)) && !runs {
				t.Errorf("%s starts processes of its own", path)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if seen < 50 {
		t.Errorf("looked at %d files only", seen)
	}
}
