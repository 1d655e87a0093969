package netplug

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/sirupsen/logrus"
)

// assignment is what a process that is to be killed has to do, as JSON in its
// environment.
type assignment struct {
	Port    Port
	Unplug  bool
	Options OVSOptions
	Step    int // before which change to the host it is killed
}

const assignmentVar = "NETPLUG_ASSIGNMENT"

// TestKilledAtEveryStep has a process plug and unplug each kind of port and be
// killed (SIGKILL) before each thing it does to the host. After the next process
// the port is plugged, if it calls Ensure, and nothing is left, if it calls Remove.
func TestKilledAtEveryStep(t *testing.T) {
	n := newNamespace(t)
	o := newOVS(t, n)
	o.put(integration())
	for name, p := range kindsOfPort() {
		t.Run(name, func(t *testing.T) {
			options := OVSOptions{Connection: o.Connection(), Timeout: settleTime, MTU: 1500, PerPortBridge: name == "own bridge"}
			net := newNet(Options{OVS: options}, kernel{}, &database{options: options, log: Options{}.logger()})
			do := func(call func(context.Context, Port) error) string {
				var err error
				n.do(func() { err = call(t.Context(), p) })
				if err != nil {
					t.Fatal(err)
				}
				return sorted(append(n.describe(), o.describe()...))
			}
			empty := do(net.Remove)
			full := do(net.Ensure)
			if full == empty || strings.Contains(empty, p.ID[:11]) {
				t.Fatalf("plugged:\n%s\nunplugged:\n%s", full, empty)
			}
			for _, unplug := range []bool{false, true} {
				for step := 1; ; step++ {
					do(map[bool]func(context.Context, Port) error{false: net.Remove, true: net.Ensure}[unplug])
					killed := n.runKilled(t, assignment{Port: p, Unplug: unplug, Options: options, Step: step})
					if !killed && step == 1 {
						t.Fatal("nothing was done")
					}
					if !killed {
						break
					}
					if !unplug {
						if got := do(net.Ensure); got != full {
							t.Fatalf("plugged after a kill at step %d:\n%s\nwant\n%s", step, got, full)
						}
						// killed again in the same place, and given up
						do(net.Remove)
						n.runKilled(t, assignment{Port: p, Options: options, Step: step})
					}
					if got := do(net.Remove); got != empty {
						t.Fatalf("left after a kill at step %d:\n%s\nwant\n%s", step, got, empty)
					}
				}
			}
		})
	}
}

// TestKilledOnLinuxBridge is the same for a port on a Linux bridge: the bridge is
// whole after Ensure whatever a crash left of it, and stays with its network; of
// a guest that died with its node the tap goes.
func TestKilledOnLinuxBridge(t *testing.T) {
	const bridge = brq + " bridge up plain isolated"
	n := newNamespace(t)
	net := newNet(Options{}, kernel{}, newFakeSwitch())
	p := bridgePort()
	do := func(call func(context.Context, Port) error, step int, want string) {
		t.Helper()
		var err error
		n.do(func() { err = call(t.Context(), p) })
		if err != nil {
			t.Fatal(err)
		}
		if got := sorted(n.describe()); got != want {
			t.Fatalf("after a kill at step %d:\n%s\nwant\n%s", step, got, want)
		}
	}
	for _, unplug := range []bool{false, true} {
		for step := 1; ; step++ {
			if !unplug { // for plugging, there is nothing yet
				n.do(func() { _, _ = removeLink(kernel{}, brq, kindBridge) })
			} else {
				n.add(tapName, kindTap, true)
			}
			killed := n.runKilled(t, assignment{Port: p, Unplug: unplug, Step: step})
			if !killed && step == 1 {
				t.Fatal("nothing was done")
			}
			if !unplug {
				do(net.Ensure, step, bridge)
			}
			do(net.Remove, step, bridge)
			if !killed {
				break
			}
		}
	}
}

// runKilled runs this program again in the namespace, and reports whether it was
// killed before it had done its work.
func (n *namespace) runKilled(t *testing.T, a assignment) (killed bool) {
	t.Helper()
	text, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), assignmentVar+"="+string(text))
	var out []byte
	n.do(func() { out, err = cmd.CombinedOutput() })
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL {
		return true
	}
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return false
}

// TestMain is also where the process begins that is to be killed.
func TestMain(m *testing.M) {
	text, given := os.LookupEnv(assignmentVar)
	if !given {
		os.Exit(m.Run())
	}
	if err := carryOut([]byte(text)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func carryOut(text []byte) error {
	var a assignment
	if err := json.Unmarshal(text, &a); err != nil {
		return err
	}
	log := logrus.New()
	log.SetOutput(io.Discard)
	log.SetLevel(logrus.DebugLevel)
	log.AddHook(&killer{left: a.Step})
	entry := logrus.NewEntry(log)
	net := newNet(Options{OVS: a.Options, Log: entry}, kernel{}, &database{options: a.Options, log: entry})
	if a.Unplug {
		return net.Remove(context.Background(), a.Port)
	}
	return net.Ensure(context.Background(), a.Port)
}

// killer kills its own process when the log tells of a change to the host that is
// about to be made.
type killer struct {
	left int // how many changes it takes
}

// Levels implements logrus.Hook.
func (*killer) Levels() []logrus.Level { return logrus.AllLevels }

// Fire implements logrus.Hook.
func (k *killer) Fire(e *logrus.Entry) error {
	if e.Data["change"] == nil {
		return nil
	}
	if k.left--; k.left == 0 {
		err := syscall.Kill(os.Getpid(), syscall.SIGKILL)
		panic(fmt.Sprint("still alive: ", err))
	}
	return nil
}
