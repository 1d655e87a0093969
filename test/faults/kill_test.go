package faults

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// fate is an operation during which the node is killed.
type fate struct {
	operation string // RPC method
	// prepare brings a guest to where the operation can be asked for; nil: it runs.
	prepare func(g *ground, id string)
	ask     func(g *ground, ctx context.Context, id string) error
	// ends are the states that the guest may then be in. One in error has a reason.
	ends []string
	// check looks closer; nil: not.
	check func(g *ground, id string) error
	// after uses the guest again; nil: not.
	after func(g *ground, id string)
	// fresh says that the guest is of no more use afterwards.
	fresh bool
	// quick says that the short form kills during it, too.
	quick bool
}

func action(name string, arg any) func(*ground, context.Context, string) error {
	return func(g *ground, ctx context.Context, id string) error { return g.Act(ctx, id, name, arg) }
}

func brought(status, name string, arg any) func(*ground, string) {
	return func(g *ground, id string) {
		g.t.Helper()
		g.must(g.Act(g.ctx(), id, name, arg))
		g.await(id, status)
	}
}

// fates is every operation that changes a guest.
var fates = []fate{
	{operation: "terminate_instance", fresh: true, quick: true, ends: []string{"DELETED"},
		ask: func(g *ground, ctx context.Context, id string) error { return g.Delete(ctx, id) }},
	{operation: "reboot_instance", ends: []string{"ACTIVE"}, ask: action("reboot", map[string]string{"type": "HARD"})},
	{operation: "stop_instance", ends: []string{"SHUTOFF"}, after: starts, ask: action("os-stop", nil)},
	{operation: "start_instance", prepare: brought("SHUTOFF", "os-stop", nil), ends: []string{"ACTIVE"}, ask: action("os-start", nil)},
	{operation: "pause_instance", fresh: true, ends: []string{"PAUSED"}, ask: action("pause", nil)},
	{operation: "unpause_instance", prepare: brought("PAUSED", "pause", nil), ends: []string{"ACTIVE"}, ask: action("unpause", nil)},
	{operation: "suspend_instance", fresh: true, ends: []string{"SUSPENDED"}, ask: action("suspend", nil)},
	{operation: "resume_instance", prepare: brought("SUSPENDED", "suspend", nil), ends: []string{"ACTIVE"}, ask: action("resume", nil)},
	{operation: "snapshot_instance", quick: true, ends: []string{"ACTIVE"}, ask: action("createImage", map[string]string{"name": "snap"}), check: noHalfImages},
	{operation: "attach_interface", ends: []string{"ACTIVE"}, ask: attaches, check: portsAndCards},
	{operation: "shelve_instance", fresh: true, ends: []string{"ACTIVE", "SHELVED_OFFLOADED"}, ask: action("shelve", nil), check: noHalfImages},
	{operation: "unshelve_instance", fresh: true, prepare: brought("SHELVED_OFFLOADED", "shelve", nil),
		ends: []string{"SHELVED_OFFLOADED"}, ask: action("unshelve", nil), after: unshelves},
	{operation: "rescue_instance", fresh: true, ends: []string{"ACTIVE", "RESCUE"}, ask: action("rescue", map[string]string{})},
	{operation: "unrescue_instance", fresh: true, prepare: brought("RESCUE", "rescue", map[string]string{}), ends: []string{"ACTIVE"}, ask: action("unrescue", nil)},
	{operation: "rebuild_instance", fresh: true, ends: []string{"ERROR", "ACTIVE"},
		ask: func(g *ground, ctx context.Context, id string) error {
			return g.Act(ctx, id, "rebuild", map[string]string{"imageRef": g.image})
		}},
	{operation: "prep_resize", ends: []string{"ACTIVE"}, ask: resizeTo},
	{operation: "resize_instance", ends: []string{"ACTIVE"}, ask: resizeTo},
	{operation: "finish_resize", fresh: true, ends: []string{"ERROR"}, ask: resizeTo},
	{operation: "confirm_resize", fresh: true, prepare: resized, ends: []string{"ACTIVE"}, ask: action("confirmResize", nil)},
	{operation: "revert_resize", fresh: true, prepare: resized, ends: []string{"ACTIVE"}, ask: action("revertResize", nil)},
	{operation: "finish_revert_resize", fresh: true, prepare: resized, ends: []string{"ACTIVE"}, ask: action("revertResize", nil)},
}

