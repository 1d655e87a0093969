package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"bolide/rpc/nova"
)

// opLiveMigration moves a running guest to another host: action os-migrateLive, after the destination agreed. The
// request is only taken in; what comes of it is in the records of the instance and the migration.
func opLiveMigration(*Agent) operation {
	return operation{
		method: "live_migration", event: "compute_live_migration", keepsFault: true,
		do: func(ctx context.Context, t *task) (any, error) { return nil, t.liveMigrate(ctx) },
	}
}

// opLiveForceComplete makes a live migration end soon: action force_complete.
func opLiveForceComplete(*Agent) operation {
	return operation{
		method: "live_migration_force_complete", event: "compute_live_migration_force_complete", news: newsLiveForce, keepsFault: true,
		do: func(_ context.Context, t *task) (any, error) {
			if d := t.departures.of(t.inst.UUID()); d == nil || !d.askForce() {
				return nil, nova.NewError("NoActiveMigrationForInstance", map[string]any{"instance_id": t.inst.UUID()})
			}
			return nil, nil
		},
	}
}

// opLiveAbort ends a live migration, and the guest stays: DELETE /servers/{id}/migrations/{id}.
func opLiveAbort(*Agent) operation {
	return operation{
		method: "live_migration_abort", event: "compute_live_migration_abort", news: newsLiveAbort, keepsFault: true,
		do: func(ctx context.Context, t *task) (any, error) {
			args := nova.NewArgs(t.req.Args)
			id := args.Int("migration_id")
			if err := args.Err(); err != nil {
				return nil, err
			}
			if d := t.departures.of(t.inst.UUID()); d != nil && d.number == id && d.askAbort() {
				return nil, nil
			}
			m, err := t.cond.Migration(ctx, id)
			if err != nil {
				return nil, err
			}
			return nil, nova.NewError("InvalidMigrationState", map[string]any{
				"migration_id": id, "instance_uuid": t.inst.UUID(), "state": string(m.Status()), "method": "abort live migration"})
		},
	}
}

// liveMigrate queues the departure.
func (t *task) liveMigrate(ctx context.Context) error {
	args := nova.NewArgs(t.req.Args)
	d := &departure{
		spawn: &spawn{task: t.inBackground()}, steering: newSteering(),
		dest: args.Str("dest"), block: args.Raw("block_migration"),
		migration: args.Migration("migration"), data: args.LiveMigrateData("migrate_data"), zone: t.inst.Raw("availability_zone"),
	}
	if err := args.Err(); err != nil {
		return err
	}
	if d.migration == nil || d.data == nil || d.dest == "" {
		return errors.New("live_migration: migration, migrate_data and dest are needed")
	}
	d.number = d.migration.ID()
	if err := d.remember(); err != nil {
		return errors.Join(err, d.mark(ctx, nova.MigrationError))
	}
	if err := d.mark(ctx, nova.MigrationQueued); err != nil {
		return err
	}
	if err := t.queueDeparture(d, d.leave); err != nil {
		failed := nova.NewError("LiveMigrationNotSubmitted", map[string]any{"migration_uuid": d.migration.UUID(), "instance_uuid": t.inst.UUID()})
		return errors.Join(failed.Because(err), d.mark(ctx, nova.MigrationError))
	}
	return nil
}

// inBackground is the task for work that goes on when its request is answered.
func (t *task) inBackground() *task {
	later := *t
	return &later
}

// queueDeparture puts the work on a departure into its instance's queue. A delete interrupts it: the guest then stays,
// and is deleted here.
func (t *task) queueDeparture(d *departure, work func(context.Context) error) error {
	uuid := t.inst.UUID()
	if !t.departures.add(uuid, d) {
		return fmt.Errorf("instance %s is being migrated already", uuid)
	}
	_, err := t.queues.add(uuid, &job{name: "live_migration", interruptible: true, requested: true, run: func(ctx context.Context) {
		defer t.departures.drop(uuid)
		defer d.end(nil)
		d.began = time.Now()
		d.entry = d.board.Begin(d.describe())
		err := work(ctx)
		if d.placed {
			d.outgoing.Release(1)
		}
		d.entry.End(err)
		_ = d.report(err) // logs it
	}})
	if err != nil {
		t.departures.drop(uuid)
	}
	return err
}

