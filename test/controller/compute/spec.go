package compute

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"bolide/rpc/nova"
	"bolide/test/controller/image"
)

// imageAttributes are Glance's own attributes; all others are properties.
var imageAttributes = []string{
	"id", "name", "status", "visibility", "owner", "protected", "os_hidden", "disk_format", "container_format", "min_disk", "min_ram",
	"size", "virtual_size", "checksum", "os_hash_algo", "os_hash_value", "tags", "locations", "created_at", "updated_at", "self", "file",
	"schema", "stores", "direct_url",
}

func properties(img image.Record) map[string]string {
	out := map[string]string{}
	for name, value := range img {
		if s, ok := value.(string); ok && !slices.Contains(imageAttributes, name) {
			out[name] = s
		}
	}
	return out
}

func number(v any) int64 {
	switch v := v.(type) {
	case float64:
		return int64(v)
	case int64:
		return v
	case int:
		return int64(v)
	case string:
		n, _ := strconv.ParseInt(v, 10, 64)
		return n
	}
	return 0
}

// imageDict is an image as it goes to nodes beside its object: plain, with times
// of another form.
func imageDict(img image.Record) map[string]any {
	if img == nil {
		return map[string]any{}
	}
	d := map[string]any{
		"deleted": false, "deleted_at": nil, "is_public": img["visibility"] == "public", "properties": properties(img),
		"created_at": dictTime(img["created_at"]), "updated_at": dictTime(img["updated_at"]),
	}
	for _, name := range []string{
		"id", "name", "status", "owner", "os_hidden", "disk_format", "container_format", "min_disk", "min_ram", "size", "checksum",
		"os_hash_algo", "os_hash_value", "stores",
	} {
		d[name] = img[name]
	}
	return d
}

func dictTime(v any) any {
	s, _ := v.(string)
	t, err := time.Parse("2006-01-02T15:04:05Z", s)
	if err != nil {
		return nil
	}
	return t.Format("2006-01-02T15:04:05.000000")
}

// bareImageDict is imageDict where Nova makes it of the object: with what the
// object has.
func bareImageDict(img image.Record) map[string]any {
	d := imageDict(img)
	for _, name := range []string{"deleted", "deleted_at", "is_public", "os_hash_algo", "os_hash_value", "os_hidden", "stores"} {
		delete(d, name)
	}
	return d
}

// imageMeta is an image as a versioned object.
func imageMeta(p nova.Profile, img image.Record) *nova.Object {
	props := p.New("ImageMetaProps")
	for name, value := range properties(img) {
		if strings.HasPrefix(name, "hw_") || strings.HasPrefix(name, "os_") || strings.HasPrefix(name, "img_") {
			props.Set(name, value)
		}
	}
	props.ClearChanges()
	o := p.New("ImageMeta")
	for _, name := range []string{"id", "name", "status", "owner", "disk_format", "container_format", "checksum", "created_at", "updated_at"} {
		o.Set(name, img[name])
	}
	for _, name := range []string{"min_disk", "min_ram", "size"} {
		o.Set(name, number(img[name]))
	}
	o.Set("properties", props)
	return o
}

// imageMetadata is what an instance remembers of its image.
func imageMetadata(img image.Record, f *nova.Object) map[string]string {
	m := map[string]string{
		"image_base_image_ref": img.ID(), "image_min_ram": strconv.FormatInt(number(img["min_ram"]), 10),
		"image_min_disk": strconv.FormatInt(cmp.Or(f.Int("root_gb"), number(img["min_disk"])), 10),
	}
	for _, name := range []string{"disk_format", "container_format"} {
		m["image_"+name], _ = img[name].(string)
	}
	for name, value := range properties(img) {
		m["image_"+name] = value
	}
	return m
}

// keptSpec is what was asked of the scheduler when an instance was made, as it is
// kept for later.
func keptSpec(p nova.Profile, inst *nova.Instance, f *nova.Object, img image.Record) *nova.Object {
	pci := p.New("InstancePCIRequests")
	pci.Set("requests", []*nova.Object{})
	group := p.New("SecurityGroup")
	group.Set("name", "default")
	o := p.New("RequestSpec")
	for name, value := range map[string]any{
		"id": inst.ID(), "instance_uuid": inst.UUID(), "project_id": inst.ProjectID(), "user_id": inst.UserID(),
		"flavor": f, "image": imageMeta(p, img), "num_instances": 1, "is_bfv": false, "availability_zone": nil,
		"limits": noLimits(p), "pci_requests": pci, "numa_topology": nil, "security_groups": p.NewList("SecurityGroupList", group),
		"instance_group": nil, "retry": nil, "ignore_hosts": nil, "force_hosts": nil, "force_nodes": nil, "scheduler_hints": map[string]any{},
	} {
		o.Set(name, value)
	}
	return o
}

// requestSpec is keptSpec on its way to a scheduler, with what it is told besides.
func requestSpec(p nova.Profile, inst *nova.Instance, f *nova.Object, img image.Record, networks *nova.Object) *nova.Object {
	physical := p.New("NetworkMetadata")
	physical.Set("physnets", []string{"physnet1"})
	physical.Set("tunneled", false)
	if networks == nil {
		networks = p.NewList("NetworkRequestList")
	}
	o := keptSpec(p, inst, f, img)
	for name, value := range map[string]any{
		"network_metadata": physical, "requested_networks": networks, "request_level_params": p.New("RequestLevelParams"),
		"requested_resources": []*nova.Object{}, "requested_destination": nil,
	} {
		o.Set(name, value)
	}
	return o
}

// filterProperties are the host chosen, in the form that nodes count attempts by.
func filterProperties(n computeNode) map[string]any {
	return map[string]any{"limits": map[string]any{}, "retry": map[string]any{"num_attempts": 1, "hosts": []any{[]any{n.host, n.name}}}}
}

// noLimits is what the scheduler says of a host that it sets no limits to.
func noLimits(p nova.Profile) *nova.Object {
	limits := p.New("SchedulerLimits")
	for _, name := range []string{"numa_topology", "vcpu", "disk_gb", "memory_mb"} {
		limits.Set(name, nil)
	}
	return limits
}
