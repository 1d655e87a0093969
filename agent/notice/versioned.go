package notice

import (
	"bolide/agent/network"
	"bolide/rpc/nova"
)

// Object is one versioned object of a notification.
type Object struct {
	Name      string         `json:"nova_object.name"`
	Namespace string         `json:"nova_object.namespace"`
	Version   string         `json:"nova_object.version"`
	Data      map[string]any `json:"nova_object.data"`
}

// versions are those of the objects; they are the same in all releases from Zed on.
var versions = map[string]string{
	"InstanceActionPayload": "1.8", "InstanceCreatePayload": "1.12", "InstanceActionSnapshotPayload": "1.9",
	"InstanceActionRescuePayload": "1.3", "InstanceActionRebuildPayload": "1.9", "InstanceActionResizePrepPayload": "1.3",
	"InstanceActionVolumePayload": "1.6", "InstanceActionVolumeSwapPayload": "1.8", "InstanceExistsPayload": "2.0",
	"FlavorPayload": "1.4", "IpPayload": "1.0", "BlockDevicePayload": "1.0", "KeypairPayload": "1.0",
	"AuditPeriodPayload": "1.0", "ExceptionPayload": "1.1",
}

func object(name string, data map[string]any) Object {
	return Object{Name: name, Namespace: "nova", Version: versions[name], Data: data}
}

// A Payload names the versioned payload of a notification.
type Payload string

// The payloads of notifications about instances. The one without a name is Action.
const (
	Action     Payload = "InstanceActionPayload"
	Create     Payload = "InstanceCreatePayload"
	Snapshot   Payload = "InstanceActionSnapshotPayload"
	Rescue     Payload = "InstanceActionRescuePayload"
	Rebuild    Payload = "InstanceActionRebuildPayload"
	ResizePrep Payload = "InstanceActionResizePrepPayload"
	Volume     Payload = "InstanceActionVolumePayload"
	VolumeSwap Payload = "InstanceActionVolumeSwapPayload"
	Exists     Payload = "InstanceExistsPayload"
)

// Versioned is the versioned payload, with extra fields and, if it is one of an action, with the fault or without.
func (s Subject) Versioned(p Payload, fault error, extra map[string]any) Object {
	data := s.base()
	if p != Exists {
		data["fault"] = nil
		if fault != nil {
			data["fault"] = Exception(fault)
		}
	}
	switch p {
	case Create:
		data["keypairs"], data["tags"] = keypairs(s.Instance), s.Instance.Tags()
		data["trusted_image_certificates"], data["instance_name"] = s.certificates(), s.Name
	case Rebuild:
		data["trusted_image_certificates"] = s.certificates()
	}
	for name, value := range extra {
		data[name] = value
	}
	return object(string(p), data)
}

// base are the fields that all payloads have.
func (s Subject) base() map[string]any {
	i := s.Instance
	data := map[string]any{
		"tenant_id": i.Raw("project_id"), "host_name": i.Raw("hostname"), "image_uuid": i.Raw("image_ref"), "state": i.Raw("vm_state"),
		"flavor": Flavor(i.Flavor()), "power_state": power(i), "auto_disk_config": diskConfig(i), "locked": i.Locked(),
		"metadata": dict(i.Raw("metadata")), "locked_reason": dict(i.Raw("system_metadata"))["locked_reason"],
		"ip_addresses": addresses(i), "block_devices": s.blockDevices(),
		"request_id": nil, "action_initiator_user": nil, "action_initiator_project": nil,
	}
	for _, same := range []string{
		"uuid", "user_id", "reservation_id", "display_name", "display_description", "host", "node", "os_type", "architecture",
		"availability_zone", "key_name", "kernel_id", "ramdisk_id", "created_at", "launched_at", "terminated_at", "deleted_at",
		"updated_at", "task_state", "progress",
	} {
		data[same] = i.Raw(same)
	}
	user, project := s.Context.UserID(), s.Context.ProjectID()
	if user != "" {
		data["action_initiator_user"] = user
	}
	if project != "" {
		data["action_initiator_project"] = project
	}
	if user != "" && project != "" { // the node's own requests are nobody's to find
		data["request_id"] = s.Context.RequestID()
	}
	return data
}

// powerNames are the power states by their number.
var powerNames = []any{"pending", "running", nil, "paused", "shutdown", nil, "crashed", "suspended"}

func power(i *nova.Instance) any {
	if n := i.PowerState(); !i.IsNull("power_state") && n >= 0 && int(n) < len(powerNames) {
		return powerNames[n]
	}
	return nil
}

func diskConfig(i *nova.Instance) string {
	if i.AutoDiskConfig() {
		return "AUTO"
	}
	return "MANUAL"
}

// Flavor is a flavor's payload.
func Flavor(f nova.Flavor) Object {
	data := map[string]any{"projects": nil}
	for _, same := range []string{
		"flavorid", "memory_mb", "vcpus", "root_gb", "ephemeral_gb", "name", "swap", "rxtx_factor", "vcpu_weight", "disabled",
		"is_public", "extra_specs", "description",
	} {
		data[same] = f.Raw(same)
	}
	return object("FlavorPayload", data)
}

// addresses are those that the instance's info cache has.
func addresses(i *nova.Instance) []Object {
	out := []Object{}
	ports, err := network.ParseInfo(i.InfoCache().NetworkInfo())
	if err != nil {
		return out // a cache that cannot be read is healed by those who need it
	}
	for _, vif := range ports {
		for _, ip := range vif.FixedIPs() {
			out = append(out, object("IpPayload", map[string]any{
				"label": vif.Network.Label, "mac": vif.Address, "meta": vif.Meta, "port_uuid": vif.ID,
				"version": ip.Version, "address": ip.Address, "device_name": vif.DevName,
			}))
		}
	}
	return out
}

// blockDevices are the volumes among the instance's block devices; null if they are not told.
func (s Subject) blockDevices() any {
	if s.Volumes == nil {
		return nil
	}
	out := []Object{}
	for _, b := range s.Volumes {
		if b.IsNull("volume_id") {
			continue
		}
		data := map[string]any{}
		for _, same := range []string{"device_name", "boot_index", "delete_on_termination", "volume_id", "tag"} {
			data[same] = b.Raw(same)
		}
		out = append(out, object("BlockDevicePayload", data))
	}
	return out
}

func keypairs(i *nova.Instance) []Object {
	out := []Object{}
	for _, k := range i.KeyPairs() {
		data := map[string]any{}
		for _, same := range []string{"user_id", "name", "public_key", "fingerprint", "type"} {
			data[same] = k.Raw(same)
		}
		out = append(out, object("KeypairPayload", data))
	}
	return out
}

// certificates are the ids of those that the image's signature must chain to; null for none.
func (s Subject) certificates() any {
	if ids := s.Instance.TrustedCerts(); len(ids) > 0 {
		return ids
	}
	return nil
}
