package faults

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// cycles is how many guests are built and deleted while things are killed.
var cycles = flag.Int("faults.cycles", 0, "build and delete so many guests while the agent, libvirtd and the broker are killed")

// latest is how long after something was asked for something is killed at the latest:
// by then it is done.
const latest = 4 * time.Second

// killings counts what was killed.
type killings struct {
	agent, libvirtd, broker int
	away                    bool // the broker was killed, and the agent may not be back yet
}

// disrupt kills something or nothing, at some moment, and starts it again. It reports
// whether requests may have been lost with it.
func (k *killings) disrupt(g *ground) (lost bool) {
	g.t.Helper()
	time.Sleep(rand.N(latest)) // the moment
	switch n := rand.IntN(100); {
	case n < 50:
		k.agent++
		g.node.Kill()
		g.launch("")
	case n < 70:
		k.libvirtd++
		g.Virt.Kill()
		g.must(g.Virt.Launch())
	case n < 75:
		k.broker++
		g.must(errors.Join(g.Broker.Kill(), g.Broker.Start()))
		k.away = true
		return true
	}
	return false
}

// rejoins waits for the agent to be at its queue again where the broker was killed: the
// broker drops what is sent meanwhile.
func (k *killings) rejoins(g *ground) {
	g.t.Helper()
	if !k.away {
		return
	}
	k.away = false
	g.must(Until(g.ctx(), settleLimit, func() error {
		names, err := g.Broker.Queues()
		if err == nil && !slices.Contains(names, "compute."+Host) {
			err = fmt.Errorf("the agent has no queue among %q", names)
		}
		return err
	}))
}

// TestCycles builds and deletes guests while the agent, libvirtd and the broker are
// killed at random. Each guest comes to an end of its own, and nothing is left of any.
func TestCycles(t *testing.T) {
	if *cycles == 0 {
		t.Skip("asked for by -faults.cycles")
	}
	g := newGround(t, "")
	var killed killings
	built := 0
	began := time.Now()
	for range *cycles {
		killed.rejoins(g)
		id, err := g.Request(g.ctx(), nil)
		g.must(err)
		if lost := killed.disrupt(g); !lost && g.settles(id) == "ACTIVE" {
			built++
		}
		g.must(g.Delete(g.ctx(), id))
		killed.disrupt(g)
		g.vanishes(id)
		g.clean(id)
	}
	g.report(fmt.Sprintf("%d guests built and deleted", *cycles), time.Since(began),
		fmt.Sprintf("%d ran; killed: agent %d, libvirtd %d, broker %d; nothing is left", built, killed.agent, killed.libvirtd, killed.broker))
}

// settles waits for the end of a build, and returns the guest's status. A build whose
// request died with the agent is given up by it after a while.
func (g *ground) settles(id string) (status string) {
	g.t.Helper()
	g.must(Until(g.ctx(), 3*settleLimit, func() error {
		v, err := g.Show(g.ctx(), id)
		if status = v.Status; err == nil && (v.Task != "" || status != "ACTIVE" && status != "ERROR") {
			err = fmt.Errorf("guest %s is %s, task %q", id, v.Status, v.Task)
		}
		return err
	}))
	return status
}

// vanishes waits for a guest to be gone. What asked for its end may have been lost with
// the broker, or with the agent before it began: it is asked again, as a user would.
func (g *ground) vanishes(id string) {
	g.t.Helper()
	const again = 20 * time.Second
	asked := time.Now()
	g.must(Until(g.ctx(), 3*settleLimit, func() error {
		v, err := g.Show(g.ctx(), id)
		if gone(err) {
			return nil
		}
		if time.Since(asked) > again {
			asked = time.Now()
			_ = g.Delete(g.ctx(), id) // it may be under way
		}
		return errors.Join(err, fmt.Errorf("guest %s is %s, task %q", id, v.Status, v.Task))
	}))
}
