package nova

import (
	"context"
	"encoding/json"
	"fmt"
)

// BlockDevices lists the disks of an instance.
func (c *Conductor) BlockDevices(ctx context.Context, instanceUUID string) ([]*BlockDeviceMapping, error) {
	return list[BlockDeviceMapping](ctx, c, "BlockDeviceMappingList", "get_by_instance_uuid", []any{instanceUUID}, c.read(nil))
}

// BlockDevicesByInstances lists the disks of several instances by instance uuid.
func (c *Conductor) BlockDevicesByInstances(ctx context.Context, instanceUUIDs []string) (map[string][]*BlockDeviceMapping, error) {
	bdms, err := list[BlockDeviceMapping](ctx, c, "BlockDeviceMappingList", "get_by_instance_uuids", []any{instanceUUIDs}, c.read(nil))
	if err != nil {
		return nil, err
	}
	byInstance := map[string][]*BlockDeviceMapping{}
	for _, b := range bdms {
		byInstance[b.InstanceUUID()] = append(byInstance[b.InstanceUUID()], b)
	}
	return byInstance, nil
}

// BlockDeviceByVolume finds the disk that is a volume of an instance; VolumeBDMNotFound if there is none.
func (c *Conductor) BlockDeviceByVolume(ctx context.Context, volumeID, instanceUUID string, attrs ...string) (*BlockDeviceMapping, error) {
	var kwargs map[string]any
	if len(attrs) > 0 {
		kwargs = expect(attrs)
	}
	return get[BlockDeviceMapping](ctx, c, "BlockDeviceMapping", "get_by_volume_and_instance", []any{volumeID, instanceUUID}, kwargs)
}

// CreateBlockDevice adds the disk.
func (c *Conductor) CreateBlockDevice(ctx context.Context, b *BlockDeviceMapping) error {
	return c.act(ctx, b.Object, "create")
}

// SaveBlockDevice writes the changed fields.
func (c *Conductor) SaveBlockDevice(ctx context.Context, b *BlockDeviceMapping) error {
	return c.act(ctx, b.Object, "save")
}

// DestroyBlockDevice removes the disk.
func (c *Conductor) DestroyBlockDevice(ctx context.Context, b *BlockDeviceMapping) error {
	return c.act(ctx, b.Object, "destroy")
}

// Shares lists the Manila shares of an instance, as ShareMapping objects. From 2025.1 on.
func (c *Conductor) Shares(ctx context.Context, instanceUUID string) ([]*Object, error) {
	raw, err := c.Class(ctx, "ShareMappingList", "get_by_instance_uuid", []any{instanceUUID}, nil)
	if err != nil {
		return nil, err
	}
	return DecodeList(raw)
}

// Share finds one share of an instance; ShareNotFound if it is not there. From 2025.1 on.
func (c *Conductor) Share(ctx context.Context, instanceUUID, shareID string) (*Object, error) {
	raw, err := c.Class(ctx, "ShareMapping", "get_by_instance_uuid_and_share_id", []any{instanceUUID, shareID}, nil)
	if err != nil {
		return nil, err
	}
	return Decode(raw)
}

// SaveShare writes the changed fields of a ShareMapping.
func (c *Conductor) SaveShare(ctx context.Context, share *Object) error {
	return c.act(ctx, share, "save")
}

// DeleteShare removes a ShareMapping.
func (c *Conductor) DeleteShare(ctx context.Context, share *Object) error {
	return c.act(ctx, share, "delete")
}

// VolumeUsage is what a volume was used for since the last report.
type VolumeUsage struct{ *Object }

// SaveVolumeUsage adds the current counters; with Totals they are also added
// to the totals and start again at zero, as on detach.
func (c *Conductor) SaveVolumeUsage(ctx context.Context, u *VolumeUsage, o VolumeUsageOptions) error {
	_, err := c.Action(ctx, u.Object, "save", nil, map[string]any{"update_totals": o.Totals})
	return err
}

// VolumeUsageOptions say how counters are saved.
type VolumeUsageOptions struct {
	Totals bool // optional
}

// decodeText reads a JSON string result.
func decodeText(raw json.RawMessage) (string, error) {
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return "", fmt.Errorf("decode text: %w", err)
	}
	return s, nil
}
