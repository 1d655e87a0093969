package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/sirupsen/logrus"

	"bolide/agent/config"
	"bolide/agent/guest"
	"bolide/imagecache"
	"bolide/imagecache/disk"
	"bolide/rpc/nova"
)

const gib = 1 << 30

func diskOptions(c *config.Config, log *logrus.Entry) disk.Options {
	return disk.Options{
		MaxConcurrent: c.Compute.MaxConcurrentDiskOps,
		Preallocate:   c.Default.PreallocateImages,
		Log:           log.WithField("part", "disk"),
	}
}

// readImage reads the argument that describes the image; an instance that boots from a volume has an empty one.
func (s *spawn) readImage(argument string) error {
	raw, ok := s.req.Args[argument]
	if !ok || string(raw) == "null" {
		return nil
	}
	var dict map[string]any
	if err := json.Unmarshal(raw, &dict); err != nil {
		return fmt.Errorf("argument %s: %w", argument, err)
	}
	if err := json.Unmarshal(raw, &s.image); err != nil {
		return fmt.Errorf("argument %s: %w", argument, err)
	}
	s.meta = nova.ImageFromDict(dict)
	return nil
}

// checkImage refuses an image that is not ready or asks for more than the flavor gives.
func (s *spawn) checkImage() error {
	flavor := s.inst.Flavor()
	switch {
	case s.image.ID == "":
		return nil
	case s.image.Status != "" && s.image.Status != "active":
		return nova.NewError("ImageNotActive", map[string]any{"image_id": s.image.ID})
	case s.image.MinRAM > flavor.MemoryMB():
		return nova.NewError("FlavorMemoryTooSmall", nil)
	}
	return nil
}

// makeDisks brings the instance's directory and every local disk in it into being. What is there already and is
// right stays; so it may be repeated.
func (s *spawn) makeDisks(ctx context.Context) error {
	if err := s.checkImage(); err != nil {
		return err
	}
	dir := s.instanceDir(s.inst.UUID())
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make instance directory: %w", err)
	}
	if err := touch(filepath.Join(dir, "console.log")); err != nil {
		return fmt.Errorf("make console log: %w", err)
	}
	if err := s.makeKernel(ctx, dir); err != nil {
		return err
	}
	for _, d := range s.disksOf.List {
		if err := s.makeFile(ctx, d, filepath.Join(dir, d.Name)); err != nil {
			return err
		}
	}
	return nil
}

// makeFile makes one disk that is a file of this host's. Volumes and the config drive come from elsewhere.
func (s *spawn) makeFile(ctx context.Context, d guest.Disk, path string) error {
	switch {
	case d.Name == guest.RootDisk:
		return s.makeRoot(ctx, path)
	case d.Name == guest.SwapDisk:
		return s.makeSwap(ctx, path, d.Mapping)
	case d.Name == guest.DefaultEphemeral || strings.HasPrefix(d.Name, guest.EphemeralPrefix):
		return s.makeEphemeral(ctx, path, d)
	}
	return nil
}

// touch makes an empty file, so that the log is the agent's to read whoever writes it.
func touch(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	return f.Close()
}

// makeRoot makes the root disk from the image.
func (s *spawn) makeRoot(ctx context.Context, path string) error {
	if s.image.ID == "" {
		return nova.NewError("InvalidDiskInfo", map[string]any{"reason": "the root disk has no image"})
	}
	size := s.inst.Flavor().RootGB() * gib
	base, err := s.cached(ctx, s.image, size)
	if err != nil {
		return err
	}
	defer base.Release()
	return s.makeDisk(ctx, path, base, size)
}

// makeDisk makes a disk of size bytes over or from the base; 0: as large as the base.
func (t *task) makeDisk(ctx context.Context, path string, base *imagecache.Base, size int64) error {
	format := t.diskFormat()
	var err error
	if format == "qcow2" {
		err = t.disks.CreateOverlay(ctx, disk.Overlay{Path: path, Base: base.Path, BaseFormat: base.Format, Size: size})
	} else {
		format = base.Format
		err = t.copyDisk(ctx, path, base, size)
	}
	if err != nil {
		return err
	}
	return disk.RecordFormat(path, format)
}

