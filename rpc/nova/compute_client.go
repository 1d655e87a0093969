package nova

import (
	"context"
	"encoding/json"
	"fmt"

	"bolide/rpc"
)

// ComputeClient is the typed client for the compute services of other hosts,
// with which two nodes move a guest between them. The peer may be Nova's own
// node. It is bound to one request context and may be used concurrently.
//
// Everything is sent at version 6.0, which all releases serve.
type ComputeClient struct {
	caller Caller
	rc     rpc.Context
}

// NewComputeClient makes a client in a fresh admin context.
func NewComputeClient(caller Caller) *ComputeClient {
	return &ComputeClient{caller: caller, rc: rpc.AdminContext()}
}

// With gives a client for another request context.
func (c *ComputeClient) With(rc rpc.Context) *ComputeClient {
	return &ComputeClient{caller: c.caller, rc: rc}
}

func computeTarget(host string) rpc.Target {
	return rpc.Target{Topic: "compute", Server: host, Version: "6.0"}
}

func (c *ComputeClient) call(ctx context.Context, host, method string, args map[string]any, opts ...rpc.CallOption) (json.RawMessage, error) {
	raw, err := c.caller.Call(ctx, c.rc, computeTarget(host), method, args, opts...)
	if err != nil {
		return nil, fmt.Errorf("compute %s: %s: %w", host, method, err)
	}
	return raw, nil
}

func (c *ComputeClient) cast(ctx context.Context, host, method string, args map[string]any) error {
	if err := c.caller.Cast(ctx, c.rc, computeTarget(host), method, args); err != nil {
		return fmt.Errorf("compute %s: %s: %w", host, method, err)
	}
	return nil
}

// CheckCanLiveMigrateSource asks the source whether the guest can move to the
// host that described itself in data, and returns data completed.
func (c *ComputeClient) CheckCanLiveMigrateSource(ctx context.Context, source string, inst *Instance, data *LiveMigrateData) (*LiveMigrateData, error) {
	raw, err := c.call(ctx, source, "check_can_live_migrate_source", map[string]any{
		"instance": inst, "dest_check_data": data,
	})
	if err != nil {
		return nil, err
	}
	return decodeAs[LiveMigrateData](raw)
}

// PreLiveMigration asks the destination to prepare disks, volumes and networks.
// disks is the JSON text that describes local disks, "" without block migration.
// It may take as long as the long RPC timeout.
func (c *ComputeClient) PreLiveMigration(ctx context.Context, dest string, inst *Instance, disks string, data *LiveMigrateData) (*LiveMigrateData, error) {
	raw, err := c.call(ctx, dest, "pre_live_migration", map[string]any{
		"instance": inst, "disk": nullable(disks), "migrate_data": data,
	}, rpc.Monitored())
	if err != nil {
		return nil, err
	}
	return decodeAs[LiveMigrateData](raw)
}

// PostLiveMigrationAtDestination tells the destination that the guest now runs
// there. blockMigration is passed on as it was received, null included.
func (c *ComputeClient) PostLiveMigrationAtDestination(ctx context.Context, dest string, inst *Instance, blockMigration any) error {
	_, err := c.call(ctx, dest, "post_live_migration_at_destination", map[string]any{
		"instance": inst, "block_migration": blockMigration,
	}, rpc.Monitored())
	return err
}

// RollbackOptions say what the destination must undo.
type RollbackOptions struct {
	DestroyDisks bool             // required: the destination has copies of local disks
	MigrateData  *LiveMigrateData // required
}

// RollbackLiveMigrationAtDestination tells the destination to undo its preparations.
func (c *ComputeClient) RollbackLiveMigrationAtDestination(ctx context.Context, dest string, inst *Instance, o RollbackOptions) error {
	return c.cast(ctx, dest, "rollback_live_migration_at_destination", map[string]any{
		"instance": inst, "destroy_disks": o.DestroyDisks, "migrate_data": o.MigrateData,
	})
}

// DropMoveClaimAtDestination waits until the destination gave back what it
// claimed, which it can do only while the migration context exists.
func (c *ComputeClient) DropMoveClaimAtDestination(ctx context.Context, dest string, inst *Instance) error {
	_, err := c.call(ctx, dest, "drop_move_claim_at_destination", map[string]any{"instance": inst})
	return err
}

// RemoveVolumeConnection waits until a host disconnected a volume of an instance.
func (c *ComputeClient) RemoveVolumeConnection(ctx context.Context, host string, inst *Instance, volumeID string) error {
	_, err := c.call(ctx, host, "remove_volume_connection", map[string]any{
		"instance": inst, "volume_id": volumeID,
	})
	return err
}

// CheckInstanceSharedStorage asks a host whether it sees the file that data
// names, {"filename": path}.
func (c *ComputeClient) CheckInstanceSharedStorage(ctx context.Context, host string, data map[string]any) (bool, error) {
	raw, err := c.call(ctx, host, "check_instance_shared_storage", map[string]any{"data": data})
	if err != nil {
		return false, err
	}
	var shared bool
	if err := json.Unmarshal(raw, &shared); err != nil {
		return false, fmt.Errorf("compute %s: check_instance_shared_storage: %w", host, err)
	}
	return shared, nil
}

// Resize is what travels with a resize or cold migration from host to host.
type Resize struct {
	Instance    *Instance
	Migration   *Migration
	Image       any          // the image dictionary, as received
	RequestSpec *RequestSpec // as received
}

// ResizeInstance tells the source to stop the guest and bring its disks to the
// destination of the migration.
func (c *ComputeClient) ResizeInstance(ctx context.Context, source string, r Resize, f Flavor, s Shutdown) error {
	return c.cast(ctx, source, "resize_instance", map[string]any{
		"instance": r.Instance, "migration": r.Migration, "image": r.Image,
		"flavor": f, "clean_shutdown": s == ShutdownClean, "request_spec": r.RequestSpec,
	})
}

// FinishResize tells the destination that the disks, described by the JSON text
// diskInfo, are there.
func (c *ComputeClient) FinishResize(ctx context.Context, dest string, r Resize, diskInfo string) error {
	return c.cast(ctx, dest, "finish_resize", map[string]any{
		"instance": r.Instance, "migration": r.Migration, "image": r.Image,
		"disk_info": diskInfo, "request_spec": r.RequestSpec,
	})
}

// FinishRevertResize tells the source to take the guest back. Image is not sent.
func (c *ComputeClient) FinishRevertResize(ctx context.Context, source string, r Resize) error {
	return c.cast(ctx, source, "finish_revert_resize", map[string]any{
		"instance": r.Instance, "migration": r.Migration, "request_spec": r.RequestSpec,
	})
}

// ConfirmResize tells the source to remove what it kept of the guest.
func (c *ComputeClient) ConfirmResize(ctx context.Context, source string, inst *Instance, m *Migration) error {
	return c.cast(ctx, source, "confirm_resize", map[string]any{"instance": inst, "migration": m})
}

// StopInstance and the other operations that a node starts by itself run
// through its own queue, as if the API had asked for them.

// StopInstance tells a host to stop a guest.
func (c *ComputeClient) StopInstance(ctx context.Context, host string, inst *Instance, s Shutdown) error {
	return c.cast(ctx, host, "stop_instance", map[string]any{
		"instance": inst, "clean_shutdown": s == ShutdownClean,
	})
}
