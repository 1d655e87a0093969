// Package openvswitch starts an Open vSwitch of a test's own: a database server and a
// switch with the userspace datapath, whose files are in a directory of its own.
// Both are processes of this one and end with it at the latest.
//
// A Switch is used by one goroutine at a time.
package openvswitch

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"bolide/test/child"
)

// Limit bounds how long a program of Open vSwitch takes to answer or to end.
const Limit = 60 * time.Second

// Options of New.
type Options struct {
	// Enter takes the calling thread to the network namespace of the switch; nil: it
	// is this program's.
	Enter func() error
}

// Switch is a database server and, once it is started, a switch.
type Switch struct {
	enter  func() error
	dir    string
	server *program
	daemon *program
}

// program is a running one.
type program struct {
	cmd    *exec.Cmd
	ended  <-chan struct{}
	output *bytes.Buffer // what it complained of; to be read when it has ended
}

// schemaFile is where Open vSwitch's database is described.
const schemaFile = "/usr/share/openvswitch/vswitch.ovsschema"

// Missing says what this machine lacks for a Switch; nil: nothing.
func Missing() error {
	if os.Geteuid() != 0 {
		return errors.New("needs root")
	}
	for _, tool := range []string{"ovsdb-server", "ovs-vswitchd", "ovsdb-tool", "ovs-vsctl"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("needs Open vSwitch: %w", err)
		}
	}
	_, err := os.Stat(schemaFile)
	return err
}

// New makes a database and starts its server. The caller must Close the switch.
func New(o Options) (*Switch, error) {
	dir, err := os.MkdirTemp("", "ovs") // short: a socket's path has at most 108 bytes
	if err != nil {
		return nil, err
	}
	s := &Switch{enter: o.Enter, dir: dir}
	if s.enter == nil {
		s.enter = func() error { return nil }
	}
	if _, err = run("ovsdb-tool", "create", s.Path("conf.db"), schemaFile); err == nil {
		err = s.StartServer()
	}
	if err == nil {
		_, err = s.Ctl("init")
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Path is that of a file in the directory of the switch.
func (s *Switch) Path(name string) string { return filepath.Join(s.dir, name) }

// Connection is where the database answers.
func (s *Switch) Connection() string { return "unix:" + s.Path("db.sock") }

// StartServer starts the database server, which a New switch has, with more to
// listen at and other options, and waits until it answers.
func (s *Switch) StartServer(more ...string) error {
	args := []string{s.Path("conf.db"), "--remote=p" + s.Connection(), "--unixctl=" + s.Path("server.ctl"), "-vconsole:warn"}
	var err error
	if s.server, err = s.start("ovsdb-server", append(args, more...)...); err != nil {
		return err
	}
	for deadline := time.Now().Add(Limit); ; {
		if _, err = s.Ctl("show"); err == nil || time.Now().After(deadline) {
			return err
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-s.server.ended:
			return fmt.Errorf("ovsdb-server ended: %s", s.server.output)
		}
	}
}

// StopServer kills the database server.
func (s *Switch) StopServer() error { return s.server.kill() }

// StartSwitch starts the switch itself.
func (s *Switch) StartSwitch() (err error) {
	s.daemon, err = s.start("ovs-vswitchd", s.Connection(), "--unixctl="+s.Path("switch.ctl"), "-vconsole:warn")
	return err
}

// Settle waits until the switch has done all that the database says.
func (s *Switch) Settle() error {
	_, err := run("ovs-vsctl", "--db="+s.Connection(), "--timeout=60", "set", "Open_vSwitch", ".", "other_config:settled=true")
	return err
}

// Ctl asks or changes the database as an administrator does, with ovs-vsctl. It
// does not wait for the switch.
func (s *Switch) Ctl(args ...string) (string, error) {
	return run("ovs-vsctl", append([]string{"--db=" + s.Connection(), "--no-wait", "--timeout=10"}, args...)...)
}

// Close ends the programs and removes the files. The error tells what they had to
// complain of, if they did not run to the end.
func (s *Switch) Close() error {
	return errors.Join(s.daemon.kill(), s.server.kill(), os.RemoveAll(s.dir))
}

func (s *Switch) start(name string, args ...string) (*program, error) {
	p := &program{cmd: exec.Command(name, args...), output: &bytes.Buffer{}}
	p.cmd.Env = append(os.Environ(), "OVS_RUNDIR="+s.dir, "OVS_DBDIR="+s.dir, "OVS_LOGDIR="+s.dir, "LC_ALL=C")
	p.cmd.Stdout, p.cmd.Stderr = io.Discard, p.output
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var err error
	p.ended, err = child.StartAfter(p.cmd, s.enter)
	return p, err
}

// kill ends a program, if it was started, and waits for its end.
func (p *program) kill() error {
	if p == nil {
		return nil
	}
	select {
	case <-p.ended:
		if how := p.cmd.ProcessState.Sys().(syscall.WaitStatus); how.Signal() != syscall.SIGKILL {
			return fmt.Errorf("%s: %s: %s", p.cmd.Path, p.cmd.ProcessState, p.output)
		}
		return nil
	default:
	}
	_ = p.cmd.Process.Kill() // it may have ended meanwhile
	select {
	case <-p.ended:
		return nil
	case <-time.After(Limit):
		return fmt.Errorf("%s does not end", p.cmd.Path)
	}
}

func run(name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%q: %w: %s", cmd.Args, err, out)
	}
	return strings.TrimSpace(string(out)), nil
}
