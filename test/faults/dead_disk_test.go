package faults

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"bolide/test/child"
)

// server serves a guest's disk as a file system of its own does, until it is stopped:
// then whoever touches the disk waits, as for an NFS server that is gone.
type server struct {
	g    *ground
	path string
	cmd  *exec.Cmd
	done <-chan struct{}
}

// serveDisk puts a server in front of a disk, which must not be in use.
func (g *ground) serveDisk(path string) *server {
	g.t.Helper()
	served := path + ".served"
	var before unix.Stat_t
	g.must(os.Rename(path, served))
	g.must(unix.Stat(served, &before))
	g.must(os.WriteFile(path, nil, 0o644))
	s := &server{g: g, path: path, cmd: exec.Command("qemu-storage-daemon",
		"--blockdev", "driver=file,node-name=disk,filename="+served,
		"--export", "type=fuse,id=disk,node-name=disk,writable=on,allow-other=on,mountpoint="+path)}
	var err error
	s.done, err = child.Start(s.cmd)
	g.must(err)
	g.t.Cleanup(s.end)
	g.must(Until(g.ctx(), settleLimit, func() error {
		var now unix.Stat_t
		if err := unix.Stat(path, &now); err != nil || now.Size != before.Size {
			return fmt.Errorf("%s is not served yet: %w", path, err)
		}
		return nil
	}))
	return s
}

func (s *server) signal(sig syscall.Signal) {
	s.g.t.Helper()
	s.g.must(s.cmd.Process.Signal(sig))
}

// end takes the server away; the disk is there as before.
func (s *server) end() {
	select {
	case <-s.done:
		return
	default:
	}
	s.signal(syscall.SIGKILL) // it would wait for who has the disk open
	<-s.done
	s.g.must(unix.Unmount(s.path, unix.MNT_DETACH))
	s.g.must(os.Rename(s.path+".served", s.path))
}

// TestDeadDisk: when a guest's disk does not answer, only what is asked of that guest
// fails; when it does, the guest can be used.
func TestDeadDisk(t *testing.T) {
	if _, err := os.Stat("/dev/fuse"); err != nil {
		t.Skip(err)
	}
	if _, err := exec.LookPath("qemu-storage-daemon"); err != nil {
		t.Skip(err)
	}
	g := newLongGround(t, "[DEFAULT]\nreport_interval = 2\nupdate_resources_interval = 2\n")
	dead, other := g.boot(), g.boot()
	g.must(g.Act(g.ctx(), dead, "os-stop", nil))
	g.await(dead, "SHUTOFF")
	disk := g.serveDisk(filepath.Join(g.instances(), dead, "disk"))
	starts(g, dead)

	size, before, began := g.logSize(), g.reports(), time.Now()
	disk.signal(syscall.SIGSTOP)
	g.must(g.Act(g.ctx(), dead, "reboot", map[string]string{"type": "HARD"}))
	g.must(Until(g.ctx(), settleLimit, func() error {
		if !strings.Contains(g.logSince(size), "does not answer; its figures stay") {
			return errors.New("nothing is said of disks that cannot be measured")
		}
		return nil
	}))
	built := g.boot()
	g.must(g.Act(g.ctx(), other, "createImage", map[string]string{"name": "snap"}))
	g.await(other, "ACTIVE")
	g.must(g.Act(g.ctx(), other, "reboot", map[string]string{"type": "HARD"}))
	g.await(other, "ACTIVE")
	g.must(g.Delete(g.ctx(), built))
	g.await(built, "DELETED") // what is left of it cannot be asked of libvirtd, whose list of guests waits as well
	g.must(Until(g.ctx(), 2*settleLimit, func() error {
		if g.faults(dead) == "" {
			return errors.New("the reboot of the guest without disk has no fault yet")
		}
		return nil
	}))
	if got, least := g.reports()-before, int64(time.Since(began)/(4*time.Second)); got < least {
		t.Errorf("%d signs of life, want %d", got, least)
	}
	disk.signal(syscall.SIGCONT)
	began = time.Now()
	g.await(dead, "ACTIVE", "ERROR", "SHUTOFF")
	g.must(g.Act(g.ctx(), dead, "reboot", map[string]string{"type": "HARD"}))
	g.await(dead, "ACTIVE")
	g.clean(built)
	g.report("a guest's disk did not answer", time.Since(began), "other guests were used meanwhile; "+g.faults(dead))

	g.must(g.Act(g.ctx(), dead, "os-stop", nil))
	g.await(dead, "SHUTOFF")
	disk.end()
	g.drop(dead)
	g.drop(other)
}
