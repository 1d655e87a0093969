package agent

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"bolide/agent/handover"
	"bolide/imagecache/disk"
	"bolide/rpc"
	"bolide/rpc/nova"
)

// departureFile is where a departure is remembered for the process that comes after one that was killed: in the
// instance's directory, with which it goes.
const departureFile = "live-migration.json"

// departureNote is what cannot be read from the records.
type departureNote struct {
	Host      string          `json:"host"` // that wrote it, where hosts share the directory
	Instance  string          `json:"instance"`
	Dest      string          `json:"dest"`
	Zone      any             `json:"availability_zone"` // of dest
	Block     json.RawMessage `json:"block_migration"`
	Migration *nova.Object    `json:"migration"`
	Data      *nova.Object    `json:"migrate_data"`
	Prepared  bool            `json:"prepared"` // dest was asked to make ready
}

func (d *departure) notePath() string {
	return filepath.Join(d.instanceDir(d.inst.UUID()), departureFile)
}

// remember writes down what the process after this one needs to settle the departure.
func (d *departure) remember() error {
	raw, err := json.Marshal(departureNote{
		Host: d.cfg.Default.Host, Instance: d.inst.UUID(), Dest: d.dest, Zone: d.zone, Block: d.block,
		Migration: d.migration.Object, Data: d.data.Object, Prepared: d.prepared,
	})
	if err == nil {
		err = disk.WriteFile(d.notePath(), raw)
	}
	if err != nil {
		return fmt.Errorf("remember the migration: %w", err)
	}
	return nil
}

// forget removes the note; where it went with the instance's directory there is none.
func (d *departure) forget(context.Context) error {
	if err := os.Remove(d.notePath()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("forget the migration: %w", err)
	}
	return nil
}

// resumeDepartures takes up the live migrations that the process before this one had under way. libvirt goes on with
// them alone: a guest may still be leaving, be gone, or have stayed. It only puts the work into the instances' queues.
func (a *Agent) resumeDepartures(ctx context.Context) error {
	notes, err := filepath.Glob(filepath.Join(a.cfg.Default.InstancesPath, "*", departureFile))
	if err != nil {
		return fmt.Errorf("look for migrations under way: %w", err) // the pattern is well-formed
	}
	for _, path := range notes {
		if err := a.resumeDeparture(ctx, path); err != nil {
			a.log.WithError(err).WithField("path", path).Error("a live migration that was cut short is left as it is")
		}
	}
	return nil
}

func (a *Agent) resumeDeparture(ctx context.Context, path string) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var n departureNote
	if err := json.Unmarshal(raw, &n); err != nil {
		return err
	}
	if n.Host != a.cfg.Default.Host {
		return nil
	}
	if n.Migration == nil || n.Data == nil || filepath.Base(filepath.Dir(path)) != n.Instance {
		return errors.New("the note does not name a migration of this instance")
	}
	rc := rpc.AdminContext()
	t := a.ownTask("live_migration", n.Instance, rc)
	if err := t.load(ctx); nova.Is(err, "InstanceNotFound") {
		return os.Remove(path)
	} else if err != nil {
		return err
	}
	d := &departure{
		spawn: &spawn{task: t}, steering: newSteering(), dest: n.Dest, block: n.Block, zone: n.Zone, prepared: n.Prepared,
		migration: &nova.Migration{Object: n.Migration}, data: &nova.LiveMigrateData{Object: n.Data},
	}
	d.number = d.migration.ID()
	t.log.WithField("host", n.Dest).Warn("a live migration was under way when the agent ended; taking it up")
	return t.queueDeparture(d, d.resume)
}

// resume finds out where the guest is, and settles the departure accordingly. One that had not begun begins anew.
func (d *departure) resume(ctx context.Context) error {
	if err := d.awaitService(ctx); stopping(ctx) {
		return &parkedError{err}
	}
	// A delete that interrupts waits until the departure is settled, lest the destination keep what it prepared.
	s, err := d.existing(context.WithoutCancel(ctx), "migration_context", "resources")
	if err != nil {
		return err
	}
	d.spawn = s
	switch {
	case d.inst.Host() != d.cfg.Default.Host:
		d.left, d.taken = true, true // the destination has said so; what is left here is not settled
		return d.conclude(ctx, nil)
	case d.inst.TaskState() != nova.TaskMigrating:
		return d.forget(ctx) // settled, but for the note
	case !d.prepared:
		return d.leave(ctx)
	}
	if err := d.enter(stageRunning); err != nil {
		return err
	}
	return d.conclude(ctx, d.follow(ctx, nil))
}

// underWay are the states of a live migration that its source has in hand.
var underWay = []nova.MigrationStatus{nova.MigrationQueued, nova.MigrationPreparing, nova.MigrationRunning, nova.MigrationPostCopy}

// endMigration settles a live migration of which only the records tell, such as one that another program began. Which
// storage the hosts share is not known then, and no file is removed. One for which the conductor is still looking for a
// host is left to it; one that it has sent here and that did not come has been lost with the process before.
func (t *task) endMigration(ctx context.Context) error {
	moves, err := t.cond.MigrationsByFilters(ctx, map[string]any{
		"instance_uuid": t.inst.UUID(), "source_compute": t.cfg.Default.Host, "migration_type": string(nova.MigrationLive),
		"status": append([]nova.MigrationStatus{nova.MigrationAccepted}, underWay...),
	})
	if err != nil {
		return fmt.Errorf("read the instance's migrations: %w", err)
	}
	d, err := t.newDeparture(ctx)
	if err != nil {
		return err
	}
	d.steering = newSteering()
	defer d.end(nil)
	if len(moves) == 0 {
		return ignoreVanished(d.recordStayed(ctx))
	}
	d.migration = slices.MaxFunc(moves, func(a, b *nova.Migration) int { return cmp.Compare(a.ID(), b.ID()) })
	if d.migration.Status() == nova.MigrationAccepted && d.migration.DestNode() == "" {
		return nil
	}
	d.dest, d.number, d.block, d.zone = d.migration.DestCompute(), d.migration.ID(), json.RawMessage("null"), d.inst.Raw("availability_zone")
	d.data = &nova.LiveMigrateData{Object: t.profile.New("LibvirtLiveMigrateData")}
	handover.Complete(d.data, handover.Verdict{Directory: t.inst.UUID(), SharedDirectory: true, SharedDisks: true})
	if err := d.enter(stageRunning); err != nil {
		return err
	}
	return d.conclude(ctx, d.follow(ctx, nil))
}
