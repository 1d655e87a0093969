package faults

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// backWithin is how soon after the end of a fault the node answers again at the
// latest, on the busiest machine. The report tells how soon it does.
const backWithin = 30 * time.Second

// absence is how long the broker is away, or as good as.
const absence = 20 * time.Second

// proofInterval is how often the node proves its queues to itself.
const proofInterval = 30 * time.Second

// TestBroker breaks the broker and what the node has there. Each time the same process
// answers again, and a line of its log says that something was wrong.
func TestBroker(t *testing.T) {
	g := newGround(t, "[DEFAULT]\nreport_interval = 2\n")
	id := g.boot()
	own := "compute." + Host
	for _, f := range []struct {
		fault string
		do    func() error // breaks it and mends what the node cannot
		says  string       // the node's log
		limit time.Duration
		long  bool
	}{
		{"own queue deleted", func() error { return g.Broker.DeleteQueue(own) }, "Lost a queue", backWithin, false},
		{"shared queue deleted", func() error { return g.Broker.DeleteQueue("compute") }, "Lost a queue", backWithin, true},
		{"reply queue deleted", g.deleteReplies, "Lost a queue", backWithin, false},
		{"own queue's consumer cancelled without a word", func() error { return g.Broker.CancelConsumers(own) },
			"our queues do not work", proofInterval + backWithin, true},
		{"connections closed", g.Broker.CloseConnections, "is unreachable", backWithin, true},
		{"broker restarted", g.Broker.Restart, "is unreachable", backWithin, true},
		{"broker killed and started", func() error { return errors.Join(g.Broker.Kill(), g.Broker.Start()) }, "is unreachable", backWithin, true},
		{"broker away for longer", func() error {
			err := g.Broker.Stop()
			time.Sleep(absence)
			return errors.Join(err, g.Broker.Start())
		}, "is unreachable", backWithin, true},
		{"broker frozen", func() error {
			err := g.Broker.Freeze()
			time.Sleep(absence)
			return errors.Join(err, g.Broker.Thaw())
		}, "", proofInterval + backWithin, true},
		{"memory alarm: publishers blocked", func() error {
			err := g.Broker.RaiseMemoryAlarm()
			time.Sleep(absence)
			return errors.Join(err, g.Broker.ClearMemoryAlarm())
		}, "has blocked the connection", backWithin, true},
	} {
		if f.long && !*all {
			continue
		}
		t.Run(f.fault, func(t *testing.T) {
			g := g.in(t)
			size := g.logSize()
			g.must(f.do())
			took := g.works(id, f.limit)
			if log := g.logSince(size); !strings.Contains(log, f.says) {
				t.Errorf("the log does not say %q", f.says)
			}
			g.report(f.fault, took, "answers and reports")
		})
	}
	g.in(t)
	g.must(g.Act(g.ctx(), id, "reboot", map[string]string{"type": "HARD"}))
	g.await(id, "ACTIVE")
	g.drop(id)
}

// works waits until the node answers calls and its signs of life are taken, and
// returns how long that took.
func (g *ground) works(id string, limit time.Duration) time.Duration {
	g.t.Helper()
	before := g.reports()
	took := g.answers(id, limit)
	began := time.Now()
	g.must(Until(g.ctx(), limit, func() error {
		if g.reports() == before {
			return errors.New("no sign of life")
		}
		return nil
	}))
	return took + time.Since(began)
}

// deleteReplies deletes every reply queue, the node's with them.
func (g *ground) deleteReplies() error {
	names, err := g.Broker.Queues()
	if err != nil {
		return err
	}
	deleted := 0
	for _, name := range names {
		if strings.HasPrefix(name, "reply_") {
			if err := g.Broker.DeleteQueue(name); err != nil {
				return err
			}
			deleted++
		}
	}
	if deleted == 0 {
		return fmt.Errorf("no reply queue among %q", names)
	}
	return nil
}
