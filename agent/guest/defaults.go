package guest

// Defaults are the choices that were not the user's, by their keys in the instance's system metadata. Nova records them
// there once a guest has been built, so that no later default changes its machine. A nil value is recorded as null:
// there is no such device.
func Defaults(r Request, disks Disks) map[string]*string {
	out := map[string]*string{}
	record := func(property, value string) {
		key := "image_" + property
		if _, known := r.Instance.SystemMetadata()[key]; known {
			return
		}
		out[key] = nil
		if value != "" {
			out[key] = &value
		}
	}
	r.Rescue, r.Image = nil, r.Instance.Image()
	pointer := ""
	if pointerBus(r) != "" {
		pointer = "usbtablet"
	}
	record("hw_machine_type", r.machineType())
	record("hw_cdrom_bus", disks.CDROMBus)
	record("hw_disk_bus", disks.DiskBus)
	record("hw_input_bus", pointerBus(r))
	record("hw_pointer_model", pointer)
	record("hw_video_model", videoModel(r))
	record("hw_vif_model", vifModel(r))
	return out
}