// errSettled is that the records say of a migration that it has ended, before anything was done for it: its request came
// late, and a start of this service had taken it for lost.
var errSettled = errors.New("the migration was settled before its request came")

// leave brings the guest to the destination, or leaves everything as it was.
func (d *departure) leave(ctx context.Context) error {
	err := d.run(ctx, []step{
		{name: "wait for its turn", do: d.await},
		{name: "prepare the destination", do: d.prepare},
		{name: "wait for ports", do: d.awaitConnected},
		{name: "transfer", do: d.transfer},
	})
	return d.conclude(ctx, err)
}

// conclude settles what came of the transfer. Whatever else has gone wrong, a guest that has left has left.
func (d *departure) conclude(ctx context.Context, failure error) error {
	_ = d.enter(stageDecided) // nothing refuses it
	var split *splitError
	switch {
	case d.left:
		return d.arrived(ctx)
	case errors.Is(failure, errShutdown):
		return &parkedError{failure}
	case errors.Is(failure, errSettled): // the instance may be at something else by now
		return errors.Join(failure, d.mark(ctx, nova.MigrationFailed), d.forget(ctx))
	case errors.As(failure, &split):
		return errors.Join(failure, d.give(ctx))
	}
	return errors.Join(failure, d.stay(ctx, failure))
}

// await lets so many migrations run at a time as this host is to. It holds the place until the guest has moved.
func (d *departure) await(ctx context.Context) error {
	ctx, end := mergeEnd(ctx, d.called)
	defer end()
	if err := d.outgoing.Acquire(ctx, 1); err != nil {
		return context.Cause(ctx)
	}
	d.placed = true
	return nil
}

// prepare has the destination make ready for the guest. The events that tell of connected ports are expected before,
// since they may come at once. An abort or a delete waits for the answer: what is half prepared could not be undone.
func (d *departure) prepare(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	if err := d.mark(ctx, nova.MigrationPreparing); err != nil {
		return err
	}
	s, err := d.existing(ctx, "migration_context", "resources")
	if err != nil {
		return err
	}
	d.spawn = s
	if d.inst.TaskState() != nova.TaskMigrating || d.inst.Host() != d.cfg.Default.Host {
		return errSettled
	}
	list := ""
	if d.data.BlockMigration() {
		if d.records, err = d.localDisks(ctx); err != nil {
			return err
		}
		if list, err = encodeDisks(d.records); err != nil {
			return err
		}
	}
	d.plugged = d.waiters.expect(d.plugEvents()...)
	d.prepared = true
	if err := d.remember(); err != nil {
		return err
	}
	data, err := d.peer().PreLiveMigration(ctx, d.dest, d.inst, list, d.data)
	if err != nil {
		return err
	}
	d.data = data
	d.data.SetMigration(d.migration)
	return d.remember()
}

// plugEvents are what Neutron says as soon as the ports are plugged at the destination; for most kinds of ports it says
// so only when the guest is there.
func (d *departure) plugEvents() []eventKey {
	if d.cfg.Default.VIFPluggingTimeout <= 0 {
		return nil
	}
	var keys []eventKey
	for _, v := range d.vifs {
		if v.HybridPlug() {
			keys = append(keys, eventKey{Instance: d.inst.UUID(), Name: eventPlugged, Tag: v.ID})
		}
	}
	return keys
}

// awaitConnected waits until Neutron has connected the ports at the destination, if that host says that it will tell.
func (d *departure) awaitConnected(ctx context.Context) error {
	if !d.plugged.expected() || !d.data.WaitForVIFs() {
		d.plugged.forget()
		return nil
	}
	ctx, end := mergeEnd(ctx, d.called)
	defer end()
	bounded, cancel := context.WithTimeout(ctx, d.cfg.Default.VIFPluggingTimeout)
	defer cancel()
	err := d.plugged.wait(bounded)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case d.cfg.Default.VIFPluggingIsFatal:
		return nova.NewError("MigrationError", map[string]any{
			"reason": "the ports were not connected at " + d.dest + " in time"}).Because(err)
	}
	d.log.WithError(err).Warn("ports not connected at the destination in time; the guest goes all the same")
	return nil
}
