package nova

// BlockDeviceMapping is a view of one disk of an instance.
type BlockDeviceMapping struct{ *Object }

func (b BlockDeviceMapping) ID() int64            { return b.Int("id") }
func (b BlockDeviceMapping) UUID() string         { return b.Str("uuid") }
func (b BlockDeviceMapping) InstanceUUID() string { return b.Str("instance_uuid") }

// SourceType is "blank", "image", "snapshot" or "volume".
func (b BlockDeviceMapping) SourceType() string { return b.Str("source_type") }

// DestinationType is "local" or "volume".
func (b BlockDeviceMapping) DestinationType() string { return b.Str("destination_type") }

// GuestFormat is "swap", a file system or "".
func (b BlockDeviceMapping) GuestFormat() string { return b.Str("guest_format") }

// DeviceType is "disk", "cdrom", "lun", "floppy", "fs" or "".
func (b BlockDeviceMapping) DeviceType() string        { return b.Str("device_type") }
func (b BlockDeviceMapping) DiskBus() string           { return b.Str("disk_bus") }
func (b BlockDeviceMapping) DeviceName() string        { return b.Str("device_name") }
func (b BlockDeviceMapping) DeleteOnTermination() bool { return b.Bool("delete_on_termination") }
func (b BlockDeviceMapping) NoDevice() bool            { return b.Bool("no_device") }
func (b BlockDeviceMapping) ImageID() string           { return b.Str("image_id") }
func (b BlockDeviceMapping) VolumeID() string          { return b.Str("volume_id") }
func (b BlockDeviceMapping) SnapshotID() string        { return b.Str("snapshot_id") }
func (b BlockDeviceMapping) AttachmentID() string      { return b.Str("attachment_id") }
func (b BlockDeviceMapping) Tag() string               { return b.Str("tag") }
func (b BlockDeviceMapping) Encrypted() bool           { return b.Bool("encrypted") }
func (b BlockDeviceMapping) EncryptionFormat() string  { return b.Str("encryption_format") }

// VolumeSize is in GiB, 0 when unknown.
func (b BlockDeviceMapping) VolumeSize() int64 { return b.Int("volume_size") }

// ConnectionInfo is the JSON text Cinder's connection is kept as. It holds secrets.
func (b BlockDeviceMapping) ConnectionInfo() string { return b.Str("connection_info") }

// BootIndex is 0 for the disk to boot from; without one it is -1.
func (b BlockDeviceMapping) BootIndex() int64 {
	if b.IsNull("boot_index") {
		return -1
	}
	return b.Int("boot_index")
}

// IsRoot tells whether this is the disk to boot from.
func (b BlockDeviceMapping) IsRoot() bool { return b.BootIndex() == 0 }

// IsVolume tells whether the disk is a Cinder volume.
func (b BlockDeviceMapping) IsVolume() bool { return b.DestinationType() == "volume" }

// IsLocalImage tells whether the disk is made from an image on this host.
func (b BlockDeviceMapping) IsLocalImage() bool {
	return b.SourceType() == "image" && b.DestinationType() == "local"
}

// IsSwap tells whether the disk is the swap disk.
func (b BlockDeviceMapping) IsSwap() bool {
	return b.SourceType() == "blank" && b.DestinationType() == "local" && b.GuestFormat() == "swap"
}

// IsEphemeral tells whether the disk is an empty local one other than swap.
func (b BlockDeviceMapping) IsEphemeral() bool {
	return b.SourceType() == "blank" && b.DestinationType() == "local" && b.GuestFormat() != "swap"
}

func (b BlockDeviceMapping) SetDeviceName(name string) { b.Set("device_name", nullable(name)) }
func (b BlockDeviceMapping) SetDeviceType(kind string) { b.Set("device_type", nullable(kind)) }
func (b BlockDeviceMapping) SetDiskBus(bus string)     { b.Set("disk_bus", nullable(bus)) }
func (b BlockDeviceMapping) SetAttachmentID(id string) { b.Set("attachment_id", nullable(id)) }

// SetConnectionInfo takes the JSON text of the connection.
func (b BlockDeviceMapping) SetConnectionInfo(text string) {
	b.Set("connection_info", nullable(text))
}
