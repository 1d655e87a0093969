package faults

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/sirupsen/logrus"

	"bolide/agent"
	"bolide/agent/config"
	"bolide/test/child"
	"bolide/test/controller"
)

// Host is the node's name.
const Host = "node1"

// nodeVariable tells this program that it is to be the node, and of which
// configuration.
const nodeVariable = "FAULTS_NODE"

// What the node says on its standard output, one a line.
const (
	saysReady = "ready"
	saysStep  = "step " // operation/step
)

// hostChange is the operation whose steps are the changes that the node makes to the
// host for ports.
const hostChange = "host"

// RunNode runs the agent if this process was started to be the node, and never
// returns then.
func RunNode() {
	conf := os.Getenv(nodeVariable)
	if conf == "" {
		return
	}
	if err := runNode(conf); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func runNode(conf string) error {
	cfg, _, err := config.Load(config.Options{Sources: config.Files(conf), SearchDirs: []string{}, Hostname: Host, MyIP: "127.0.0.1"})
	if err != nil {
		return err
	}
	log := logrus.New()
	log.SetLevel(logrus.DebugLevel)
	a, err := agent.New(cfg, logrus.NewEntry(log))
	if err != nil {
		return err
	}
	ends := make(chan os.Signal, 2)
	signal.Notify(ends, syscall.SIGTERM)
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		<-ends
		stop()
		<-ends
		a.Hurry()
	}()
	d := &doom{}
	log.AddHook(d)
	go d.listen(os.Stdin)
	return a.Run(ctx, agent.Hooks{Ready: func() { fmt.Println(saysReady) }, Step: d.reached})
}

// doom kills the node at the step that its standard input names.
type doom struct {
	mu   sync.Mutex
	step string
}

func (d *doom) listen(in io.Reader) {
	for lines := bufio.NewScanner(in); lines.Scan(); {
		d.mu.Lock()
		d.step = lines.Text()
		d.mu.Unlock()
	}
}

func (d *doom) reached(operation, _, step string) {
	at := operation + "/" + step
	fmt.Println(saysStep + at)
	d.mu.Lock()
	dies := d.step == at
	d.mu.Unlock()
	if dies {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // until the signal has its effect
	}
}

// Levels implements logrus.Hook.
func (d *doom) Levels() []logrus.Level { return logrus.AllLevels }

// Fire implements logrus.Hook: the log tells of every change to the host before it is
// made. What a link's name says of its port is cut off.
func (d *doom) Fire(e *logrus.Entry) error {
	if change, ok := e.Data["change"].(string); ok {
		device, _ := e.Data["device"].(string)
		d.reached(hostChange, "", strings.TrimSpace(change+" "+device[:min(3, len(device))]))
	}
	return nil
}

// Node is the agent in a process of its own.
type Node struct {
	cmd   *exec.Cmd
	input io.WriteCloser
	ready chan struct{} // closed when it serves
	done  chan struct{} // closed when it has ended
	err   error         // how; after done

	mu    sync.Mutex
	steps []string
}

// Launch starts the node and waits until it serves.
func (c *Cloud) Launch(options string) (*Node, error) {
	state := filepath.Join(c.dir, "state")
	text := c.NodeConf(controller.NodeOptions{
		Host: Host, StatePath: state, LibvirtURI: c.Virt.URI(), Socket: filepath.Join(c.dir, "status.sock"), More: options + c.switchOptions(),
	})
	conf := filepath.Join(c.dir, "nova.conf")
	if err := os.MkdirAll(state, 0o755); err != nil {
		return nil, err
	}
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		return nil, err
	}
	n, err := c.spawn(conf)
	if err != nil {
		return nil, err
	}
	select {
	case <-n.ready:
		return n, nil
	case <-n.done:
		return nil, fmt.Errorf("the node ended at once: %w", n.err)
	case <-time.After(time.Minute):
		n.Kill()
		return nil, fmt.Errorf("the node does not serve after a minute")
	}
}

func (c *Cloud) spawn(conf string) (*Node, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	log, err := os.OpenFile(filepath.Join(c.dir, "node.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	n := &Node{cmd: exec.Command(self), ready: make(chan struct{}), done: make(chan struct{})}
	n.cmd.Env = append(os.Environ(), nodeVariable+"="+conf)
	n.cmd.Stderr = log
	output, said := io.Pipe()
	n.cmd.Stdout = said
	if n.input, err = n.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	ended, err := child.Start(n.cmd)
	if err != nil {
		return nil, err
	}
	go func() {
		<-ended
		said.Close()
	}()
	go n.follow(output)
	return n, nil
}

// follow notes what the node says, until it ends.
func (n *Node) follow(output io.Reader) {
	for lines := bufio.NewScanner(output); lines.Scan(); {
		switch line := lines.Text(); {
		case line == saysReady:
			close(n.ready)
		case strings.HasPrefix(line, saysStep):
			n.mu.Lock()
			n.steps = append(n.steps, strings.TrimPrefix(line, saysStep))
			n.mu.Unlock()
		}
	}
	if how := n.cmd.ProcessState; !how.Success() {
		n.err = errors.New(how.String())
	}
	close(n.done)
}

// Steps are the steps that operations have reached, as "operation/step".
func (n *Node) Steps() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]string(nil), n.steps...)
}

// DieAt has the node killed when an operation reaches the step, before it does
// anything of it.
func (n *Node) DieAt(step string) error {
	_, err := fmt.Fprintln(n.input, step)
	return err
}

// Dead waits until the node has died, and reports whether it did within limit.
func (n *Node) Dead(limit time.Duration) bool {
	select {
	case <-n.done:
		return true
	case <-time.After(limit):
		return false
	}
}

// Signal sends the node a signal.
func (n *Node) Signal(s syscall.Signal) error { return n.cmd.Process.Signal(s) }

// Kill kills the node and waits until it is dead.
func (n *Node) Kill() {
	_ = n.cmd.Process.Kill() // it may be dead
	<-n.done
}

// Stop asks the node to end, and returns how long that took. It kills a node that
// does not within limit.
func (n *Node) Stop(limit time.Duration) (time.Duration, error) {
	began := time.Now()
	if err := n.Signal(syscall.SIGTERM); err != nil {
		return 0, err
	}
	if !n.Dead(limit) {
		n.Kill()
		return time.Since(began), fmt.Errorf("the node does not end within %s", limit)
	}
	return time.Since(began), n.err
}
