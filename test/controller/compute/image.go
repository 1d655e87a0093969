package compute

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"bolide/rpc/nova"
	"bolide/test/controller/cell"
	"bolide/test/controller/image"
)

// notInherited are what an instance remembers of its image that a snapshot of
// it does not get.
var notInherited = []string{"image_base_image_ref", "image_min_disk", "image_min_ram", "image_disk_format", "image_container_format"}

// snapshotRecord makes the image that the node will upload to.
func (r *request) snapshotRecord(name string) (image.Record, error) {
	system := r.inst.SystemMetadata()
	attributes := image.Record{
		"name": name, "visibility": "private", "image_type": "snapshot", "instance_uuid": r.inst.UUID(), "user_id": r.inst.UserID(),
		"base_image_ref": system["image_base_image_ref"], "boot_roles": strings.Join(r.Who.Roles, ","),
		"owner_user_name": r.Who.UserName, "owner_project_name": r.Who.ProjectName,
		"disk_format": system["image_disk_format"], "container_format": system["image_container_format"],
		"min_disk": number(system["image_min_disk"]), "min_ram": number(system["image_min_ram"]),
	}
	for key, value := range system {
		if property, ok := strings.CutPrefix(key, "image_"); ok && !slices.Contains(notInherited, key) {
			attributes[property] = value
		}
	}
	return r.o.Images.Create(r.inst.ProjectID(), attributes)
}

func createImage(r *request) error {
	var arg struct{ Name string }
	if err := r.read(&arg); err != nil {
		return r.giveUp(err)
	}
	img, err := r.snapshotRecord(arg.Name)
	if err != nil {
		return r.giveUp(err)
	}
	if err := r.tell("snapshot_instance", map[string]any{"image_id": img.ID()}); err != nil {
		return r.giveUp(err)
	}
	return r.JSON(http.StatusAccepted, map[string]string{"image_id": img.ID()})
}

func rescue(r *request) error {
	var arg struct {
		AdminPass string `json:"adminPass"`
		Image     string `json:"rescue_image_ref"`
	}
	if err := r.read(&arg); err != nil {
		return r.giveUp(err)
	}
	if arg.AdminPass == "" {
		arg.AdminPass = randomText(6)
	}
	if arg.Image == "" {
		arg.Image = r.inst.ImageRef()
	}
	err := r.tell("rescue_instance", map[string]any{"rescue_password": arg.AdminPass, "rescue_image_ref": arg.Image, "clean_shutdown": true})
	if err != nil {
		return r.giveUp(err)
	}
	return r.JSON(http.StatusOK, map[string]string{"adminPass": arg.AdminPass})
}

// rebuild gives the instance its new image and has the node make its disks anew.
func rebuild(r *request) error {
	var arg struct {
		Image     string `json:"imageRef"`
		AdminPass string `json:"adminPass"`
	}
	if err := r.read(&arg); err != nil {
		return r.giveUp(err)
	}
	img, err := r.bootableImage(arg.Image)
	if err != nil {
		return r.giveUp(err)
	}
	if arg.AdminPass == "" {
		arg.AdminPass = randomText(6)
	}
	before, was := r.inst.SystemMetadata(), r.inst.ImageRef()
	var bdms []*nova.Object
	var spec *nova.Object
	err = r.o.DB.Update(r.rc, func(tx *cell.Tx) error {
		system := map[string]string{}
		for key, value := range before {
			if !strings.HasPrefix(key, "image_") {
				system[key] = value
			}
		}
		for key, value := range imageMetadata(img, r.inst.Flavor().Object) {
			system[key] = value
		}
		r.inst.Set("system_metadata", system)
		r.inst.Set("image_ref", img.ID())
		r.inst.Set("progress", 0)
		if err := tx.SaveInstance(r.inst.Object, nil); err != nil {
			return err
		}
		spec = keptSpec(tx.Profile(), r.inst, r.inst.Flavor().Object, img)
		bdms, err = tx.Rows("BlockDeviceMapping", func(b *nova.Object) bool { return b.Str("instance_uuid") == r.inst.UUID() })
		return err
	})
	if err != nil {
		return r.giveUp(refuse(err))
	}
	err = r.tell("rebuild_instance", map[string]any{
		"orig_image_ref": was, "image_ref": img.ID(), "injected_files": []any{}, "new_pass": arg.AdminPass, "orig_sys_metadata": before,
		"bdms": r.o.DB.Profile().NewList("BlockDeviceMappingList", bdms...), "recreate": false, "on_shared_storage": false,
		"preserve_ephemeral": false, "migration": nil, "scheduled_node": nil, "limits": nil, "request_spec": spec, "accel_uuids": []any{},
		"reimage_boot_volume": true,
	})
	if err != nil {
		return r.giveUp(err)
	}
	v, err := r.serverView(r.inst)
	if err != nil {
		return err
	}
	v["adminPass"] = arg.AdminPass
	return r.JSON(http.StatusAccepted, map[string]any{"server": v})
}

func shelve(r *request) error {
	img, err := r.snapshotRecord(r.inst.DisplayName() + "-shelved")
	if err != nil {
		return r.giveUp(err)
	}
	err = r.tell("shelve_instance", map[string]any{"image_id": img.ID(), "clean_shutdown": true, "accel_uuids": []any{}})
	if err != nil {
		return r.giveUp(err)
	}
	return nil
}

// unshelve starts an instance that is still on its node, and places one anew
// that is not.
func unshelve(r *request) error {
	if r.inst.VMState() == nova.VMShelved {
		return r.tell("start_instance", nil)
	}
	img, err := r.bootableImage(r.inst.SystemMetadata()["shelved_image_id"])
	if err != nil {
		return r.giveUp(err)
	}
	var candidates []computeNode
	var spec *nova.Object
	err = r.o.DB.Update(r.rc, func(tx *cell.Tx) (err error) {
		spec = requestSpec(tx.Profile(), r.inst, r.inst.Flavor().Object, img, nil)
		candidates, err = nodes(tx)
		return err
	})
	if err != nil {
		return r.giveUp(err)
	}
	chosen, err := r.schedule(candidates, r.inst, r.inst.Flavor().Object, nil)
	if err != nil {
		return r.giveUp(err)
	}
	return r.cast(r.rc, chosen.host, "unshelve_instance", r.args(map[string]any{
		"image": imageDict(img), "filter_properties": map[string]any{"limits": map[string]any{}}, "node": chosen.name,
		"request_spec": spec, "accel_uuids": []any{},
	}))
}

// resultText reads a text that a node answered.
func resultText(raw json.RawMessage) string {
	var s string
	_ = json.Unmarshal(raw, &s) // null is the empty text
	return s
}
