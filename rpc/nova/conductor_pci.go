package nova

import "context"

// PciDevicesByNode lists the PCI devices known of a compute node, by its database id.
func (c *Conductor) PciDevicesByNode(ctx context.Context, computeNodeID int64) ([]*PciDevice, error) {
	return list[PciDevice](ctx, c, "PciDeviceList", "get_by_compute_node", []any{computeNodeID}, nil)
}

// PciDevicesByInstance lists the PCI devices given to an instance.
func (c *Conductor) PciDevicesByInstance(ctx context.Context, instanceUUID string) ([]*PciDevice, error) {
	return list[PciDevice](ctx, c, "PciDeviceList", "get_by_instance_uuid", []any{instanceUUID}, nil)
}

// SavePciDevice writes the changed fields; a device that has no record yet
// gets one, one whose status is "removed" loses it.
func (c *Conductor) SavePciDevice(ctx context.Context, d *PciDevice) error {
	return c.act(ctx, d.Object, "save")
}
