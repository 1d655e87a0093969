package nova

import (
	"context"
)

// InfoCache reads the cached network information; InstanceInfoCacheNotFound if there is none.
func (c *Conductor) InfoCache(ctx context.Context, instanceUUID string) (*InstanceInfoCache, error) {
	return get[InstanceInfoCache](ctx, c, "InstanceInfoCache", "get_by_instance_uuid", []any{instanceUUID}, nil)
}

// SaveInfoCache writes the changed network information.
func (c *Conductor) SaveInfoCache(ctx context.Context, cache *InstanceInfoCache) error {
	return c.act(ctx, cache.Object, "save")
}

// RefreshInfoCache reads the network information again.
func (c *Conductor) RefreshInfoCache(ctx context.Context, cache *InstanceInfoCache) error {
	return c.act(ctx, cache.Object, "refresh")
}

// NewVirtualInterface describes the row for a port, to be given to
// CreateVirtualInterface. The address is kept unique by adding the port id.
func (c *Conductor) NewVirtualInterface(instanceUUID, portID, mac, tag string) *VirtualInterface {
	o := c.profile.New("VirtualInterface")
	o.Set("address", mac+"/"+portID)
	o.Set("instance_uuid", instanceUUID)
	o.Set("uuid", portID)
	o.Set("tag", nullable(tag))
	return As[VirtualInterface](o)
}

// CreateVirtualInterface adds the row.
func (c *Conductor) CreateVirtualInterface(ctx context.Context, vif *VirtualInterface) error {
	return c.act(ctx, vif.Object, "create")
}

// SaveVirtualInterface writes the changed fields.
func (c *Conductor) SaveVirtualInterface(ctx context.Context, vif *VirtualInterface) error {
	return c.act(ctx, vif.Object, "save")
}

// DestroyVirtualInterface removes the row.
func (c *Conductor) DestroyVirtualInterface(ctx context.Context, vif *VirtualInterface) error {
	return c.act(ctx, vif.Object, "destroy")
}

// VirtualInterface finds the row of a port; nil if there is none.
func (c *Conductor) VirtualInterface(ctx context.Context, portID string) (*VirtualInterface, error) {
	return get[VirtualInterface](ctx, c, "VirtualInterface", "get_by_uuid", []any{portID}, nil)
}

// VirtualInterfaces lists the rows of an instance.
func (c *Conductor) VirtualInterfaces(ctx context.Context, instanceUUID string) ([]*VirtualInterface, error) {
	return list[VirtualInterface](ctx, c, "VirtualInterfaceList", "get_by_instance_uuid", []any{instanceUUID}, c.read(nil))
}

// DeleteVirtualInterfaces removes all rows of an instance.
func (c *Conductor) DeleteVirtualInterfaces(ctx context.Context, instanceUUID string) error {
	_, err := c.Class(ctx, "VirtualInterface", "delete_by_instance_uuid", []any{instanceUUID}, nil)
	return err
}
