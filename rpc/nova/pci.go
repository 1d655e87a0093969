package nova

// InstancePCIRequests is a view of the PCI devices an instance asks for.
type InstancePCIRequests struct{ *Object }

func (r InstancePCIRequests) InstanceUUID() string { return r.Str("instance_uuid") }

// Requests are InstancePCIRequest objects.
func (r InstancePCIRequests) Requests() []*Object { return r.List("requests") }

// PciDevice is a view of one PCI device of a host.
type PciDevice struct{ *Object }

func (d PciDevice) ID() int64                    { return d.Int("id") }
func (d PciDevice) ComputeNodeID() int64         { return d.Int("compute_node_id") }
func (d PciDevice) Address() string              { return d.Str("address") } // "0000:00:1f.2"
func (d PciDevice) ParentAddress() string        { return d.Str("parent_addr") }
func (d PciDevice) VendorID() string             { return d.Str("vendor_id") }
func (d PciDevice) ProductID() string            { return d.Str("product_id") }
func (d PciDevice) Type() string                 { return d.Str("dev_type") } // type-PCI, type-PF, type-VF, vdpa
func (d PciDevice) Status() string               { return d.Str("status") }
func (d PciDevice) InstanceUUID() string         { return d.Str("instance_uuid") }
func (d PciDevice) RequestID() string            { return d.Str("request_id") }
func (d PciDevice) ExtraInfo() map[string]string { return d.Map("extra_info") }

// NUMANode is the host NUMA node, -1 when the device belongs to none.
func (d PciDevice) NUMANode() int64 {
	if d.IsNull("numa_node") {
		return -1
	}
	return d.Int("numa_node")
}
