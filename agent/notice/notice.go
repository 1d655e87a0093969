// Package notice makes the payloads of the notifications that a compute node sends about instances, in both of Nova's
// forms: the unversioned one, a flat dictionary, and the versioned one, objects with a name and a version. It follows
// what Nova's own node sends, field by field, and asks nobody: what a payload needs is in its Subject.
package notice

import (
	"encoding/json"
	"strings"
	"time"

	"bolide/agent/network"
	"bolide/rpc"
	"bolide/rpc/nova"
)

// Subject is what a notification is about, and in which request.
type Subject struct {
	// Instance has its flavor, metadata, system metadata and info cache loaded; a part that is missing is told as empty.
	Instance *nova.Instance
	Context  rpc.Context
	// Name is the instance's name at the hypervisor.
	Name string
	// ImageURL is where Glance has the instance's image.
	ImageURL string
	// Volumes are the instance's block devices; nil: not told.
	Volumes []*nova.BlockDeviceMapping
}

// Usage is the unversioned payload, with the addresses of the ports unless they are nil, and with extra.
func (s Subject) Usage(ports network.Info, extra map[string]any) map[string]any {
	i := s.Instance
	f := i.Flavor()
	usage := map[string]any{
		"tenant_id": i.Raw("project_id"), "user_id": i.Raw("user_id"),
		"instance_id": i.UUID(), "display_name": i.Raw("display_name"), "reservation_id": i.Raw("reservation_id"), "hostname": i.Raw("hostname"),
		"instance_type": f.Str("name"), "instance_type_id": i.Raw("instance_type_id"), "instance_flavor_id": f.Str("flavorid"),
		"architecture": i.Raw("architecture"),
		"memory_mb":    f.MemoryMB(), "disk_gb": f.RootGB() + f.EphemeralGB(), "vcpus": f.VCPUs(), "root_gb": f.RootGB(), "ephemeral_gb": f.EphemeralGB(),
		"host": i.Raw("host"), "node": i.Raw("node"), "availability_zone": i.Raw("availability_zone"), "cell_name": i.Str("cell_name"),
		"created_at": created(i.CreatedAt()), "terminated_at": moment(i.TerminatedAt()),
		"deleted_at": moment(i.DeletedAt()), "launched_at": moment(i.LaunchedAt()),
		"image_ref_url": s.ImageURL, "os_type": i.Raw("os_type"), "kernel_id": i.Raw("kernel_id"), "ramdisk_id": i.Raw("ramdisk_id"),
		"state": i.Raw("vm_state"), "state_description": i.Str("task_state"), "progress": progress(i),
		"access_ip_v4": i.Raw("access_ip_v4"), "access_ip_v6": i.Raw("access_ip_v6"),
		"image_meta": imageMeta(i), "metadata": dict(i.Raw("metadata")),
	}
	if ports != nil {
		usage["fixed_ips"] = fixedIPs(ports)
	}
	for name, value := range extra {
		usage[name] = value
	}
	return usage
}

// progress is a number, or an empty text for none.
func progress(i *nova.Instance) any {
	if p := i.Progress(); p != 0 {
		return p
	}
	return ""
}

// created is how Python prints a time with its zone.
func created(t time.Time) string {
	if t.IsZero() {
		return "None"
	}
	return t.UTC().Format("2006-01-02 15:04:05.999999-07:00")
}

// moment is a time without its zone, UTC; "" for none.
func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000000")
}

// imageMeta is what the instance keeps of its image's properties.
func imageMeta(i *nova.Instance) map[string]any { return ImageMeta(dict(i.Raw("system_metadata"))) }

// ImageMeta is what system metadata keeps of an image's properties, as the unversioned form tells it.
func ImageMeta(system map[string]any) map[string]any {
	meta := map[string]any{}
	for key, value := range system {
		if name, ok := strings.CutPrefix(key, "image_"); ok {
			meta[name] = value
		}
	}
	return meta
}

// dict is a dictionary field; an empty one where there is none.
func dict(v any) map[string]any {
	if m, ok := v.(map[string]any); ok {
		return m
	}
	return map[string]any{}
}

// fixedIPs are the addresses as the info cache has them, each with the network and the card it belongs to.
func fixedIPs(ports network.Info) []map[string]any {
	out := []map[string]any{}
	for _, vif := range ports {
		for _, ip := range vif.FixedIPs() {
			raw, err := ip.MarshalJSON()
			var m map[string]any
			if err != nil || json.Unmarshal(raw, &m) != nil {
				continue // what was read from JSON can be written as JSON
			}
			m["label"], m["vif_mac"] = vif.Network.Label, vif.Address
			out = append(out, m)
		}
	}
	return out
}
