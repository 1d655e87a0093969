package hypervisor

import (
	"errors"
	"testing"
	"time"

	"bolide/test/virt"
)

// TestMigrate moves a guest between two libvirtds that see the same files.
func TestMigrate(t *testing.T) {
	here, there := virt.Start(t), virt.Start(t)
	source, target := connect(t, here, Options{}), connect(t, there, Options{})
	events, unsubscribe := target.Subscribe()
	defer unsubscribe()
	gone, unsubscribeGone := source.Subscribe()
	defer unsubscribeGone()
	g := boot(t, source, here, virt.GuestOptions{})
	ctx := within(t, 2*patience)
	options := MigrateOptions{
		To: there.URI(), URI: "tcp://127.0.0.1", ListenAddress: "127.0.0.1",
		Live: true, PeerToPeer: true, Persist: true, UndefineSource: true, Unsafe: true,
	}

	if job, err := source.Job(ctx, g.UUID); err != nil || job.State != JobNone {
		t.Errorf("job before migration: %+v, %v", job, err)
	}
	if err := source.SetMigrationDowntime(ctx, g.UUID, 50*time.Millisecond); err != nil {
		t.Errorf("downtime: %v", err)
	}
	if err := source.Migrate(ctx, g.UUID, options); err != nil {
		t.Fatal(err)
	}
	if e := expect(t, events, EventStarted); e.UUID != g.UUID || e.Detail != "migrated" {
		t.Errorf("event: %+v", e)
	}
	if e := expect(t, gone, EventStopped); e.Detail != "migrated" {
		t.Errorf("event: %+v", e)
	}
	if one, err := target.Guest(ctx, g.UUID); err != nil || one.State != Running || !one.Persistent {
		t.Errorf("guest at the target: %+v, %v", one, err)
	}
	if _, err := source.Guest(ctx, g.UUID); !errors.Is(err, ErrNotFound) {
		t.Errorf("guest at the source: %v", err)
	}
}

// TestAbortMigration ends a migration that is too slow to end by itself.
func TestAbortMigration(t *testing.T) {
	here, there := virt.Start(t), virt.Start(t)
	source := connect(t, here, Options{})
	g := boot(t, source, here, virt.GuestOptions{})
	ctx := within(t, 2*patience)
	events, unsubscribe := source.Subscribe()
	defer unsubscribe()

	migrated := make(chan error, 1)
	go func() {
		migrated <- source.Migrate(ctx, g.UUID, MigrateOptions{
			To: there.URI(), URI: "tcp://127.0.0.1", Live: true, PeerToPeer: true, Unsafe: true, Bandwidth: 1,
		})
	}()
	expect(t, events, EventMigrationIteration)
	if job, err := source.Job(ctx, g.UUID); err != nil || job.State != JobRunning ||
		job.Operation != "outgoing migration" || job.Memory.Total == 0 {
		t.Errorf("job: %+v, %v", job, err)
	}
	if err := source.AbortJob(ctx, g.UUID); err != nil {
		t.Fatal(err)
	}
	if err := <-migrated; !errors.Is(err, ErrAborted) {
		t.Errorf("aborted migration: %v", err)
	}
	if one, err := source.Guest(ctx, g.UUID); err != nil || one.State != Running {
		t.Errorf("guest after aborted migration: %+v, %v", one, err)
	}
}
