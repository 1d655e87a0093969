package agent

import (
	"context"

	"bolide/rpc/nova"
)

// releaseVolumes gives the instance's volumes back to Cinder. The guest is gone by then, and a volume that Cinder
// does not take back must not keep the instance from being deleted: it is logged and left.
func (d *deletion) releaseVolumes(ctx context.Context) error {
	for _, b := range d.bdms {
		if !b.IsVolume() || b.VolumeID() == "" {
			continue
		}
		d.releaseVolume(ctx, b)
	}
	return nil
}

func (d *deletion) releaseVolume(ctx context.Context, b *nova.BlockDeviceMapping) {
	log := d.log.WithField("volume", b.VolumeID())
	if id := b.AttachmentID(); id != "" {
		if err := d.cloud.Volumes().DeleteAttachment(ctx, d.id, id); err != nil {
			log.WithError(err).Warn("volume not detached in Cinder")
			return
		}
	}
	if b.DeleteOnTermination() {
		if err := d.cloud.Volumes().Delete(ctx, d.id, b.VolumeID()); err != nil {
			log.WithError(err).Warn("volume not deleted")
		}
	}
}
