package broker

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"bolide/test/child"
)

// process is a child with its own process group.
type process struct {
	cmd  *exec.Cmd
	log  string
	done <-chan struct{} // closed once the child is reaped
}

// spawn starts cmd with its output in the file log. The child dies with us.
func spawn(cmd *exec.Cmd, log string) (*process, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	done, err := child.Start(cmd)
	if err != nil {
		return nil, err
	}
	return &process{cmd: cmd, log: log, done: done}, nil
}

func (p *process) signal(s syscall.Signal) error {
	return syscall.Kill(-p.cmd.Process.Pid, s)
}

// end signals the group and waits until the child is reaped; after limit it
// kills the group.
func (p *process) end(s syscall.Signal, limit time.Duration) error {
	select {
	case <-p.done:
		return nil
	default:
	}
	if err := p.signal(s); err != nil {
		return fmt.Errorf("signal %v: %w", p.cmd.Args, err)
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(limit):
	}
	_ = p.signal(syscall.SIGKILL) // it may have ended meanwhile
	<-p.done
	return fmt.Errorf("%v did not end within %s of %s", p.cmd.Args, limit, s)
}

// output is the end of what the child printed.
func (p *process) output() string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	if len(b) > 4096 {
		b = b[len(b)-4096:]
	}
	return string(b)
}
