// Package child starts programs that do not outlive the program of the tests, however that ends.
package child

import (
	"fmt"
	"os/exec"
	"runtime"
	"syscall"
)

// Start starts cmd, and has the kernel kill it when this process ends. The channel is closed when the program has ended
// and is collected; how, cmd.ProcessState tells from then on.
func Start(cmd *exec.Cmd) (<-chan struct{}, error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	return StartAfter(cmd, func() error { return nil })
}

// StartAfter starts cmd from a thread of its own that first does before, which may take it into other namespaces. It
// leaves SysProcAttr as it is: from another PID namespace than its parent's, a program cannot be killed with it.
//
// The thread waits for the program, because the kernel takes the end of the thread that started a program for the end of
// its parent: from a thread of the scheduler's it would be killed as soon as that thread is thrown away.
func StartAfter(cmd *exec.Cmd, before func() error) (<-chan struct{}, error) {
	started, done := make(chan error, 1), make(chan struct{})
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		defer close(done)
		err := before()
		if err == nil {
			err = cmd.Start()
		}
		started <- err
		if err == nil {
			_ = cmd.Wait() // cmd.ProcessState holds how it ended
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	return done, nil
}
