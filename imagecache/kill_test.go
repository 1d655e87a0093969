package imagecache

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bolide/imagecache/disk"
	"bolide/imagecache/format"

	"github.com/sirupsen/logrus"
)

var kills = flag.Int("kills", 60, "times the process is killed at a random moment")

// killedDir tells the test binary, run again as a child, where to work until it is killed.
const killedDir = "IMAGECACHE_TEST_KILLED_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(killedDir); dir != "" {
		if err := workUntilKilled(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// workUntilKilled fetches, converts and overlays over and over. It announces each round on standard output.
func workUntilKilled(dir string) error {
	log := logrus.New()
	log.SetOutput(io.Discard)
	tool, err := disk.New(disk.Options{Log: logrus.NewEntry(log), MaxConcurrent: 2})
	if err != nil {
		return err
	}
	o := Options{Dir: filepath.Join(dir, "_base"), Tool: tool, ForceRaw: true, Log: logrus.NewEntry(log)}
	c, err := New(o)
	if err != nil {
		return err
	}
	s := newStore()
	image, err := os.ReadFile(filepath.Join(dir, "image.qcow2"))
	if err != nil {
		return err
	}
	img := s.put(imageID, "qcow2", image)
	plain := s.put("plain", "raw", guest(4<<20))
	for round := 0; ; round++ {
		fmt.Println("round", round)
		for i, img := range []Image{img, plain} {
			b, err := c.Get(context.Background(), img, s, nil)
			if err != nil {
				return err
			}
			instance := filepath.Join(dir, fmt.Sprintf("instance%d", i))
			if err := os.MkdirAll(instance, 0o755); err != nil {
				return err
			}
			path := filepath.Join(instance, "disk")
			o := disk.Overlay{Path: path, Base: b.Path, BaseFormat: b.Format, Size: 16 << 20}
			if err := errors.Join(tool.CreateOverlay(context.Background(), o), disk.RecordFormat(path, "qcow2")); err != nil {
				return err
			}
			b.Release()
			if err := os.RemoveAll(instance); err != nil {
				return err
			}
		}
		if _, _, err := c.Sweep(context.Background(), SweepOptions{Instances: dir, Remove: true}); err != nil {
			return err
		}
	}
}

// TestKilledAtAnyMoment kills a process at work again and again and looks each time at what it left: whatever has its
// final name must be whole, and the next process must be able to go on from there.
func TestKilledAtAnyMoment(t *testing.T) {
	dir := t.TempDir()
	raw := guest(8 << 20)
	image := mustRead(t, converted(t, raw, "qcow2"))
	if err := os.WriteFile(filepath.Join(dir, "image.qcow2"), image, 0o644); err != nil {
		t.Fatal(err)
	}
	want := map[string][]byte{Name(imageID): raw, Name("plain"): guest(4 << 20)}
	found := map[string]int{}
	for range *kills {
		killOnce(t, dir)
		for name, content := range want {
			path := filepath.Join(dir, "_base", name)
			got, err := os.ReadFile(path)
			if errors.Is(err, os.ErrNotExist) {
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, content) {
				t.Fatalf("%s is there and is not the image", path)
			}
			found["base"]++
		}
		checkDisks(t, dir, found)
	}
	t.Logf("found whole: %v", found)
	if found["base"] == 0 || found["part"] == 0 {
		t.Error("no kill met the work")
	}
	// The next process clears away what was left.
	c := newCache(t, dir)
	for _, name := range names(t, c) {
		if strings.Contains(name, ".") && !strings.HasSuffix(name, ".json") && name != Name(imageID)+".part" && name != Name("plain")+".part" {
			t.Errorf("left behind: %s", name)
		}
	}
}

// killOnce runs a child to its first round and a random moment further.
func killOnce(t *testing.T, dir string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), killedDir+"="+dir)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 8)); err != nil {
		t.Errorf("child: %v: %s", err, stderr.String())
	}
	time.Sleep(rand.N(100 * time.Millisecond)) // the moment is the test
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed, as meant
	if stderr.Len() > 0 {
		t.Errorf("child: %s", stderr.String())
	}
}

// checkDisks looks at the instances' disks.
func checkDisks(t *testing.T, dir string, found map[string]int) {
	t.Helper()
	parts, err := filepath.Glob(filepath.Join(dir, "*", "*.part"))
	if err != nil {
		t.Fatal(err)
	}
	found["part"] += len(parts)
	disks, err := filepath.Glob(filepath.Join(dir, "instance*", "disk"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range disks {
		found["disk"]++
		info, err := detectFile(path)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil || info.Format != format.QCOW2 || info.VirtualSize != 16<<20 || len(info.References) != 1 {
			t.Fatalf("%s is there and is no overlay: %+v, %v", path, info, err)
		}
		if _, err := os.Stat(info.References[0].Path); err != nil {
			t.Fatalf("%s rests on nothing: %v", path, err)
		}
	}
}
