package virt

import (
	"io"
	"os/exec"
	"syscall"
)

// Program is a program that runs on the daemon's host: it sees the daemon's files.
type Program struct{ process *process }

// Run starts a program; what it says goes to out. It ends with the daemon's Close at
// the latest.
func (d *Daemon) Run(out io.Writer, path string, args ...string) (*Program, error) {
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = out, out
	p, err := startCommandIn(d.holder, cmd)
	if err != nil {
		return nil, err
	}
	return &Program{p}, nil
}

// Start is Run for a command that is more than its arguments. The channel is closed when it has ended and is collected;
// how, cmd.ProcessState tells from then on.
func (d *Daemon) Start(cmd *exec.Cmd) (<-chan struct{}, error) {
	p, err := startCommandIn(d.holder, cmd)
	if err != nil {
		return nil, err
	}
	return p.done, nil
}

// Signal sends the program a signal; os.ErrProcessDone if it has ended.
func (p *Program) Signal(s syscall.Signal) error { return p.process.signal(s) }

// Kill ends the program with SIGKILL and waits until it is gone.
func (p *Program) Kill() { p.process.kill() }

// Done is closed when the program has ended.
func (p *Program) Done() <-chan struct{} { return p.process.done }
