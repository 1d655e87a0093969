package nova

import (
	"context"
	"encoding/json"
	"fmt"
)

// GroupOfInstance finds the server group of an instance; InstanceGroupNotFound if it is in none.
func (c *Conductor) GroupOfInstance(ctx context.Context, instanceUUID string) (*InstanceGroup, error) {
	return get[InstanceGroup](ctx, c, "InstanceGroup", "get_by_instance_uuid", []any{instanceUUID}, nil)
}

// Group finds a server group by its uuid; InstanceGroupNotFound if there is none.
func (c *Conductor) Group(ctx context.Context, uuid string) (*InstanceGroup, error) {
	return get[InstanceGroup](ctx, c, "InstanceGroup", "get_by_uuid", []any{uuid}, nil)
}

// GroupByName finds a server group by its name; InstanceGroupNotFound if there is none.
func (c *Conductor) GroupByName(ctx context.Context, name string) (*InstanceGroup, error) {
	return get[InstanceGroup](ctx, c, "InstanceGroup", "get_by_name", []any{name}, nil)
}

// GroupHosts lists the hosts the other members of a group are on.
func (c *Conductor) GroupHosts(ctx context.Context, g *InstanceGroup, exceptInstances ...string) ([]string, error) {
	kwargs := map[string]any{}
	if len(exceptInstances) > 0 {
		kwargs["exclude"] = exceptInstances
	}
	raw, err := c.Action(ctx, g.Object, "get_hosts", nil, kwargs)
	if err != nil {
		return nil, err
	}
	var hosts []string
	if err := json.Unmarshal(raw, &hosts); err != nil {
		return nil, fmt.Errorf("hosts of group %s: %w", g.UUID(), err)
	}
	return hosts, nil
}