func resizeTo(g *ground, ctx context.Context, id string) error {
	return g.Act(ctx, id, "resize", map[string]string{"flavorRef": g.bigger})
}

func resized(g *ground, id string) {
	g.t.Helper()
	g.must(resizeTo(g, g.ctx(), id))
	g.await(id, "VERIFY_RESIZE")
}

func noHalfImages(g *ground, _ string) error {
	half, err := g.HalfImages(g.ctx())
	if err == nil && len(half) > 0 {
		err = fmt.Errorf("images without data: %v", half)
	}
	return err
}

func starts(g *ground, id string) {
	g.t.Helper()
	brought("ACTIVE", "os-start", nil)(g, id)
}

// unshelves checks that a guest that is still shelved can be brought back.
func unshelves(g *ground, id string) {
	g.t.Helper()
	brought("ACTIVE", "unshelve", nil)(g, id)
}

// portsAndCards checks that the guest has a card for every port, and no other.
func portsAndCards(g *ground, id string) error {
	ports, err := g.PortsOf(g.ctx(), id)
	if err != nil {
		return err
	}
	cards, err := g.virsh("domiflist", id)
	if err != nil || len(ports) == 0 || strings.Count(cards, "tap") != len(ports) {
		return fmt.Errorf("ports %v, cards of the guest: %w\n%s", ports, err, cards)
	}
	return g.leftPages()
}

// TestKilledAtEveryStep kills the node at every step of every operation. Within a
// minute of its next start the guest is as was asked, as it was, or in error with a
// reason; and when it has been deleted nothing is left.
func TestKilledAtEveryStep(t *testing.T) {
	g := newGround(t, "")
	t.Run("build_and_run_instance", func(t *testing.T) { g.in(t).killBuilds() })
	for _, f := range fates {
		if *all || f.quick {
			t.Run(f.operation, func(t *testing.T) { g.in(t).killDuring(f) })
		}
	}
}

// in is the ground for a part of the test.
func (g *ground) in(t *testing.T) *ground {
	g.t = t
	return g
}

// killBuilds kills the node during builds: what was not finished leaves nothing but
// a reason.
func (g *ground) killBuilds() {
	g.t.Helper()
	const build = "build_and_run_instance"
	id := g.boot()
	steps := selected(stepsOf(g.node, build), 6)
	g.drop(id)
	g.killBuildsAt(build, steps)
}

// killBuildsAt kills the node during builds at steps of the operation.
func (g *ground) killBuildsAt(operation string, steps []string) {
	g.t.Helper()
	worst := slowest{operation: operation}
	for _, step := range steps {
		g.must(g.node.DieAt(operation + "/" + step))
		id, err := g.Request(g.ctx(), g.want)
		g.must(err)
		began := g.revive(step)
		v := g.await(id, "ERROR")
		worst.note(began)
		at := step
		if operation == hostChange {
			at = "plug"
		}
		if !strings.Contains(v.Fault.Message, at) || v.Host != "" {
			g.t.Errorf("killed at %q: on host %q, fault %q", step, v.Host, v.Fault.Message)
		}
		g.clean(id) // before its delete: the failed build leaves nothing but its record
		g.drop(id)
	}
	worst.report(g)
}

// selected are the steps at which the node is killed: all, or in the short form every
// nth and the last.
func selected(steps []string, nth int) []string {
	if *all {
		return steps
	}
	var some []string
	for i, s := range steps {
		if i%nth == nth/2 || i == len(steps)-1 {
			some = append(some, s)
		}
	}
	return some
}

