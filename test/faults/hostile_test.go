package faults

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"bolide/rpc"
	"bolide/rpc/nova"
	"bolide/test/controller/cell"
)

// hostile is for how long the node is sent nonsense.
var hostile = flag.Duration("faults.hostile", time.Minute, "for how long the node is sent mutated requests")

// oversize is more bytes than the node takes in one message.
const oversize = 16<<20 + 1

// memoryGrowth is by how much the node's memory may be larger after the second half of
// the mutated requests than after the first, in KiB: what the garbage collector leaves
// varies by half of that. A tenth of the requests of ten minutes would be more.
const memoryGrowth = 128 << 10

// TestHostileRequests sends the node what no controller would, and looks that nobody
// else is harmed by it.
func TestHostileRequests(t *testing.T) {
	g := newLongGround(t, "[DEFAULT]\nrpc_response_timeout = 5\n")
	f := &fuzzer{ground: g, wire: g.openWire(), all: recordedRequests(t), bystander: g.boot()}
	before := g.stateOf(f.bystander)
	f.oversized()

	began := time.Now()
	f.flood(began.Add(*hostile / 2))
	half := g.node.memory(t)
	f.flood(began.Add(*hostile))
	full := g.node.memory(t)
	g.report("mutated requests", time.Since(began), fmt.Sprintf("%d sent, about %d guests; the node's memory was %d MiB, then %d MiB",
		f.sent, len(f.victims), half>>10, full>>10))
	if full > half+memoryGrowth {
		t.Errorf("the node's memory was %d KiB, and is %d KiB", half, full)
	}
	if g.node.Dead(0) {
		t.Fatal("the node has died of it")
	}
	if after := g.stateOf(f.bystander); after != before {
		t.Errorf("a guest that was not named was\n%s\nand is\n%s", before, after)
	}
	g.must(Until(g.ctx(), settleLimit, func() error { return noStrangeFiles(g) })) // a check may look for a file of its own
	g.uses(f.bystander)
	f.end()
}

// fuzzer sends mutated requests about guests that it makes for that.
type fuzzer struct {
	*ground
	wire      *wire
	all       []request
	bystander string // a guest that no request is about
	victims   []string
	sent      int
}

// oversized sends a message that is too large.
func (f *fuzzer) oversized() {
	f.t.Helper()
	size := f.logSize()
	f.wire.raw(bytes.Repeat([]byte("x"), oversize))
	f.must(Until(f.ctx(), settleLimit, func() error {
		if !strings.Contains(f.logSince(size), "larger than") {
			return fmt.Errorf("nothing is said of a message of %d bytes", oversize)
		}
		return nil
	}))
}

// flood sends mutated requests for some time, only as many as are dealt with.
func (f *fuzzer) flood(until time.Time) {
	f.t.Helper()
	victim := ""
	for time.Now().Before(until) {
		if _, err := f.Show(f.ctx(), victim); victim == "" || gone(err) {
			id, err := f.Request(f.ctx(), nil)
			f.must(err)
			victim, f.victims = id, append(f.victims, id)
		}
		for range 25 {
			r := f.all[rand.IntN(len(f.all))].about(victim, Host)
			mutate(r)
			if rand.IntN(50) == 0 {
				raw, err := json.Marshal(r)
				f.must(err)
				f.wire.raw(raw[:rand.IntN(len(raw))])
			} else {
				f.wire.send(r)
			}
			f.sent++
		}
		f.answers(f.bystander, settleLimit)
	}
}

// end deletes the guests.
func (f *fuzzer) end() {
	f.t.Helper()
	f.drop(f.bystander)
	for _, v := range f.victims {
		if f.spoil(v, map[string]any{"task_state": nil, "host": Host, "node": Host}) == nil { // else it is gone
			f.drop(v)
		}
	}
}

// stateOf is what must stay as it is of a guest that nothing is done to.
func (g *ground) stateOf(id string) string {
	g.t.Helper()
	state := []string{"domain " + g.qemu(id)}
	g.must(g.Cell.View(rpc.AdminContext(), func(tx *cell.Tx) error {
		o, err := tx.Instance(id)
		if err == nil {
			for _, field := range []string{"host", "node", "vm_state", "task_state", "power_state", "image_ref", "display_name", "deleted"} {
				state = append(state, fmt.Sprint(field, " ", o.Raw(field)))
			}
		}
		return err
	}))
	files, err := os.ReadDir(filepath.Join(g.instances(), id))
	g.must(err)
	for _, f := range files {
		state = append(state, "file "+f.Name())
	}
	ports, err := g.PortsOf(g.ctx(), id)
	g.must(err)
	return fmt.Sprint(strings.Join(state, "\n"), "\nports ", ports)
}

