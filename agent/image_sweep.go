package agent

import (
	"context"
	"fmt"

	"bolide/imagecache"
	"bolide/rpc/nova"
)

// sweepImages lets the image cache age: what no instance of a host that shares the folder uses, for long enough, is
// removed, as [image_cache] says.
func (a *Agent) sweepImages(ctx context.Context) error {
	o, err := a.sweepOptions(ctx)
	if err != nil {
		return err
	}
	_, removed, err := a.images.Sweep(ctx, o)
	if len(removed) > 0 {
		a.log.WithField("files", len(removed)).Info("image cache swept")
	}
	return err
}

// sweepOptions say what may be removed, as [image_cache] and the control plane have it.
func (a *Agent) sweepOptions(ctx context.Context) (imagecache.SweepOptions, error) {
	o := imagecache.SweepOptions{
		Instances:   a.cfg.Default.InstancesPath,
		Remove:      a.cfg.ImageCache.RemoveUnusedBaseImages,
		OriginalAge: a.cfg.ImageCache.RemoveUnusedOriginalMinimumAge,
		ResizedAge:  a.cfg.ImageCache.RemoveUnusedResizedMinimumAge,
		MaxBytes:    int64(a.cfg.Bolide.ImageCacheSize) * gib,
	}
	hosts, err := a.images.Sharers(ctx, a.cfg.Default.Host)
	if err != nil {
		return o, fmt.Errorf("tell that this host uses the folder: %w", err)
	}
	cond := a.freshConductor().FromReplica()
	instances, err := cond.InstancesByFilters(ctx, map[string]any{"deleted": false, "soft_deleted": true, "host": hosts})
	if err != nil {
		return o, fmt.Errorf("list the instances that use the folder: %w", err)
	}
	uuids := make([]string, len(instances))
	for n, i := range instances {
		uuids[n] = i.UUID()
	}
	bdms, err := cond.BlockDevicesByInstances(ctx, uuids)
	if err != nil {
		return o, fmt.Errorf("read block devices: %w", err)
	}
	for _, i := range instances {
		a.addUses(&o, i, bdms[i.UUID()])
	}
	return o, nil
}

// addUses adds the bases that the instance's record says it uses. Most of its disks tell so by themselves; a disk that
// was copied from its base does not, and is likely to be wanted again.
func (a *Agent) addUses(o *imagecache.SweepOptions, i *nova.Instance, bdms []*nova.BlockDeviceMapping) {
	for _, id := range []string{i.ImageRef(), i.KernelID(), i.RamdiskID()} {
		if id != "" {
			o.Images = append(o.Images, id)
		}
	}
	for _, b := range bdms {
		switch {
		case b.IsSwap():
			o.Names = append(o.Names, imagecache.SwapName(b.VolumeSize()))
		case b.IsEphemeral():
			o.Names = append(o.Names, a.ephemeralBase(b.VolumeSize(), i.OSType()).Name())
		}
	}
}
