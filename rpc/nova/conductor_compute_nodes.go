package nova

import "context"

// ComputeNodesByHost lists the compute nodes of a service; ComputeHostNotFound if there is none.
func (c *Conductor) ComputeNodesByHost(ctx context.Context, host string) ([]*ComputeNode, error) {
	return list[ComputeNode](ctx, c, "ComputeNodeList", "get_all_by_host", []any{host}, c.read(nil))
}

// ComputeNodesByUUIDs lists compute nodes by their uuids; unknown ones are left out.
func (c *Conductor) ComputeNodesByUUIDs(ctx context.Context, uuids ...string) ([]*ComputeNode, error) {
	return list[ComputeNode](ctx, c, "ComputeNodeList", "get_all_by_uuids", []any{uuids}, nil)
}

// ComputeNodeByHostAndNode finds a compute node; ComputeHostNotFound if there is none.
func (c *Conductor) ComputeNodeByHostAndNode(ctx context.Context, host, node string) (*ComputeNode, error) {
	return get[ComputeNode](ctx, c, "ComputeNode", "get_by_host_and_nodename", []any{host, node}, nil)
}

// ComputeNodeByNode finds a compute node by its hypervisor host name alone.
func (c *Conductor) ComputeNodeByNode(ctx context.Context, node string) (*ComputeNode, error) {
	return get[ComputeNode](ctx, c, "ComputeNode", "get_by_nodename", []any{node}, nil)
}

// ComputeNodeByUUID finds a compute node; ComputeHostNotFound if there is none.
// Deleted ones are found in a context whose read_deleted is "yes".
func (c *Conductor) ComputeNodeByUUID(ctx context.Context, uuid string) (*ComputeNode, error) {
	return get[ComputeNode](ctx, c, "ComputeNode", "get_by_uuid", []any{uuid}, nil)
}

// FirstComputeNode finds the first compute node of a service. Live migration
// asks it for the destination, whose node name Nova does not carry along.
func (c *Conductor) FirstComputeNode(ctx context.Context, host string) (*ComputeNode, error) {
	return get[ComputeNode](ctx, c, "ComputeNode", "get_first_node_by_host_for_old_compat", []any{host}, c.read(nil))
}

// CreateComputeNode adds the record; from 2024.1 on DuplicateRecord means the uuid is taken.
func (c *Conductor) CreateComputeNode(ctx context.Context, n *ComputeNode) error {
	return c.act(ctx, n.Object, "create")
}

// SaveComputeNode writes the changed fields.
func (c *Conductor) SaveComputeNode(ctx context.Context, n *ComputeNode) error {
	return c.act(ctx, n.Object, "save")
}

// DestroyComputeNode marks the record deleted.
func (c *Conductor) DestroyComputeNode(ctx context.Context, n *ComputeNode) error {
	return c.act(ctx, n.Object, "destroy")
}
