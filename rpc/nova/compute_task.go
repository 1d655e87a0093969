package nova

import (
	"context"
	"fmt"

	"bolide/rpc"
)

func computeTaskTarget(version string) rpc.Target {
	return rpc.Target{Topic: "conductor", Namespace: "compute_task", Version: version}
}

// BuildInstances gives a build back to conductor, to be tried on the next host.
// args are the keyword arguments of build_instances: instances (a list of one),
// image, filter_properties (with the retry that names the hosts tried),
// admin_password, injected_files, requested_networks, security_groups,
// request_spec and host_lists (a list of the one list of hosts left). What was
// received with the build may be passed on as it came.
func (c *Conductor) BuildInstances(ctx context.Context, args map[string]any) error {
	if err := c.caller.Cast(ctx, c.rc, computeTaskTarget("1.19"), "build_instances", args); err != nil {
		return fmt.Errorf("give build back to conductor: %w", err)
	}
	return nil
}

// Move is a resize or cold migration that is given back to conductor.
type Move struct {
	Instance      *Instance
	Flavor        Flavor
	RequestSpec   *RequestSpec
	SchedulerHint map[string]any // {"filter_properties": …} with the retry
	HostList      []*Selection   // the hosts left; nil lets conductor ask the scheduler again
	Shutdown      Shutdown
}

// Shutdown is how a guest is stopped before it moves.
type Shutdown int

// The ways to stop a guest.
const (
	ShutdownClean Shutdown = iota // ask the guest first
	ShutdownForce
)

// MigrateServer gives a resize or cold migration back to conductor, to be tried
// on the next host. It waits for conductor to accept it, and returns conductor's
// error (for example NoValidHost) if there is no other host.
func (c *Conductor) MigrateServer(ctx context.Context, m Move) error {
	_, err := c.caller.Call(ctx, c.rc, computeTaskTarget("1.20"), "migrate_server", map[string]any{
		"instance":         m.Instance,
		"scheduler_hint":   m.SchedulerHint,
		"live":             false,
		"rebuild":          false,
		"flavor":           m.Flavor,
		"block_migration":  nil,
		"disk_over_commit": nil,
		"reservations":     nil,
		"clean_shutdown":   m.Shutdown == ShutdownClean,
		"request_spec":     m.RequestSpec,
		"host_list":        m.HostList,
	}, rpc.Monitored())
	if err != nil {
		return fmt.Errorf("give move back to conductor: %w", err)
	}
	return nil
}
