package virt

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"bolide/test/child"
)

// holderScript runs as the first process of the namespaces: it mounts the private
// directories, says so, and then collects the children that others leave behind. What
// the test mounts on a shared mount appears here as well, and nothing of this there.
const holderScript = `set -e
mount --make-rslave /
mount -t proc proc /proc
dir=$1; shift
if [ -n "$1" ]; then hostname "$1"; fi; shift
if [ -n "$1" ]; then mount -t sysfs sysfs /sys; ip link set lo up; fi; shift
while [ $# -gt 0 ]; do
	mkdir -p "$2"
	mount --bind "$1" "$2"
	shift 2
done
if [ -e /dev/kvm ]; then mount --bind "$dir/nokvm" /dev/kvm; fi
if [ -d /run/dbus ]; then mount --bind "$dir/empty" /run/dbus; fi
echo ready
while :; do sleep 3600 & wait $! || :; done
`

// process is a child with its end observable.
type process struct {
	pid  int
	done <-chan struct{} // closed when the process has ended and is collected
}

func (p *process) signal(s syscall.Signal) error {
	select {
	case <-p.done:
		return os.ErrProcessDone
	default:
		return unix.Kill(p.pid, s)
	}
}

// kill ends the process with SIGKILL and waits until it is gone.
func (p *process) kill() {
	_ = p.signal(syscall.SIGKILL) // already gone is as good
	<-p.done
}

// startHolder makes the namespaces and waits until their mounts stand.
func startHolder(dir string, h Host) (*process, error) {
	own, flags := "", uintptr(unix.CLONE_NEWNS|unix.CLONE_NEWPID|unix.CLONE_NEWUTS)
	if h.Network {
		own, flags = "network", flags|unix.CLONE_NEWNET
	}
	args := []string{"-c", holderScript, "holder", dir, h.Name, own}
	for name, target := range binds {
		args = append(args, filepath.Join(dir, name), target)
	}
	for source, target := range h.Binds {
		args = append(args, source, target)
	}
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer read.Close()
	cmd := exec.Command("/bin/sh", args...)
	cmd.Stdout, cmd.Stderr = write, write
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags}
	done, err := child.Start(cmd)
	write.Close()
	if err != nil {
		return nil, err
	}
	p := &process{cmd.Process.Pid, done}
	line, err := bufio.NewReader(read).ReadString('\n')
	if err != nil || line != "ready\n" {
		p.kill()
		return nil, fmt.Errorf("make namespaces: %s", strings.TrimSpace(line))
	}
	return p, nil
}

// startIn starts a command in the holder's namespaces.
func startIn(holder *process, name string, args ...string) (*process, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return nil, err
	}
	return startCommandIn(holder, exec.Command(path, args...))
}

func startCommandIn(holder *process, cmd *exec.Cmd) (*process, error) {
	done, err := child.StartAfter(cmd, func() error { return enter(holder.pid) })
	if err != nil {
		return nil, err
	}
	return &process{cmd.Process.Pid, done}, nil
}

// enter moves the calling thread into the mount, network and host name namespaces of a process
// and its future children into that process's PID namespace.
func enter(pid int) error {
	if err := unix.Unshare(unix.CLONE_FS); err != nil { // a thread that shares its root cannot move
		return fmt.Errorf("unshare: %w", err)
	}
	proc := filepath.Join("/proc", fmt.Sprint(pid), "ns")
	for _, ns := range []struct {
		name string
		kind int
	}{{"pid", unix.CLONE_NEWPID}, {"uts", unix.CLONE_NEWUTS}, {"net", unix.CLONE_NEWNET}, {"mnt", unix.CLONE_NEWNS}} {
		f, err := os.Open(filepath.Join(proc, ns.name))
		if err != nil {
			return err
		}
		err = unix.Setns(int(f.Fd()), ns.kind)
		if err = errors.Join(err, f.Close()); err != nil {
			return fmt.Errorf("enter %s namespace of %d: %w", ns.name, pid, err)
		}
	}
	return nil
}