// memory is how much of the node's process is in memory, in KiB.
func (n *Node) memory(t *testing.T) int {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", n.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindSubmatch(raw)
	if found == nil {
		t.Fatalf("no VmRSS in %s", raw)
	}
	kib, err := strconv.Atoi(string(found[1]))
	if err != nil {
		t.Fatal(err)
	}
	return kib
}

// noStrangeFiles looks for files where nobody makes any.
func noStrangeFiles(g *ground) error {
	instance := regexp.MustCompile(`^[0-9a-f-]{36}(_resize|_del)?$`)
	known := map[string][]string{
		"state":           {"bolide", "bolide-identity.json", "instances", "compute_id"},
		"state/instances": {"_base", "locks", "snapshots", "compute_nodes", "nova-compute-nodes"},
	}
	for dir, names := range known {
		files, err := os.ReadDir(filepath.Join(g.dir, dir))
		if err != nil {
			return err
		}
		for _, f := range files {
			if !slices.Contains(names, f.Name()) && !(strings.HasSuffix(dir, "instances") && instance.MatchString(f.Name())) {
				return fmt.Errorf("%s in %s", f.Name(), dir)
			}
		}
	}
	return nil
}

// TestRequestsThatAreRefused: a controller that names an instance of another host's, or
// what is no instance, is refused before anything is written.
func TestRequestsThatAreRefused(t *testing.T) {
	g := newLongGround(t, "")
	w, id := g.openWire(), g.boot()
	stranger := uuid.NewString()
	g.must(g.Cell.Update(rpc.AdminContext(), func(tx *cell.Tx) error {
		o, err := tx.Instance(id)
		if err != nil {
			return err
		}
		c := tx.Profile().New("Instance")
		for _, field := range []string{"image_ref", "project_id", "user_id", "memory_mb", "vcpus", "root_gb", "flavor", "vm_state", "power_state"} {
			c.Set(field, o.Raw(field))
		}
		c.Set("uuid", stranger)
		c.Set("host", "node2")
		c.Set("node", "node2")
		return tx.CreateInstance(c)
	}))
	canary := filepath.Join(g.dir, "state", "canary")
	g.must(os.WriteFile(canary, nil, 0o600))
	methods := []string{"terminate_instance", "stop_instance", "reboot_instance", "snapshot_instance", "pause_instance", "shelve_instance"}
	for _, c := range []struct{ id, host, says string }{
		{stranger, "node2", "is on host"},
		{"", Host, "is not the id of an instance"},
		{"..", Host, "is not the id of an instance"},
		{"../canary", Host, "is not the id of an instance"},
		{canary, Host, "is not the id of an instance"},
	} {
		for _, r := range recordedRequests(t) {
			if !slices.Contains(methods, fmt.Sprint(r["method"])) {
				continue
			}
			size := g.logSize()
			w.send(r.about(c.id, c.host))
			g.must(Until(g.ctx(), settleLimit, func() error {
				if said := g.logSince(size); !strings.Contains(said, c.says) {
					return fmt.Errorf("%v of %q: the log does not say %q", r["method"], c.id, c.says)
				}
				return nil
			}))
		}
	}
	g.must(g.Cell.View(rpc.AdminContext(), func(tx *cell.Tx) error {
		o, err := tx.Instance(stranger)
		if err == nil && (o.Str("host") != "node2" || nova.VMState(o.Str("vm_state")) != nova.VMActive || o.Str("task_state") != "") {
			err = fmt.Errorf("the other host's instance is on %q, %q, in task %q", o.Str("host"), o.Str("vm_state"), o.Str("task_state"))
		}
		return err
	}))
	g.must(os.Remove(canary))
	g.must(noStrangeFiles(g))
	g.must(g.Cell.Update(rpc.AdminContext(), func(tx *cell.Tx) error {
		o, err := tx.Instance(stranger)
		if err == nil {
			err = tx.Destroy(o, nil)
		}
		return err
	}))
	g.drop(id)
}
