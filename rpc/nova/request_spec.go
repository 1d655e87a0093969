package nova

// RequestSpec is a view of what the scheduler was asked for.
type RequestSpec struct{ *Object }

func (r RequestSpec) InstanceUUID() string { return r.Str("instance_uuid") }
func (r RequestSpec) Flavor() Flavor       { return Flavor{r.Obj("flavor")} }
func (r RequestSpec) Image() ImageMeta     { return ImageMeta{r.Obj("image")} }
func (r RequestSpec) PCIRequests() InstancePCIRequests {
	return InstancePCIRequests{r.Obj("pci_requests")}
}
func (r RequestSpec) InstanceGroup() InstanceGroup { return InstanceGroup{r.Obj("instance_group")} }
func (r RequestSpec) IsBootFromVolume() bool       { return r.Bool("is_bfv") }

// RequestedResources are RequestGroup objects, for ports and accelerators.
func (r RequestSpec) RequestedResources() []*Object { return r.List("requested_resources") }

// ProviderMapping tells per requester (a port or device profile) which
// resource providers serve it.
func (r RequestSpec) ProviderMapping() map[string][]string {
	mapping := map[string][]string{}
	for _, group := range r.RequestedResources() {
		if id := group.Str("requester_id"); id != "" {
			mapping[id] = group.Strings("provider_uuids")
		}
	}
	return mapping
}

// Selection is a view of one host the scheduler chose, with its alternates.
type Selection struct{ *Object }

func (s Selection) ComputeNodeUUID() string { return s.Str("compute_node_uuid") }
func (s Selection) ServiceHost() string     { return s.Str("service_host") }
func (s Selection) NodeName() string        { return s.Str("nodename") }

// Limits is a SchedulerLimits object.
func (s Selection) Limits() *Object { return s.Obj("limits") }

// AllocationRequest is the JSON text of the Placement allocation candidate.
func (s Selection) AllocationRequest() string        { return s.Str("allocation_request") }
func (s Selection) AllocationRequestVersion() string { return s.Str("allocation_request_version") }

// NetworkRequest is a view of one network or port asked for at boot.
type NetworkRequest struct{ *Object }

// NetworkID is a network id, or "auto" or "none", or "" if a port is given.
func (n NetworkRequest) NetworkID() string     { return n.Str("network_id") }
func (n NetworkRequest) PortID() string        { return n.Str("port_id") }
func (n NetworkRequest) Address() string       { return n.Str("address") }
func (n NetworkRequest) Tag() string           { return n.Str("tag") }
func (n NetworkRequest) PCIRequestID() string  { return n.Str("pci_request_id") }
func (n NetworkRequest) ARQUUID() string       { return n.Str("arq_uuid") }
func (n NetworkRequest) DeviceProfile() string { return n.Str("device_profile") }

// IsNone and IsAuto tell the two words from ids.
func (n NetworkRequest) IsNone() bool { return n.NetworkID() == "none" }
func (n NetworkRequest) IsAuto() bool { return n.NetworkID() == "auto" }

// InstanceExternalEvent is a view of an event another service reports.
type InstanceExternalEvent struct{ *Object }

// The events Nova passes on; the set is the same in all releases.
const (
	EventNetworkChanged      = "network-changed"
	EventNetworkVIFPlugged   = "network-vif-plugged"
	EventNetworkVIFUnplugged = "network-vif-unplugged"
	EventNetworkVIFDeleted   = "network-vif-deleted"
	EventVolumeExtended      = "volume-extended"
	EventVolumeReimaged      = "volume-reimaged"
	EventPowerUpdate         = "power-update"
	EventAcceleratorBound    = "accelerator-request-bound"
)

func (e InstanceExternalEvent) InstanceUUID() string    { return e.Str("instance_uuid") }
func (e InstanceExternalEvent) EventName() string       { return e.Str("name") }
func (e InstanceExternalEvent) Status() string          { return e.Str("status") } // completed, failed, in-progress
func (e InstanceExternalEvent) Tag() string             { return e.Str("tag") }    // a port, volume or target id
func (e InstanceExternalEvent) Data() map[string]string { return e.Map("data") }

// Key is what waiters match on: "name-tag", or the name alone without a tag.
func (e InstanceExternalEvent) Key() string {
	if e.Tag() == "" {
		return e.EventName()
	}
	return e.EventName() + "-" + e.Tag()
}
