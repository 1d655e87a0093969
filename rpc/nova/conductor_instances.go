package nova

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// Expect is what must be true of an instance in the database for a save to
// happen. An empty list is not checked.
type Expect struct {
	TaskStates []TaskState // NoTask stands for "no task"
	VMStates   []VMState
}

// ExpectTask expects one of the tasks, for example ExpectTask(TaskScheduling, NoTask).
func ExpectTask(states ...TaskState) Expect { return Expect{TaskStates: states} }

func (e Expect) kwargs() map[string]any {
	kwargs := map[string]any{}
	if len(e.TaskStates) > 0 {
		kwargs["expected_task_state"] = oneOrList(e.TaskStates)
	}
	if len(e.VMStates) > 0 {
		kwargs["expected_vm_state"] = oneOrList(e.VMStates)
	}
	return kwargs
}

// oneOrList writes a single state as text and several as a list. Null must
// come in a list: alone it would mean "no check".
func oneOrList[S ~string](states []S) any {
	if len(states) == 1 && states[0] != "" {
		return string(states[0])
	}
	out := make([]any, len(states))
	for i, s := range states {
		out[i] = nullable(s)
	}
	return out
}

// Instance reads an instance with the optional parts named by attrs;
// InstanceNotFound if it is gone.
func (c *Conductor) Instance(ctx context.Context, uuid string, attrs ...string) (*Instance, error) {
	return get[Instance](ctx, c, "Instance", "get_by_uuid", []any{uuid}, c.read(expect(attrs)))
}

// InstancesByHost lists the instances of a compute service.
func (c *Conductor) InstancesByHost(ctx context.Context, host string, attrs ...string) ([]*Instance, error) {
	return list[Instance](ctx, c, "InstanceList", "get_by_host", []any{host}, c.read(expect(attrs)))
}

// InstancesByHostAndNode lists the instances of one compute node.
func (c *Conductor) InstancesByHostAndNode(ctx context.Context, host, node string, attrs ...string) ([]*Instance, error) {
	return list[Instance](ctx, c, "InstanceList", "get_by_host_and_node", []any{host, node}, expect(attrs))
}

// InstancesByFilters lists instances by Nova's database filters, for example
// {"uuid": [...]} or {"host": h, "deleted": true, "cleaned": false}.
func (c *Conductor) InstancesByFilters(ctx context.Context, filters map[string]any, attrs ...string) ([]*Instance, error) {
	return list[Instance](ctx, c, "InstanceList", "get_by_filters", []any{filters}, c.read(expect(attrs)))
}

// InstancesHungInReboot lists instances rebooting for longer than window.
func (c *Conductor) InstancesHungInReboot(ctx context.Context, window time.Duration, attrs ...string) ([]*Instance, error) {
	return list[Instance](ctx, c, "InstanceList", "get_hung_in_rebooting", []any{int(window.Seconds())}, expect(attrs))
}

// InstancesActiveIn lists the instances of a host that were active in a period, for usage records.
func (c *Conductor) InstancesActiveIn(ctx context.Context, host string, begin, end time.Time, attrs ...string) ([]*Instance, error) {
	kwargs := c.read(expect(attrs))
	kwargs["host"] = host
	return list[Instance](ctx, c, "InstanceList", "_get_active_by_window_joined",
		[]any{isoTime(begin), isoTime(end)}, kwargs)
}

// InstanceUUIDsByHost lists only the uuids of the instances of a compute service.
func (c *Conductor) InstanceUUIDsByHost(ctx context.Context, host string) ([]string, error) {
	return c.uuids(ctx, "get_uuids_by_host", host)
}

// InstanceUUIDsByHostAndNode lists only the uuids of the instances of one compute node.
func (c *Conductor) InstanceUUIDsByHostAndNode(ctx context.Context, host, node string) ([]string, error) {
	return c.uuids(ctx, "get_uuids_by_host_and_node", host, node)
}

func (c *Conductor) uuids(ctx context.Context, method string, args ...any) ([]string, error) {
	raw, err := c.Class(ctx, "InstanceList", method, args, nil)
	if err != nil {
		return nil, err
	}
	var out []string
	if err := json.Unmarshal(raw, &out); err != nil {
		return nil, fmt.Errorf("conductor InstanceList.%s: %w", method, err)
	}
	return out, nil
}

// SaveInstance writes the changed fields if the instance is as expected, all
// or nothing. UnexpectedTaskStateError, and its kind
// UnexpectedDeletingTaskStateError when the user deletes the instance, mean
// that another took over; InstanceNotFound that it is gone.
func (c *Conductor) SaveInstance(ctx context.Context, inst *Instance, exp Expect) error {
	_, err := c.Action(ctx, inst.Object, "save", nil, exp.kwargs())
	return err
}

// RefreshInstance reads the instance again, with the parts it already has.
func (c *Conductor) RefreshInstance(ctx context.Context, inst *Instance) error {
	_, err := c.Action(ctx, inst.Object, "refresh", nil, map[string]any{"use_slave": c.replica})
	return err
}

// DestroyInstance marks the record deleted.
func (c *Conductor) DestroyInstance(ctx context.Context, inst *Instance) error {
	return c.act(ctx, inst.Object, "destroy")
}

// DropMigrationContext forgets what the instance held on the other host of a move.
func (c *Conductor) DropMigrationContext(ctx context.Context, inst *Instance) error {
	return c.act(ctx, inst.Object, "drop_migration_context")
}

// isoTime is how times go in arguments, unlike in objects.
func isoTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000") }