// slowest is the longest time that it took, from the start of the node that followed
// one that was killed, until the guest was as it should be.
type slowest struct {
	operation string
	kills     int
	took      time.Duration
}

func (s *slowest) note(began time.Time) {
	s.kills++
	s.took = max(s.took, time.Since(began))
}

func (s *slowest) report(g *ground) {
	g.report(fmt.Sprintf("killed at %d steps of %s", s.kills, s.operation), s.took, "the slowest of them, from the next start on")
}

func (g *ground) killDuring(f fate) {
	g.t.Helper()
	steps, _ := g.undisturbed(f)
	g.killDuringAt(f, f.operation, selected(steps, 3))
}

// killDuringAt kills the node during what the fate asks for, at steps of an operation.
func (g *ground) killDuringAt(f fate, operation string, steps []string) {
	g.t.Helper()
	guest := ""
	worst := slowest{operation: f.operation}
	for _, step := range steps {
		if guest == "" {
			guest = g.boot()
		}
		if f.prepare != nil {
			f.prepare(g, guest)
		}
		g.must(g.node.DieAt(operation + "/" + step))
		end := g.acts(func(ctx context.Context) error { return f.ask(g, ctx, guest) })
		began := g.revive(step)
		end()
		v := g.await(guest, append([]string{"ERROR"}, f.ends...)...)
		worst.note(began)
		if g.outcome(f, step, guest, v) {
			guest = ""
		}
	}
	if guest != "" {
		g.drop(guest)
	}
	worst.report(g)
}

// undisturbed does the operation once and returns its steps, and the changes that were
// made to the host for ports.
func (g *ground) undisturbed(f fate) (steps, changes []string) {
	g.t.Helper()
	guest := g.boot()
	if f.prepare != nil {
		f.prepare(g, guest)
	}
	known, changed := len(stepsOf(g.node, f.operation)), len(stepsOf(g.node, hostChange))
	g.must(f.ask(g, g.ctx(), guest))
	g.must(Until(g.ctx(), settleLimit, func() error {
		v, err := g.Show(g.ctx(), guest)
		if err == nil && v.Task != "" {
			return fmt.Errorf("still in task %s", v.Task)
		}
		if steps = stepsOf(g.node, f.operation)[known:]; len(steps) == 0 {
			return errors.New("no step of it was seen")
		}
		return g.leftPages() // an operation without a task is done when the journal says so
	}))
	changes = stepsOf(g.node, hostChange)[changed:]
	g.drop(guest)
	return steps, changes
}

// outcome looks what became of the guest, and reports whether it is of no more use.
func (g *ground) outcome(f fate, step, guest string, v Server) (used bool) {
	g.t.Helper()
	switch {
	case v.Status == "ERROR" && !slices.Contains(f.ends, "ERROR"):
		g.t.Errorf("killed at %q: in error: %s", step, v.Fault.Message)
	case v.Status == "ERROR" && !strings.Contains(v.Fault.Message, "cut short"):
		g.t.Errorf("killed at %q: in error for no good reason: %q", step, v.Fault.Message)
	}
	if f.check != nil {
		g.comesTo(step, f.check, guest)
	}
	if f.after != nil {
		f.after(g, guest)
	}
	switch {
	case v.Status == "DELETED":
		g.clean(guest)
		return true
	case f.fresh || v.Status == "ERROR":
		g.drop(guest)
		return true
	}
	return false
}

// stepsOf are the steps that the node has reached in operations of the name.
func stepsOf(n *Node, operation string) []string {
	var steps []string
	for _, s := range n.Steps() {
		if op, step, _ := strings.Cut(s, "/"); op == operation {
			steps = append(steps, step)
		}
	}
	return steps
}

// revive waits for the node's death and starts it again. It returns when it began to.
func (g *ground) revive(step string) time.Time {
	g.t.Helper()
	if !g.node.Dead(settleLimit) {
		g.t.Fatalf("the node was not killed at %q", step)
	}
	began := time.Now()
	g.launch("")
	return began
}
