package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"bolide/agent/cloud"
	"bolide/agent/guest"
	"bolide/agent/remote"
	"bolide/imagecache"
	"bolide/imagecache/disk"
	"bolide/rpc/nova"
)

// incomingMark is the name of an empty file in an instance's directory which this host has made for a guest that is on
// its way here. Nothing but a directory with the mark is ever removed when the guest does not come.
const incomingMark = ".incoming"

// incoming is a running guest that comes here, as its destination sees it.
type incoming struct {
	*spawn
	data    *nova.LiveMigrateData
	records []diskRecord // of the source's that are copied
}

func (in *incoming) dir() string { return in.instanceDir(in.inst.UUID()) }

func (in *incoming) marked() bool { return there(filepath.Join(in.dir(), incomingMark)) }

// makeDirectory makes the instance's directory and what the source's disks are copied into. A directory that is there
// and was not made for this is not touched: it holds a guest.
func (in *incoming) makeDirectory(ctx context.Context) error {
	if in.data.SharedDirectory() {
		return nil
	}
	if in.data.Directory() != in.inst.UUID() {
		return fmt.Errorf("the source keeps the guest's files in %q, not under its UUID", in.data.Directory())
	}
	if in.marked() { // of an attempt that was cut off
		if err := in.removeFiles(ctx); err != nil {
			return err
		}
	}
	err := os.Mkdir(in.dir(), 0o755)
	if errors.Is(err, fs.ErrExist) {
		return nova.NewError("DestinationDiskExists", map[string]any{"path": in.dir()})
	}
	if err == nil {
		err = touch(filepath.Join(in.dir(), incomingMark))
	}
	if err != nil {
		return fmt.Errorf("make instance directory: %w", err)
	}
	if err := touch(filepath.Join(in.dir(), "console.log")); err != nil {
		return fmt.Errorf("make console log: %w", err)
	}
	for _, r := range in.records {
		if err := in.makeTarget(ctx, r); err != nil {
			return fmt.Errorf("disk %s: %w", filepath.Base(r.Path), err)
		}
	}
	return in.makeKernel(ctx, in.dir())
}

// dropDirectory removes the directory if it was made for the guest that does not come.
func (in *incoming) dropDirectory(ctx context.Context) error {
	if in.data.SharedDirectory() || !in.marked() {
		return nil
	}
	return in.removeFiles(ctx)
}

// makeTarget makes what one disk of the source's is copied into: empty, or over what the source's rests on, so that
// only what the guest has written goes over the wire.
func (in *incoming) makeTarget(ctx context.Context, r diskRecord) error {
	name := filepath.Base(r.Path)
	path := filepath.Join(in.dir(), name)
	if path != r.Path {
		return fmt.Errorf("the source has it at %s; instances_path must be the same on both hosts", r.Path)
	}
	if name == guest.ConfigDisk && in.cfg.Default.ConfigDriveFormat != "vfat" {
		// a CD-ROM, which libvirt does not copy
		return in.remote.Pull(ctx, remote.Copy{Host: in.inst.Host(), Src: r.Path, Dst: path})
	}
	if r.Backing == "" {
		if err := in.disks.CreateEmpty(ctx, disk.Empty{Path: path, Format: r.Format, Size: r.VirtualSize}); err != nil {
			return err
		}
		return disk.RecordFormat(path, r.Format)
	}
	base, err := in.baseLike(ctx, r.Backing)
	if err != nil {
		return err
	}
	defer base.Release()
	err = in.disks.CreateOverlay(ctx, disk.Overlay{Path: path, Base: base.Path, BaseFormat: base.Format, Size: r.VirtualSize})
	if err != nil {
		return err
	}
	return disk.RecordFormat(path, r.Format)
}

// baseLike is the same base that a disk of the source's rests on, of that name in the source's cache. An image is
// fetched from Glance, unless it is there no longer. Whatever the source made by itself, or of an image that is not the
// instance's any more, comes from the source.
func (in *incoming) baseLike(ctx context.Context, name string) (*imagecache.Base, error) {
	if name != filepath.Base(name) {
		return nil, fmt.Errorf("base %q is not a plain name", name)
	}
	if ref := in.inst.ImageRef(); ref != "" && name == imagecache.Name(ref) {
		base, err := in.imageBase(ctx, ref)
		if !cloud.IsNotFound(err) {
			return base, err
		}
	}
	if swap := in.inst.Flavor().SwapMB(); strings.HasPrefix(name, "swap_") && name == imagecache.SwapName(swap) {
		return in.images.Swap(ctx, swap) // its content is the guest's, all of it
	}
	path := filepath.Join(in.cfg.Default.InstancesPath, in.cfg.ImageCache.SubdirectoryName, name)
	path, err := in.pullBase(ctx, in.inst.Host(), path)
	if err != nil {
		return nil, err
	}
	return in.images.Existing(ctx, filepath.Base(path))
}

// imageBase is the image in the cache.
func (in *incoming) imageBase(ctx context.Context, id string) (*imagecache.Base, error) {
	if in.images.Cached(id) {
		return in.cached(ctx, imageRecord{ID: id}, 0)
	}
	image, err := in.cloud.Images().Get(ctx, in.id, id)
	if err != nil {
		return nil, fmt.Errorf("image %s, of which the guest was made: %w", id, err)
	}
	return in.cached(ctx, recordOf(image), 0)
}

// encodeDisks and decodeDisks are how the two hosts tell each other of disks.
func encodeDisks(disks []diskRecord) (string, error) {
	raw, err := json.Marshal(disks)
	return string(raw), err
}

func decodeDisks(text string) ([]diskRecord, error) {
	if text == "" {
		return nil, nil
	}
	var disks []diskRecord
	if err := json.Unmarshal([]byte(text), &disks); err != nil {
		return nil, fmt.Errorf("argument disk: %w", err)
	}
	return disks, nil
}
