package enclave

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// ErrInUse says that an enclave is up in this working directory already.
var ErrInUse = errors.New("one is up already")

// ExitError says that the program inside ended with a status that is not zero;
// it told why itself.
type ExitError struct{ Code int }

func (e *ExitError) Error() string { return fmt.Sprintf("exit status %d", e.Code) }

// exitError tells the end of the program inside from a failure to run it.
func exitError(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return &ExitError{Code: max(1, exit.ExitCode())}
	}
	return err
}

// Enter runs this program's own command line again inside, in a new enclave
// whose working directory is dir, and waits for it. The error is an *ExitError when it
// did not end well. When ctx ends the program inside is asked to stop;
// everything in there is gone when Enter returns.
func Enter(ctx context.Context, dir Dir) error {
	unlock, err := dir.take()
	if err != nil {
		return err
	}
	defer unlock()

	// The kernel ends the child when the thread that made it ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := again(dir, AsInit)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
		Pdeathsig:  syscall.SIGKILL,
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start in new namespaces: %w", err)
	}
	if err := os.WriteFile(dir.pid(), []byte(strconv.Itoa(cmd.Process.Pid)), 0o644); err != nil {
		_ = cmd.Process.Kill()
		return errors.Join(err, cmd.Wait())
	}
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Signal(syscall.SIGTERM) })
	defer stop()
	return exitError(cmd.Wait())
}

// Join runs this program's own command line again inside the enclave that is
// up in dir. It returns fs.ErrNotExist when there is none.
func Join(dir Dir) error {
	pid, err := dir.Running()
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cwd, err := os.Getwd()
	if err != nil {
		return err
	}
	args := []string{"--target", strconv.Itoa(pid), "--mount", "--net", "--pid", "--uts", "--ipc", "--wdns=" + cwd, "--", self}
	cmd := exec.Command("nsenter", append(args, os.Args[1:]...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), stageVar+"="+string(Inside), dirVar+"="+string(dir))
	// The terminal's interrupt goes to the program inside as well; wait for it.
	signal.Ignore(syscall.SIGINT)
	defer signal.Reset(syscall.SIGINT)
	return exitError(cmd.Run())
}

// Stop asks the enclave that is up in dir to stop.
func (d Dir) Stop() error {
	pid, err := d.Running()
	if err != nil {
		return err
	}
	return syscall.Kill(pid, syscall.SIGTERM)
}

// Running returns process 1 of the enclave that is up in d, by its number
// outside; fs.ErrNotExist when none is.
func (d Dir) Running() (int, error) {
	lock, err := os.Open(d.lock())
	if err != nil {
		return 0, err
	}
	defer func() { _ = lock.Close() }()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_SH|unix.LOCK_NB); err == nil {
		return 0, fmt.Errorf("nothing is up in %s: %w", d, fs.ErrNotExist)
	}
	b, err := os.ReadFile(d.pid())
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(b)))
}

// IsReady says whether what is in d finished coming up.
func (d Dir) IsReady() bool {
	_, err := os.Stat(d.ready())
	return err == nil
}

// MarkReady says to others that it finished coming up.
func (d Dir) MarkReady() error {
	return os.WriteFile(d.ready(), nil, 0o644)
}

// take empties the directory, but for its lock, and holds it until unlock.
func (d Dir) take() (unlock func(), err error) {
	if err := os.MkdirAll(string(d), 0o755); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(d.lock(), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = lock.Close()
		return nil, fmt.Errorf("%w in %s", ErrInUse, d)
	}
	if err := d.clear("lock"); err != nil {
		_ = lock.Close()
		return nil, err
	}
	return func() {
		_ = d.clear("lock", "log", "etc")
		_ = lock.Close()
	}, nil
}

// clear removes everything in d except the names in keep.
func (d Dir) clear(keep ...string) error {
	entries, err := os.ReadDir(string(d))
	if err != nil {
		return err
	}
	var errs []error
next:
	for _, e := range entries {
		for _, k := range keep {
			if e.Name() == k {
				continue next
			}
		}
		errs = append(errs, os.RemoveAll(filepath.Join(string(d), e.Name())))
	}
	return errors.Join(errs...)
}

// Init is the work of the init stage; it does not return. It makes the mounts
// private, calls setup for those of the program's own and whatever else comes
// first, runs the program inside, and collects every orphan of the enclave,
// because a dead process that nobody collects still looks alive to whoever waits
// for it (libvirt does, for its guests).
func Init(setup func(Dir) error) {
	dir := CurrentDir()
	fail := func(err error) {
		if err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", filepath.Base(os.Args[0]), err)
			os.Exit(1)
		}
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		fail(fmt.Errorf("make mounts private: %w", err))
	}
	fail(MountFS("proc", "/proc", ""))
	fail(setup(dir))
	cmd := again(dir, Inside)
	fail(cmd.Start())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	signal.Ignore(syscall.SIGINT) // the terminal sends it to the program inside as well
	go func() {
		for s := range signals {
			_ = cmd.Process.Signal(s)
		}
	}()
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case err == syscall.EINTR:
		case err != nil:
			os.Exit(1)
		case pid == cmd.Process.Pid && status.Signaled():
			os.Exit(128 + int(status.Signal()))
		case pid == cmd.Process.Pid && status.Exited():
			os.Exit(status.ExitStatus())
		}
	}
}

// MountFS mounts a file system of the kernel's own on target, which it makes.
func MountFS(kind, target, options string) error {
	if err := os.MkdirAll(target, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(kind, target, kind, 0, options); err != nil {
		return fmt.Errorf("mount %s on %s: %w", kind, target, err)
	}
	return nil
}

// again is this program's own command line, for another stage.
func again(dir Dir, stage Stage) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), stageVar+"="+string(stage), dirVar+"="+string(dir))
	return cmd
}
