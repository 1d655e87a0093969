package nova

import (
	"context"
	"time"
)

// Migration finds a move by its id; MigrationNotFound if there is none.
func (c *Conductor) Migration(ctx context.Context, id int64) (*Migration, error) {
	return get[Migration](ctx, c, "Migration", "get_by_id", []any{id}, nil)
}

// MigrationOfInstance finds a move by its id only if it is the instance's; MigrationNotFoundForInstance if not.
func (c *Conductor) MigrationOfInstance(ctx context.Context, id int64, instanceUUID string) (*Migration, error) {
	return get[Migration](ctx, c, "Migration", "get_by_id_and_instance", []any{id, instanceUUID}, nil)
}

// MigrationByStatus finds the move of an instance that is in a state; MigrationNotFoundByStatus if there is none.
func (c *Conductor) MigrationByStatus(ctx context.Context, instanceUUID string, s MigrationStatus) (*Migration, error) {
	return get[Migration](ctx, c, "Migration", "get_by_instance_and_status", []any{instanceUUID, string(s)}, nil)
}

// MigrationsInProgressAndError lists the moves of a compute node that hold or may hold resources.
func (c *Conductor) MigrationsInProgressAndError(ctx context.Context, host, node string) ([]*Migration, error) {
	return list[Migration](ctx, c, "MigrationList", "get_in_progress_and_error", []any{host, node}, nil)
}

// MigrationsInProgress lists the unfinished moves of a compute node.
func (c *Conductor) MigrationsInProgress(ctx context.Context, host, node string) ([]*Migration, error) {
	return list[Migration](ctx, c, "MigrationList", "get_in_progress_by_host_and_node", []any{host, node}, nil)
}

// MigrationsByFilters lists moves by Nova's filters: status, host,
// source_compute, migration_type, instance_uuid, …
func (c *Conductor) MigrationsByFilters(ctx context.Context, filters map[string]any) ([]*Migration, error) {
	return list[Migration](ctx, c, "MigrationList", "get_by_filters", []any{filters}, nil)
}

// MigrationsUnconfirmed lists resizes to a host that wait for confirmation for longer than window.
func (c *Conductor) MigrationsUnconfirmed(ctx context.Context, window time.Duration, destHost string) ([]*Migration, error) {
	return list[Migration](ctx, c, "MigrationList", "get_unconfirmed_by_dest_compute",
		[]any{int(window.Seconds()), destHost}, c.read(nil))
}

// CreateMigration adds the record.
func (c *Conductor) CreateMigration(ctx context.Context, m *Migration) error {
	return c.act(ctx, m.Object, "create")
}

// SaveMigration writes the changed fields.
func (c *Conductor) SaveMigration(ctx context.Context, m *Migration) error {
	return c.act(ctx, m.Object, "save")
}

// MigrationContext reads what an instance holds on both hosts of a move; nil if it is not moving.
func (c *Conductor) MigrationContext(ctx context.Context, instanceUUID string) (*MigrationContext, error) {
	mc, err := get[MigrationContext](ctx, c, "MigrationContext", "get_by_instance_uuid", []any{instanceUUID}, nil)
	if Is(err, "MigrationContextNotFound") {
		return nil, nil
	}
	return mc, err
}
