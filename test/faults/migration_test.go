package faults

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"

	"bolide/agent/handover"
	"bolide/rpc"
	"bolide/rpc/nova"
	"bolide/test/controller/cell"
)

// TestLateMigration: a live migration whose request waits for the node is done, not
// taken for lost; one that was taken for lost is not begun when its request comes.
func TestLateMigration(t *testing.T) {
	g := newLongGround(t, "")
	id := g.boot()
	prepared := make(chan struct{}, 8)
	other := g.playHost("node2", map[string]rpc.Handler{
		"pre_live_migration": func(context.Context, *rpc.Request) (any, error) {
			prepared <- struct{}{}
			return nil, errors.New("node2 does not want it")
		},
		"rollback_live_migration_at_destination": func(context.Context, *rpc.Request) (any, error) { return nil, nil },
	})

	g.node.Kill()
	waits := g.migrating(id)
	g.must(g.send(other, id, waits))
	g.launch("")
	g.await(id, "ACTIVE")
	select {
	case <-prepared:
	default:
		t.Error("the request that waited was not followed")
	}
	g.must(Until(g.ctx(), settleLimit, func() error { return g.migrationIs(waits, nova.MigrationFailed) }))

	g.node.Kill()
	lost := g.migrating(id)
	g.launch("")
	g.await(id, "ACTIVE")
	g.must(Until(g.ctx(), settleLimit, func() error { return g.migrationIs(lost, nova.MigrationFailed, nova.MigrationError) }))
	before, size := g.qemu(id), g.logSize()
	g.must(g.send(other, id, lost))
	g.must(Until(g.ctx(), settleLimit, func() error {
		if !strings.Contains(g.logSince(size), "settled before its request came") {
			return errors.New("nothing said of it")
		}
		return nil
	}))
	g.await(id, "ACTIVE")
	if len(prepared) > 0 || g.qemu(id) != before {
		t.Error("a migration was begun that had been settled")
	}
	g.must(g.migrationIs(lost, nova.MigrationFailed))
	g.drop(id)
}

// migrating makes the records of a live migration whose request has been sent, and
// returns the migration's id.
func (g *ground) migrating(id string) (number int64) {
	g.t.Helper()
	g.must(g.Cell.Update(rpc.AdminContext(), func(tx *cell.Tx) error {
		o, err := tx.Instance(id)
		if err != nil {
			return err
		}
		o.Set("task_state", string(nova.TaskMigrating))
		if err := tx.SaveInstance(o, nil); err != nil {
			return err
		}
		m := tx.Profile().New("Migration")
		for field, value := range map[string]any{
			"instance_uuid": id, "source_compute": Host, "dest_compute": "node2", "source_node": "vm", "dest_node": "node2",
			"status": string(nova.MigrationAccepted), "migration_type": string(nova.MigrationLive), "uuid": uuid.NewString(),
			"hidden": false, "cross_cell_move": false,
		} {
			m.Set(field, value)
		}
		err = tx.Create(m)
		number = m.Int("id")
		return err
	}))
	return number
}

func (g *ground) migration(tx *cell.Tx, number int64) (*nova.Object, error) {
	return tx.Row("Migration", func(m *nova.Object) bool { return m.Int("id") == number })
}

// send is what the conductor does when a destination has agreed.
func (g *ground) send(l *rpc.Link, id string, number int64) error {
	var args map[string]any
	err := g.Cell.View(rpc.AdminContext(), func(tx *cell.Tx) error {
		o, err := tx.Instance(id)
		if err != nil {
			return err
		}
		m, err := g.migration(tx, number)
		if err != nil {
			return err
		}
		data := &nova.LiveMigrateData{Object: tx.Profile().New("LibvirtLiveMigrateData")}
		handover.Complete(data, handover.Verdict{Directory: id, SharedDirectory: true, SharedDisks: true})
		args = map[string]any{"instance": o, "dest": "node2", "block_migration": json.RawMessage("false"), "migration": m, "migrate_data": data.Object}
		return nil
	})
	if err != nil {
		return err
	}
	return l.Cast(g.ctx(), rpc.AdminContext(), rpc.Target{Topic: "compute", Server: Host, Version: "6.0"}, "live_migration", args)
}

// migrationIs is nil when the migration has one of the states.
func (g *ground) migrationIs(number int64, want ...nova.MigrationStatus) error {
	return g.Cell.View(rpc.AdminContext(), func(tx *cell.Tx) error {
		m, err := g.migration(tx, number)
		if err != nil {
			return err
		}
		for _, s := range want {
			if m.Str("status") == string(s) {
				return nil
			}
		}
		return fmt.Errorf("the migration is %s, want %v", m.Str("status"), want)
	})
}
