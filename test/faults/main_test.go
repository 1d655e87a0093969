package faults

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"bolide/test/child"
	"bolide/test/controller"
	"bolide/test/virt"
)

// all asks for everything: all operations and all their steps, all faults, and for
// longer than any call waits.
var all = flag.Bool("faults.all", false, "break everything, and for longer")

// enclosed tells this program that its network and its mounts are its own.
const enclosed = "FAULTS_ENCLOSED"

func TestMain(m *testing.M) {
	RunNode()
	flag.Parse()
	if virt.Missing() == nil && os.Getenv(enclosed) == "" {
		os.Exit(enclose())
	}
	if os.Getenv(enclosed) != "" {
		// What tests mount is seen by libvirtd and the guests as well, and by nobody else.
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, ""); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	code := m.Run()
	if shared.cloud != nil {
		if err := shared.cloud.Close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = max(code, 1)
		}
	}
	os.Exit(code)
}

// enclose runs this program again in a network and with mounts of its own.
func enclose() int {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), enclosed+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Unshareflags: syscall.CLONE_NEWNS}
	done, err := child.Start(cmd)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	<-done
	if !cmd.ProcessState.Success() {
		return max(1, cmd.ProcessState.ExitCode())
	}
	return 0
}

// nodeOptions make the guests, which need a second to boot, shut down as soon as
// they can.
const nodeOptions = "\n[compute]\nshutdown_retry_interval = 1\n"

// shared is the cloud that all tests use, one after the other.
var shared struct {
	once  sync.Once
	cloud *Cloud
	err   error
}

// ground is the cloud with the node, in a test.
type ground struct {
	*Cloud
	t    *testing.T
	node *Node

	network string         // that guests are on who are asked for
	want    map[string]any // what else is asked for; see Cloud.Request
}

// newGround brings the cloud up if need be and starts the node, which ends with the
// test.
func newGround(t *testing.T, options string) *ground {
	t.Helper()
	if testing.Short() {
		t.Skip("breaks things for half a minute")
	}
	if err := virt.Missing(); err != nil {
		t.Skip(err)
	}
	shared.once.Do(func() {
		lo, err := netlink.LinkByName("lo")
		if err == nil {
			err = netlink.LinkSetUp(lo)
		}
		if err == nil {
			shared.cloud, err = Up()
		}
		shared.err = err
	})
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	g := &ground{Cloud: shared.cloud, t: t, network: shared.cloud.net}
	g.Disturb(nil)
	before := g.logSize()
	t.Cleanup(func() {
		g.Disturb(nil)
		if g.node != nil {
			g.node.Kill()
		}
		if t.Failed() {
			t.Logf("the node's log:\n%s", g.logSince(before))
		}
	})
	g.launch(options)
	return g
}

// newLongGround is newGround for what the short form leaves out.
func newLongGround(t *testing.T, options string) *ground {
	t.Helper()
	if !*all {
		t.Skip("part of the long form: -faults.all")
	}
	return newGround(t, options)
}

func (g *ground) logPath() string { return filepath.Join(g.dir, "node.log") }

func (g *ground) logSize() int64 {
	info, err := os.Stat(g.logPath())
	if err != nil {
		return 0
	}
	return info.Size()
}

// logSince is what the node has said since its log had a size, without what the
// parts say of each step.
func (g *ground) logSince(size int64) string {
	raw, err := os.ReadFile(g.logPath())
	if err != nil {
		return err.Error()
	}
	var b strings.Builder
	for line := range strings.Lines(string(raw[min(size, int64(len(raw))):])) {
		if len(line) > 1200 {
			line = line[:1200] + "…\n"
		}
		b.WriteString(line)
	}
	text := b.String()
	return text[max(0, len(text)-20000):]
}

// launch starts the node, and waits until guests can be placed on it.
func (g *ground) launch(options string) time.Duration {
	g.t.Helper()
	began := time.Now()
	n, err := g.Launch(options + nodeOptions)
	if err != nil {
		g.t.Fatalf("%v\n%s", err, g.logSince(g.logSize()-4000))
	}
	g.node = n
	took := time.Since(began)
	g.must(Until(g.ctx(), settleLimit, func() error { return g.Placeable(g.ctx()) }))
	return took
}

// must fails the test.
func (g *ground) must(err error) {
	g.t.Helper()
	if err != nil {
		g.t.Fatal(err)
	}
}

func (g *ground) ctx() context.Context { return g.t.Context() }

// settleLimit is how long after a start everything that was cut short has come to
// an end.
const settleLimit = 60 * time.Second

// boot makes a guest and waits until it runs.
func (g *ground) boot() string {
	g.t.Helper()
	id, err := g.Request(g.ctx(), g.want)
	g.must(err)
	g.await(id, "ACTIVE")
	return id
}

// await waits for a guest to come to a status, with no task.
func (g *ground) await(id string, status ...string) Server {
	g.t.Helper()
	var v Server
	err := Until(g.ctx(), settleLimit, func() (err error) {
		v, err = g.Show(g.ctx(), id)
		if gone(err) {
			v, err = Server{Status: "DELETED"}, nil
		}
		if err != nil {
			return err
		}
		for _, s := range status {
			if v.Status == s && v.Task == "" {
				return nil
			}
		}
		return fmt.Errorf("guest %s is %s, task %q, %q; want %v", id, v.Status, v.Task, v.Fault.Message, status)
	})
	g.must(err)
	return v
}

// gone reports whether a service said that there is no such thing.
func gone(err error) bool {
	var refused *controller.Refusal
	return errors.As(err, &refused) && refused.Status == http.StatusNotFound
}

// drop deletes a guest and makes sure that nothing is left of it.
func (g *ground) drop(id string) {
	g.t.Helper()
	if err := g.Delete(g.ctx(), id); !gone(err) {
		g.must(err)
	}
	g.await(id, "DELETED")
	g.clean(id)
}

// comesTo waits for a check to have nothing to object.
func (g *ground) comesTo(step string, check func(*ground, string) error, id string) {
	g.t.Helper()
	if err := Until(g.ctx(), settleLimit, func() error { return check(g, id) }); err != nil {
		g.t.Errorf("killed at %q: %v", step, err)
	}
}

// clean makes sure that nothing is left of a guest that is gone.
func (g *ground) clean(id string) {
	g.t.Helper()
	g.must(Until(g.ctx(), 15*time.Second, func() error { return g.Leftovers(g.ctx(), id) }))
}

// acts does something that waits for the node and does not wait for it.
func (g *ground) acts(do func(ctx context.Context) error) (end func()) {
	ctx, cancel := context.WithCancel(g.ctx())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = do(ctx) // the node may die of it
	}()
	return func() { cancel(); <-done }
}
