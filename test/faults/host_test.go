package faults

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// smallDisk is the size in bytes of the file system that tests fill; little of it is written.
const smallDisk = 8 << 30

// onSmallDisk starts the node with its state and its guests on a file system of their
// own, until the test ends. Guests must be gone by then.
func (g *ground) onSmallDisk(options string) (dir string) {
	g.t.Helper()
	g.node.Kill()
	dir = filepath.Join(g.dir, "state")
	img := filepath.Join(g.t.TempDir(), "disk")
	g.must(os.WriteFile(img, nil, 0o600))
	g.must(os.Truncate(img, smallDisk))
	g.command("mkfs.ext4", "-q", "-m", "0", "-N", "512", "-d", dir, img)
	g.command("mount", "-o", "loop", img, dir)
	g.t.Cleanup(func() {
		g.node.Kill()
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			g.t.Errorf("unmount: %v: %s", err, out)
		}
	})
	g.launch(options)
	return dir
}

// command runs a program of the host's, also when the test is over.
func (g *ground) command(name string, args ...string) {
	g.t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		g.t.Fatalf("%s %q: %v: %s", name, args, err, out)
	}
}

// TestHostRunsOut: what cannot be done for want of something of the host's fails with a
// fault that says what it was, and leaves nothing; when there is some again, the same
// process does it.
func TestHostRunsOut(t *testing.T) {
	g := newLongGround(t, "")
	dir := g.onSmallDisk("")
	id := g.boot()
	for _, f := range []struct {
		fault       string
		spoil, mend func()
		says        string // the faults of what then fails
	}{
		{"disk full", func() { g.fillDisk(dir) }, func() { g.must(os.Remove(filepath.Join(dir, "filler"))) }, "disk is full"},
		{"inodes gone", func() { g.fillInodes(dir) }, func() { g.must(os.RemoveAll(filepath.Join(dir, "fillers"))) }, "disk is full"},
		{"file system read-only", func() { g.command("mount", "-o", "remount,bind,ro", dir) },
			func() { g.command("mount", "-o", "remount,bind,rw", dir) }, "disk is read-only"},
		{"no file descriptors left", g.fewDescriptors, g.manyDescriptors, "no file descriptors left"},
	} {
		t.Run(f.fault, func(t *testing.T) {
			g := g.in(t)
			f.spoil()
			t.Cleanup(f.mend)
			g.failsFor(id, f.says)
		})
		g.in(t)
		began := time.Now()
		g.uses(id)
		g.report(f.fault, time.Since(began), "a boot, a snapshot and a resize refused, then done")
	}
	if g.node.Dead(0) {
		t.Error("the node died of it")
	}
	g.drop(id)
}

// failsFor tries to use the host, and checks that everything fails for the reason.
func (g *ground) failsFor(id, reason string) {
	g.t.Helper()
	saysSo := func(what, id, before string) {
		g.t.Helper()
		g.must(Until(g.ctx(), settleLimit, func() error { // the fault is told last
			if told := strings.TrimPrefix(g.faults(id), before); !strings.Contains(told, reason) {
				return fmt.Errorf("%s fails with %q, want a fault that says %q", what, told, reason)
			}
			return nil
		}))
	}
	built, err := g.Request(g.ctx(), nil)
	g.must(err)
	g.await(built, "ERROR")
	saysSo("a build", built, "")
	g.clean(built)
	g.drop(built)
	for what, ask := range map[string]func() error{
		"a snapshot": func() error { return g.Act(g.ctx(), id, "createImage", map[string]string{"name": "snap"}) },
		"a resize":   func() error { return resizeTo(g, g.ctx(), id) },
	} {
		before := g.faults(id)
		g.must(ask())
		g.await(id, "ACTIVE")
		saysSo(what, id, before)
	}
	g.must(noHalfImages(g, id))
}

// uses does what failed before.
func (g *ground) uses(id string) {
	g.t.Helper()
	built := g.boot()
	g.must(g.Act(g.ctx(), id, "createImage", map[string]string{"name": "snap"}))
	g.await(id, "ACTIVE")
	resized(g, id)
	g.must(g.Act(g.ctx(), id, "revertResize", nil))
	g.await(id, "ACTIVE")
	g.drop(built)
}

// fillDisk takes the last byte of a file system.
func (g *ground) fillDisk(dir string) {
	g.t.Helper()
	f, err := os.Create(filepath.Join(dir, "filler"))
	g.must(err)
	defer f.Close()
	var st unix.Statfs_t
	g.must(unix.Statfs(dir, &st))
	if err := unix.Fallocate(int(f.Fd()), 0, 0, int64(st.Bavail)*st.Bsize); err != nil && !errors.Is(err, unix.ENOSPC) {
		g.t.Fatal(err)
	}
	block := make([]byte, 4096)
	for err == nil {
		_, err = f.Write(block)
	}
	if !errors.Is(err, unix.ENOSPC) {
		g.t.Fatal(err)
	}
}

// fillInodes makes files until the file system has no inode left.
func (g *ground) fillInodes(dir string) {
	g.t.Helper()
	g.must(os.Mkdir(filepath.Join(dir, "fillers"), 0o700))
	var err error
	for i := 0; err == nil; i++ {
		err = os.WriteFile(filepath.Join(dir, "fillers", fmt.Sprint(i)), nil, 0o600)
	}
	if !errors.Is(err, unix.ENOSPC) {
		g.t.Fatal(err)
	}
}

// fewDescriptors leaves the node those that it has: the lowest one that is free is the
// limit.
func (g *ground) fewDescriptors() {
	g.t.Helper()
	free := uint64(0)
	for {
		_, err := os.Lstat(fmt.Sprintf("/proc/%d/fd/%d", g.node.cmd.Process.Pid, free))
		if errors.Is(err, os.ErrNotExist) {
			break
		}
		g.must(err)
		free++
	}
	g.limitDescriptors(func(unix.Rlimit) uint64 { return free })
}

func (g *ground) manyDescriptors() {
	g.t.Helper()
	g.limitDescriptors(func(l unix.Rlimit) uint64 { return l.Max })
}

// limitDescriptors changes how many the node may have.
func (g *ground) limitDescriptors(choose func(unix.Rlimit) uint64) {
	g.t.Helper()
	pid := g.node.cmd.Process.Pid
	var l unix.Rlimit
	g.must(unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &l))
	l.Cur = choose(l)
	g.must(unix.Prlimit(pid, unix.RLIMIT_NOFILE, &l, nil))
}
