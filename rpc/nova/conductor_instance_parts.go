package nova

import "context"

// The parts of an instance that are loaded one by one where an instance came
// without them. Each answers nil if the instance has none.

// InstanceNUMATopology reads the virtual NUMA layout.
func (c *Conductor) InstanceNUMATopology(ctx context.Context, instanceUUID string) (*InstanceNUMATopology, error) {
	topology, err := get[InstanceNUMATopology](ctx, c, "InstanceNUMATopology", "get_by_instance_uuid", []any{instanceUUID}, nil)
	if Is(err, "NumaTopologyNotFound") {
		return nil, nil
	}
	return topology, err
}

// InstancePCIRequests reads the PCI devices asked for.
func (c *Conductor) InstancePCIRequests(ctx context.Context, instanceUUID string) (*InstancePCIRequests, error) {
	return get[InstancePCIRequests](ctx, c, "InstancePCIRequests", "get_by_instance_uuid", []any{instanceUUID}, nil)
}

// InstanceResources reads the assigned special resources, a ResourceList.
func (c *Conductor) InstanceResources(ctx context.Context, instanceUUID string) (*Object, error) {
	return c.part(ctx, "ResourceList", instanceUUID)
}

// InstanceTrustedCerts reads the trusted image certificates, a TrustedCerts.
func (c *Conductor) InstanceTrustedCerts(ctx context.Context, instanceUUID string) (*Object, error) {
	return c.part(ctx, "TrustedCerts", instanceUUID)
}

// InstanceVCPUModel reads the CPU model the guest was given, a VirtCPUModel.
func (c *Conductor) InstanceVCPUModel(ctx context.Context, instanceUUID string) (*Object, error) {
	return c.part(ctx, "VirtCPUModel", instanceUUID)
}

// InstanceDeviceMetadata reads the tagged devices, an InstanceDeviceMetadata.
func (c *Conductor) InstanceDeviceMetadata(ctx context.Context, instanceUUID string) (*Object, error) {
	return c.part(ctx, "InstanceDeviceMetadata", instanceUUID)
}

// InstanceTags reads the server tags.
func (c *Conductor) InstanceTags(ctx context.Context, instanceUUID string) ([]string, error) {
	raw, err := c.Class(ctx, "TagList", "get_by_resource_id", []any{instanceUUID}, nil)
	if err != nil {
		return nil, err
	}
	tags, err := DecodeList(raw)
	if err != nil {
		return nil, err
	}
	return fieldOfEach(tags, "tag"), nil
}

// InstanceEC2Ids reads, or makes, the ids the EC2 form of the metadata shows.
func (c *Conductor) InstanceEC2Ids(ctx context.Context, inst *Instance) (*EC2Ids, error) {
	return get[EC2Ids](ctx, c, "EC2Ids", "get_by_instance", []any{inst}, nil)
}

func (c *Conductor) part(ctx context.Context, class, instanceUUID string) (*Object, error) {
	raw, err := c.Class(ctx, class, "get_by_instance_uuid", []any{instanceUUID}, nil)
	if err != nil {
		return nil, err
	}
	return Decode(raw)
}
