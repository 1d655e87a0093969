package remote

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// keptOutput is how many of the last bytes of a command's output an error shows.
const keptOutput = 4 << 10

// Error reports a command that went wrong. It unwraps to the reason: the context's error, or the exit status.
type Error struct {
	Argv   []string
	Output string // the end of what it printed
	Err    error
}

func (e *Error) Error() string {
	msg := fmt.Sprintf("%s: %v", strings.Join(e.Argv, " "), e.Err)
	if out := strings.TrimSpace(e.Output); out != "" {
		msg += ": " + out
	}
	return msg
}

func (e *Error) Unwrap() error { return e.Err }

// run runs a command until it or ctx ends. watch, if there is one, is told the process and returns when its context ends.
func run(ctx context.Context, argv []string, watch func(ctx context.Context, pid int)) error {
	// the kernel ends the command with the thread that started it, so the thread has to stay
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "LANG=C")
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	// scp and rsync start an ssh of their own: all of the group has to end
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	var out tail
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		return &Error{Argv: argv, Err: err}
	}
	watching, stop := context.WithCancel(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		if watch != nil {
			watch(watching, cmd.Process.Pid)
		}
	}()
	err := cmd.Wait()
	stop()
	<-watched
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return &Error{Argv: argv, Output: string(out), Err: err}
}

// tail keeps the last bytes written to it.
type tail []byte

func (t *tail) Write(p []byte) (int, error) {
	*t = append(*t, p...)
	if over := len(*t) - keptOutput; over > 0 {
		*t = append((*t)[:0], (*t)[over:]...)
	}
	return len(p), nil
}

// errStalled ends a copy that stands still.
var errStalled = errors.New("the copy stands still")

// look is how often a running copy is looked at.
const look = 500 * time.Millisecond

// copy runs a copy of the local file, in either direction, and follows how far it has come.
func (f *FS) copy(ctx context.Context, argv []string, local string, progress func(int64)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	return run(ctx, argv, func(ctx context.Context, pid int) {
		ticker := time.NewTicker(look)
		defer ticker.Stop()
		at, since := int64(-1), time.Now()
		for {
			select {
			case <-ctx.Done():
				return
			case now := <-ticker.C:
				pos := position(pid, local)
				switch {
				case pos > at:
					at, since = pos, now
					if progress != nil {
						progress(pos)
					}
				case now.Sub(since) > f.opts.Stall:
					cancel(fmt.Errorf("%w for %s", errStalled, f.opts.Stall))
					return
				}
			}
		}
	})
}
