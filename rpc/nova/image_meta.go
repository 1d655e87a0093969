package nova

import (
	"maps"
	"strings"
)

// ImageMeta is a view of an image's description with its properties.
type ImageMeta struct{ *Object }

func (m ImageMeta) ID() string              { return m.Str("id") }
func (m ImageMeta) Name() string            { return m.Str("name") }
func (m ImageMeta) Status() string          { return m.Str("status") }
func (m ImageMeta) DiskFormat() string      { return m.Str("disk_format") }
func (m ImageMeta) ContainerFormat() string { return m.Str("container_format") }
func (m ImageMeta) Checksum() string        { return m.Str("checksum") } // md5
func (m ImageMeta) Size() int64             { return m.Int("size") }     // bytes
func (m ImageMeta) VirtualSize() int64      { return m.Int("virtual_size") }
func (m ImageMeta) MinDisk() int64          { return m.Int("min_disk") } // GiB
func (m ImageMeta) MinRAM() int64           { return m.Int("min_ram") }  // MiB

// Properties are the hw_*, os_* and img_* properties; Prop reads one as text.
func (m ImageMeta) Properties() *Object { return m.Obj("properties") }

// Prop is one property as text, "" when unset.
func (m ImageMeta) Prop(name string) string { return m.Properties().Str(name) }

// PropBool is one property as a truth value.
func (m ImageMeta) PropBool(name string) bool { return m.Properties().Bool(name) }

// PropInt is one property as a number, 0 when unset.
func (m ImageMeta) PropInt(name string) int64 { return m.Properties().Int(name) }

// ImageFromDict describes the image given as a plain dictionary, as in the
// argument "image" of a build.
func ImageFromDict(image map[string]any) ImageMeta {
	o := NewObject("ImageMeta", zedVersions["ImageMeta"])
	for key, v := range image {
		if key != "properties" {
			o.Set(key, v)
		}
	}
	properties, _ := image["properties"].(map[string]any)
	o.Set("properties", imageProperties(properties))
	o.ClearChanges()
	return ImageMeta{o}
}

// imagePrefix is where an instance keeps the properties of its image in its system metadata.
const imagePrefix = "image_"

// Image describes the image the instance was built from as the instance
// remembers it: later changes of the image do not count.
func (i Instance) Image() ImageMeta {
	image := map[string]any{}
	properties := map[string]any{}
	dict, _ := i.Raw("system_metadata").(map[string]any)
	for key, v := range dict {
		name, ok := strings.CutPrefix(key, imagePrefix)
		if !ok || v == nil {
			continue
		}
		switch name {
		case "min_ram", "min_disk", "disk_format", "container_format":
			image[name] = v
		default:
			properties[name] = v
		}
	}
	if ref := i.ImageRef(); ref != "" {
		image["id"] = ref
	}
	image["properties"] = properties
	return ImageFromDict(image)
}

// imageProperties gives properties their current names.
func imageProperties(properties map[string]any) *Object {
	o := NewObject("ImageMetaProps", zedVersions["ImageMetaProps"])
	current := maps.Clone(properties)
	for old, name := range formerNames {
		if v, ok := current[old]; ok {
			delete(current, old)
			if _, taken := properties[name]; !taken {
				current[name] = v
			}
		}
	}
	for name, v := range current {
		o.Set(name, v)
	}
	o.ClearChanges()
	return o
}

// formerNames are the names that properties had before Nova 2015.1 and that
// old images still carry. A property under its current name goes before.
var formerNames = map[string]string{
	"architecture":                "hw_architecture",
	"auto_disk_config":            "hw_auto_disk_config",
	"bdm_v2":                      "img_bdm_v2",
	"block_device_mapping":        "img_block_device_mapping",
	"cache_in_nova":               "img_cache_in_nova",
	"hypervisor_type":             "img_hv_type",
	"hypervisor_version_requires": "img_hv_requested_version",
	"ipxe_boot":                   "hw_ipxe_boot",
	"mappings":                    "img_mappings",
	"owner_id":                    "img_owner_id",
	"root_device_name":            "img_root_device_name",
	"vm_mode":                     "hw_vm_mode",
}
