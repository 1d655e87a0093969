package nova

import (
	"context"
	"fmt"

	"bolide/rpc"
)

// These tell every scheduler which instances are on this host, for the filters
// that look at them. Only useful with [filter_scheduler] track_instance_changes.

func schedulerTarget() rpc.Target {
	return rpc.Target{Topic: "scheduler", Version: "4.2", Fanout: true}
}

// UpdateInstanceInfo tells that these instances are on this host, or changed there.
func (c *Conductor) UpdateInstanceInfo(ctx context.Context, instances ...*Instance) error {
	return c.tellSchedulers(ctx, "update_instance_info", map[string]any{
		"host_name":     c.host,
		"instance_info": c.profile.NewList("InstanceList", Items(instances)...),
	})
}

// DeleteInstanceInfo tells that an instance is gone from this host.
func (c *Conductor) DeleteInstanceInfo(ctx context.Context, instanceUUID string) error {
	return c.tellSchedulers(ctx, "delete_instance_info", map[string]any{
		"host_name":     c.host,
		"instance_uuid": instanceUUID,
	})
}

// SyncInstanceInfo tells which instances this host has; a scheduler that knows
// others asks for all of them.
func (c *Conductor) SyncInstanceInfo(ctx context.Context, instanceUUIDs []string) error {
	if instanceUUIDs == nil {
		instanceUUIDs = []string{}
	}
	return c.tellSchedulers(ctx, "sync_instance_info", map[string]any{
		"host_name":      c.host,
		"instance_uuids": instanceUUIDs,
	})
}

func (c *Conductor) tellSchedulers(ctx context.Context, method string, args map[string]any) error {
	if err := c.caller.Cast(ctx, c.rc, schedulerTarget(), method, args); err != nil {
		return fmt.Errorf("tell schedulers %s: %w", method, err)
	}
	return nil
}
