package faults

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"bolide/rpc"
	"bolide/rpc/nova"
	"bolide/test/controller/cell"
)

func TestIdleStopIsQuick(t *testing.T) {
	g := newGround(t, "")
	id := g.boot()
	before := g.qemu(id)
	took, err := g.node.Stop(20 * time.Second)
	g.must(err)
	g.report("stopped while idle", took, "ended")
	if took > time.Second {
		t.Errorf("an idle stop took %s, want 1 s at most", took)
	}
	g.launch("")
	if after := g.qemu(id); after != before {
		t.Errorf("the guest's QEMU was %q and is %q", before, after)
	}
	g.drop(id)
}

// hold has requests that begin with a text wait until let go.
func (g *ground) hold(service, request string) (reached <-chan struct{}, letGo func()) {
	held, gone := make(chan struct{}, 64), make(chan struct{})
	g.Disturb(func(ctx context.Context, s, r string) error {
		if s != service || !strings.HasPrefix(r, request) {
			return nil
		}
		held <- struct{}{}
		select {
		case <-gone:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	return held, func() { close(gone); g.Disturb(nil) }
}

func (g *ground) awaitHeld(held <-chan struct{}) {
	g.t.Helper()
	select {
	case <-held:
	case <-time.After(settleLimit):
		g.t.Fatal("the node never asked for what is held")
	}
}

func TestStopWaitsForWhatRuns(t *testing.T) {
	g := newGround(t, "")
	held, letGo := g.hold("network", "POST /v2.0/ports")
	id, err := g.Request(g.ctx(), nil)
	g.must(err)
	g.awaitHeld(held)
	g.must(g.node.Signal(syscall.SIGTERM))
	if g.node.Dead(time.Second) {
		t.Fatal("the node did not wait for the build")
	}
	letGo()
	if !g.node.Dead(30*time.Second) || g.node.err != nil {
		t.Fatalf("the node did not end well: %v", g.node.err)
	}
	if v, err := g.Show(g.ctx(), id); err != nil || v.Status != "ACTIVE" {
		t.Errorf("the guest is %s, %v", v.Status, err)
	}
	g.launch("")
	g.drop(id)
}

// TestHurriedStop: what runs is undone, or left to the next start where that does
// it again.
func TestHurriedStop(t *testing.T) {
	g := newLongGround(t, "")
	id := g.boot()
	g.must(g.Act(g.ctx(), id, "os-stop", nil))
	g.await(id, "SHUTOFF")

	held, letGo := g.hold("network", "POST /v2.0/ports")
	build, err := g.Request(g.ctx(), nil)
	g.must(err)
	g.awaitHeld(held)
	letGo = g.holdMore(letGo, "conductor", "BlockDeviceMappingList.get_by_instance_uuid", held)
	g.must(g.Act(g.ctx(), id, "os-start", nil))
	g.must(Until(g.ctx(), settleLimit, func() error { return g.runs("start_instance", id) }))

	g.must(g.node.Signal(syscall.SIGTERM))
	if g.node.Dead(time.Second) {
		t.Fatal("the node did not wait for what runs")
	}
	began := time.Now()
	g.must(g.node.Signal(syscall.SIGTERM))
	time.AfterFunc(500*time.Millisecond, letGo) // Neutron answers again; the undoing needs it
	if !g.node.Dead(30*time.Second) || g.node.err != nil {
		t.Fatalf("the node did not end well: %v", g.node.err)
	}
	g.report("a second SIGTERM while work runs", time.Since(began), "undone or parked, ended")
	if v := g.await(build, "ERROR"); !strings.Contains(g.faults(build), "stopped") {
		t.Errorf("the build: %s, faults %q", v.Status, g.faults(build))
	}
	g.must(g.leftDomain(build))
	if v, err := g.Show(g.ctx(), id); err != nil || v.Task != "powering-on" {
		t.Errorf("the guest that was to start: task %q, %v", v.Task, err)
	}
	g.launch("")
	g.await(id, "ACTIVE")
	g.drop(build)
	g.drop(id)
}

// holdMore holds another kind of request as well; letting go lets both go.
func (g *ground) holdMore(letGo func(), service, request string, _ <-chan struct{}) func() {
	first := g.disturb
	gone := make(chan struct{})
	g.Disturb(func(ctx context.Context, s, r string) error {
		if s == service && strings.HasPrefix(r, request) {
			select {
			case <-gone:
			case <-ctx.Done():
			}
			return ctx.Err()
		}
		return first(ctx, s, r)
	})
	return func() { close(gone); letGo() }
}

// runs is nil while the node's journal has an operation under way.
func (g *ground) runs(operation, id string) error {
	pages, err := filepath.Glob(filepath.Join(g.dir, "state", "bolide", "journal", "*"+id+".json"))
	if err != nil {
		return err
	}
	for _, p := range pages {
		if raw, err := os.ReadFile(p); err == nil && strings.Contains(string(raw), operation) {
			return nil
		}
	}
	return fmt.Errorf("%s does not run", operation)
}

// TestRequestsWaitForTheNode: what is asked for while the node is away is done when
// it is back, not given up.
func TestRequestsWaitForTheNode(t *testing.T) {
	g := newGround(t, "")
	running, stopped, doomed := g.boot(), g.boot(), g.boot()
	g.must(g.Act(g.ctx(), stopped, "os-stop", nil))
	g.await(stopped, "SHUTOFF")
	g.node.Kill()
	g.must(g.Act(g.ctx(), running, "pause", nil))
	g.must(g.Act(g.ctx(), stopped, "os-start", nil))
	g.must(g.Delete(g.ctx(), doomed))
	asked, err := g.Request(g.ctx(), nil)
	g.must(err)
	g.launch("")
	g.await(running, "PAUSED")
	g.await(stopped, "ACTIVE")
	g.await(doomed, "DELETED")
	g.await(asked, "ACTIVE")
	for _, id := range []string{running, stopped, asked} {
		if f := g.faults(id); f != "" {
			t.Errorf("fault of guest %s: %s", id, f)
		}
		g.drop(id)
	}
}

// TestLostBuild: a build whose request died with the node before anything was
// written ends in error.
func TestLostBuild(t *testing.T) {
	g := newLongGround(t, "")
	g.node.Kill()
	id, err := g.Request(g.ctx(), nil)
	g.must(err)
	g.must(g.Broker.DeleteQueue("compute." + Host))
	g.launch("")
	g.await(id, "ERROR")
	if f := g.faults(id); !strings.Contains(f, "cut short") {
		t.Errorf("fault %q", f)
	}
	g.clean(id)
	g.drop(id)
}

func TestGuestsAfterTheHostsRestart(t *testing.T) {
	g := newLongGround(t, "")
	id := g.boot()
	down := func() {
		g.node.Kill()
		_, err := g.virsh("destroy", id)
		g.must(err)
		g.must(os.WriteFile(filepath.Join(g.dir, "state", "bolide", "boot_id"), []byte("another life\n"), 0o600))
	}
	down()
	g.launch("[DEFAULT]\nresume_guests_state_on_host_boot = true\n")
	g.must(Until(g.ctx(), settleLimit, func() error {
		state, err := g.virsh("domstate", id)
		if err == nil && strings.TrimSpace(state) != "running" {
			err = errors.New(state)
		}
		return err
	}))
	g.await(id, "ACTIVE")

	down()
	size := g.logSize()
	g.launch("")
	g.must(Until(g.ctx(), settleLimit, func() error {
		if log := g.logSince(size); !strings.Contains(log, "cause=host") {
			return errors.New("nothing said of it")
		}
		return nil
	}))
	if state, err := g.virsh("domstate", id); err != nil || strings.TrimSpace(state) != "shut off" {
		t.Errorf("a guest that was not to be started is %s, %v", state, err)
	}
	g.drop(id)
}

// TestEvacuated: of a guest that was evacuated while its host was away nothing is
// left there.
func TestEvacuated(t *testing.T) {
	g := newLongGround(t, "")
	id := g.boot()
	g.node.Kill()
	g.playHost("node2", map[string]rpc.Handler{
		"check_instance_shared_storage": func(context.Context, *rpc.Request) (any, error) { return false, nil },
	})
	g.must(g.Cell.Update(rpc.AdminContext(), func(tx *cell.Tx) error {
		o, err := tx.Instance(id)
		if err != nil {
			return err
		}
		o.Set("host", "node2")
		o.Set("node", "node2")
		if err := tx.SaveInstance(o, nil); err != nil {
			return err
		}
		m := tx.Profile().New("Migration")
		for field, value := range map[string]any{
			"instance_uuid": id, "source_compute": Host, "dest_compute": "node2", "source_node": "vm", "dest_node": "node2",
			"status": "done", "migration_type": "evacuation", "uuid": "8e4f8a0c-1b3f-4c55-9b0e-3a5f3bd0a111", "hidden": false, "cross_cell_move": false,
		} {
			m.Set(field, value)
		}
		return tx.Create(m)
	}))
	g.launch("")
	g.must(Until(g.ctx(), settleLimit, func() error {
		return errors.Join(g.leftDomain(id), g.leftFiles(id), g.leftTaps(), g.leftAllocation(g.ctx(), id))
	}))
	if ports, err := g.PortsOf(g.ctx(), id); err != nil || len(ports) != 1 {
		t.Errorf("ports of a guest that runs elsewhere: %v, %v", ports, err)
	}
	g.must(Until(g.ctx(), settleLimit, func() error {
		return g.Cell.View(rpc.AdminContext(), func(tx *cell.Tx) error {
			rows, err := tx.Rows("Migration", func(m *nova.Object) bool { return m.Str("instance_uuid") == id })
			if err == nil && (len(rows) != 1 || rows[0].Str("status") != "completed") {
				err = fmt.Errorf("migrations %v", rows)
			}
			return err
		})
	}))
	g.must(g.Network.Release(id))
}

// playHost answers what another host is asked, until the test ends.
func (g *ground) playHost(host string, methods map[string]rpc.Handler) *rpc.Link {
	g.t.Helper()
	quiet := logrus.New()
	quiet.SetOutput(io.Discard)
	o := rpc.DefaultOptions()
	o.TransportURL, o.Host, o.Log = g.Broker.URL(), host, logrus.NewEntry(quiet)
	link, err := rpc.NewLink(o)
	g.must(err)
	link.Serve("compute", rpc.Endpoint{Version: "6.1", Methods: methods}).Start()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- link.Run(ctx) }()
	g.t.Cleanup(func() { cancel(); <-ended })
	g.must(link.WaitUp(g.ctx()))
	return link
}

// TestStartAsksLittle: before it serves, the node asks the conductor as often with
// many guests as with none.
func TestStartAsksLittle(t *testing.T) {
	g := newLongGround(t, "")
	start := func() []string {
		_, err := g.node.Stop(20 * time.Second)
		g.must(err)
		var mu sync.Mutex
		var calls []string
		g.Disturb(func(_ context.Context, service, request string) error {
			if service == "conductor" {
				mu.Lock()
				defer mu.Unlock()
				calls = append(calls, request)
			}
			return nil
		})
		n, err := g.Launch("")
		g.must(err)
		g.node = n
		mu.Lock()
		defer mu.Unlock()
		served := slices.Index(calls, "Service.save") // the first sign of life
		if served < 0 {
			served = len(calls)
		}
		// That what the guests take is told once is no question for each.
		return slices.DeleteFunc(calls[:served], func(c string) bool { return c == "ComputeNode.save" })
	}
	none := start()
	var guests []string
	for range 4 {
		guests = append(guests, g.boot())
	}
	some := start()
	const most = 10
	if len(some) > len(none) || len(some) > most {
		t.Errorf("%d calls without guests: %v\n%d with %d: %v\nwant as many, and %d at most", len(none), none, len(some), len(guests), some, most)
	}
	for _, id := range guests {
		g.drop(id)
	}
}
