package site

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// restartPause is how long the supervisor waits before it starts a dead node
// again, as the unit file has it.
const restartPause = time.Second

// stopLimit bounds the wait for a node that was asked to stop.
const stopLimit = 30 * time.Second

// node is the bolide process with its supervisor.
type node struct {
	bolide string
	asked  chan struct{} // closed when the end is wanted
	ended  chan struct{} // closed when the supervisor has ended

	mu      sync.Mutex
	process *os.Process // nil while none runs
	err     error       // why it could not be started
}

// newNode starts the node; end stops it.
func newNode(bolide string) *node {
	n := &node{bolide: bolide, asked: make(chan struct{}), ended: make(chan struct{})}
	go n.supervise()
	return n
}

func (n *node) supervise() {
	defer close(n.ended)
	for {
		err := n.run()
		n.mu.Lock()
		n.err = err
		n.mu.Unlock()
		select {
		case <-n.asked:
			return
		case <-time.After(restartPause):
		}
	}
}

// run runs the node until it ends.
func (n *node) run() error {
	log, err := openLog("bolide")
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(n.bolide, "run", "--config-file", conf)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // the terminal's interrupt is not for it
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the node: %w", err)
	}
	n.mu.Lock()
	n.process = cmd.Process
	n.mu.Unlock()
	select {
	case <-n.asked: // before there was a process to signal
		n.signal(syscall.SIGTERM)
	default:
	}
	err = cmd.Wait()
	n.mu.Lock()
	n.process = nil
	n.mu.Unlock()
	return err
}

// end stops the node, and kills it when it takes too long.
func (n *node) end() error {
	close(n.asked)
	n.signal(syscall.SIGTERM)
	select {
	case <-n.ended:
		return nil
	case <-time.After(stopLimit):
	}
	n.signal(syscall.SIGKILL)
	<-n.ended
	return errors.New("the node did not stop when asked to, and was killed")
}

func (n *node) signal(s syscall.Signal) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.process != nil {
		_ = n.process.Signal(s) // it may have ended
	}
}

// logTail is the end of what the node said.
func (n *node) logTail() string {
	const most = 3000 // bytes
	b, err := os.ReadFile(Log("bolide"))
	if err != nil {
		return err.Error()
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	tail := string(bytes.TrimSpace(b[max(0, len(b)-most):]))
	if n.err != nil {
		tail += "\n" + n.err.Error()
	}
	return tail
}