// copyDisk makes a disk that rests on nothing. It keeps the base's format, which is not raw only where the cache
// keeps images as they came.
func (t *task) copyDisk(ctx context.Context, path string, base *imagecache.Base, size int64) error {
	c := disk.Copy{Src: base.Path, Dst: path}
	if base.Format == "raw" {
		c.Size = size
	}
	var there *disk.ErrExists
	if err := t.disks.Copy(ctx, c); err != nil && !errors.As(err, &there) {
		return err
	}
	if base.Format == "raw" {
		return nil
	}
	return t.disks.Resize(ctx, path, base.Format, size)
}

// diskFormat is the format in which guests' disks are made: [libvirt] images_type.
func (a *Agent) diskFormat() string {
	switch a.cfg.Libvirt.ImagesType {
	case "qcow2":
		return "qcow2"
	case "raw", "flat":
		return "raw"
	}
	if a.cfg.Default.UseCOWImages {
		return "qcow2"
	}
	return "raw"
}

// makeEphemeral makes an empty disk with a file system.
func (s *spawn) makeEphemeral(ctx context.Context, path string, d guest.Disk) error {
	size, fs, number := s.inst.EphemeralGB(), "", 0
	if d.Mapping != nil {
		size, fs = d.Mapping.VolumeSize(), d.Mapping.GuestFormat()
		number, _ = strconv.Atoi(strings.TrimPrefix(d.Name, guest.EphemeralPrefix))
	}
	e := s.ephemeralBase(size, s.inst.OSType())
	e.GuestFormat, e.Label = fs, "ephemeral"+strconv.Itoa(number)
	base, err := s.images.Ephemeral(ctx, e)
	if err != nil {
		return fmt.Errorf("ephemeral disk of %d GiB: %w", size, err)
	}
	defer base.Release()
	return s.makeDisk(ctx, path, base, size*gib)
}

// ephemeralBase is the empty disk under ephemeral disks of size GiB, with the file system that the host's configuration
// has for the operating system.
func (a *Agent) ephemeralBase(size int64, osType string) imagecache.Ephemeral {
	e := imagecache.Ephemeral{
		SizeGiB: size, OSType: osType, DefaultFormat: a.cfg.Default.DefaultEphemeralFormat, Commands: map[string]string{},
	}
	for _, line := range a.cfg.Default.VirtMkfs {
		if system, command, ok := strings.Cut(line, "="); ok {
			e.Commands[system] = command
		}
	}
	return e
}

// makeSwap makes the swap disk. Its size is in MiB, in the block device mapping as in the flavor.
func (s *spawn) makeSwap(ctx context.Context, path string, b *nova.BlockDeviceMapping) error {
	mib := s.inst.Flavor().SwapMB()
	if b != nil && b.VolumeSize() > 0 {
		mib = b.VolumeSize()
	}
	base, err := s.images.Swap(ctx, mib)
	if err != nil {
		return fmt.Errorf("swap disk of %d MiB: %w", mib, err)
	}
	defer base.Release()
	return s.makeDisk(ctx, path, base, mib<<20)
}

// diskFormats is what disk.info says of the instance's disks that are there already, by name.
func (t *task) diskFormats() map[string]string {
	formats := map[string]string{}
	dir := t.instanceDir(t.inst.UUID())
	files, err := filepath.Glob(filepath.Join(dir, "disk*"))
	if err != nil {
		return nil // the pattern is well-formed
	}
	for _, f := range files {
		if format, err := disk.RecordedFormat(f); err == nil && format != "" {
			formats[filepath.Base(f)] = format
		}
	}
	return formats
}

// ensureBase makes sure that the base under the root disk is there: it may have been removed by hand, or the disk
// have come from another host. It fetches the image that the disk was made from; no other fits.
func (s *spawn) ensureBase(ctx context.Context) error {
	path := filepath.Join(s.instanceDir(s.inst.UUID()), guest.RootDisk)
	format, err := disk.RecordedFormat(path)
	if err != nil || format != "qcow2" {
		return err
	}
	base, _, err := disk.Base(path, format)
	if err != nil || base == "" || there(base) {
		return err
	}
	if filepath.Base(base) != imagecache.Name(s.inst.ImageRef()) {
		return nova.NewError("DiskNotFound", map[string]any{"location": base})
	}
	brought, err := s.bring(ctx, s.inst.ImageRef())
	if err != nil {
		return fmt.Errorf("base of the root disk is missing: %w", err)
	}
	brought.Release()
	return nil
}
