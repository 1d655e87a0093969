package images

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// asStep lets the test binary, run again, be one of the bench's processes.
const asStep = "BENCH_IMAGES_STEP"

func TestMain(m *testing.M) {
	if os.Getenv(asStep) != "" {
		if err := Step(context.Background(), os.Args[1:], os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// TestRun measures small images. It asserts no times, only that both nodes do the work and what is told of it.
func TestRun(t *testing.T) {
	if testing.Short() {
		t.Skip("starts Nova's Python three times")
	}
	if err := exec.Command("/usr/bin/python3", "-c", "import nova.virt.libvirt.imagebackend").Run(); err != nil {
		t.Skip("Nova's Python packages are not installed")
	}
	t.Setenv(asStep, "1")
	dir := filepath.Join(t.TempDir(), "bench")
	r, err := Run(t.Context(), Options{Dir: dir, Step: []string{os.Args[0]}, Boots: 2, Rounds: 1, Sizes: []Size{{64, 8}, {32, 4}}})
	if err != nil {
		t.Fatal(err)
	}
	for name, n := range map[string]Node{"nova": r.Nova, "bolide": r.Bolide} {
		if n.Cold <= 0 || len(n.Cached) != 2 || len(n.Peaks) != 2 || n.Peaks[1] < 1<<20 {
			t.Errorf("%s: %+v", name, n)
		}
		if n.Written < 8<<20 { // the image's data at least once, as raw
			t.Errorf("%s: %d bytes written", name, n.Written)
		}
	}
	if r.Convert <= 0 || r.Copy <= 0 {
		t.Errorf("conversion in %s, copy in %s", r.Convert, r.Copy)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("left behind: %v", err)
	}
	var b bytes.Buffer
	if err := r.Print(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"cold qcow2 image of 64 MiB, 8 MiB of them data", "cached image, median", "cp --sparse"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is missing in\n%s", want, &b)
		}
	}
}

func TestStepsAreRefused(t *testing.T) {
	for _, args := range [][]string{nil, {"boot"}, {"convert", "a"}, {"nothing", "a", "b"}} {
		if err := Step(t.Context(), args, &bytes.Buffer{}); err == nil {
			t.Errorf("%q is done", args)
		}
	}
}
