package netplug

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// assignment is what a process that is to be killed has to do, as JSON in its
// environment.
type assignment struct {
	Port    Port
	Unplug  bool
	Options OVSOptions
	Step    int // it is killed at this one
}

const assignmentVar = "NETPLUG_ASSIGNMENT"

// TestKilledAtEveryStep has a process plug and unplug each kind of port and be
// killed (SIGKILL) before and after each thing it does to the host. The next
// process finds the port plugged after Ensure, and nothing left after Remove.
func TestKilledAtEveryStep(t *testing.T) {
	n := newNamespace(t)
	o := newOVS(t, n)
	o.put(integration())
	for name, p := range kindsOfPort() {
		t.Run(name, func(t *testing.T) {
			options := OVSOptions{Connection: o.connection(), Timeout: settleTime, MTU: 1500, PerPortBridge: name == "own bridge"}
			net := newNet(Options{}.logger(), kernel{}, &database{options: options, log: Options{}.logger()}, options)
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
	net := newNet(Options{}.logger(), kernel{}, newFakeSwitch(), OVSOptions{})
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
	k := &killer{links: kernel{}, vswitch: &database{options: a.Options, log: Options{}.logger()}, left: a.Step}
	net := newNet(Options{}.logger(), k, killerSwitch{k}, a.Options)
	if a.Unplug {
		return net.Remove(context.Background(), a.Port)
	}
	return net.Ensure(context.Background(), a.Port)
}

// killer passes what changes the host on to the host, and kills its own process
// when its steps are over.
type killer struct {
	links
	vswitch vswitch
	left    int
}

// step does one thing, with a chance to be killed before and after.
func (k *killer) step(do func() error) error {
	k.tick()
	err := do()
	k.tick()
	return err
}

func (k *killer) tick() {
	if k.left--; k.left == 0 {
		err := syscall.Kill(os.Getpid(), syscall.SIGKILL)
		panic(fmt.Sprint("still alive: ", err))
	}
}

func (k *killer) AddBridge(name string, o bridgeOptions) error {
	return k.step(func() error { return k.links.AddBridge(name, o) })
}

func (k *killer) AddVeth(name, peer string) error {
	return k.step(func() error { return k.links.AddVeth(name, peer) })
}

func (k *killer) AddTap(name string, o tapOptions) error {
	return k.step(func() error { return k.links.AddTap(name, o) })
}

func (k *killer) Isolate(name string) error {
	return k.step(func() error { return k.links.Isolate(name) })
}

func (k *killer) Up(name string) error {
	return k.step(func() error { return k.links.Up(name) })
}

func (k *killer) SetMTU(name string, mtu int) error {
	return k.step(func() error { return k.links.SetMTU(name, mtu) })
}

func (k *killer) SetMAC(name, mac string) error {
	return k.step(func() error { return k.links.SetMAC(name, mac) })
}

func (k *killer) SetBridge(name, bridge string) error {
	return k.step(func() error { return k.links.SetBridge(name, bridge) })
}

func (k *killer) Delete(name string) error {
	return k.step(func() error { return k.links.Delete(name) })
}

// killerSwitch is the killer's part at the switch.
type killerSwitch struct{ *killer }

func (k killerSwitch) Ensure(ctx context.Context, want switchState) error {
	return k.step(func() error { return k.vswitch.Ensure(ctx, want) })
}

func (k killerSwitch) Remove(ctx context.Context, gone switchRemoval) error {
	return k.step(func() error { return k.vswitch.Remove(ctx, gone) })
}
