package disk

import (
	"context"
	"errors"
	"fmt"
	"os"

	"bolide/imagecache/format"

	"golang.org/x/sys/unix"
)

// Overlay describes a copy-on-write disk over a base.
type Overlay struct {
	Path       string // absolute
	Base       string // absolute; a safe image without references of its own
	BaseFormat string // QEMU's name of the base's format
	Size       int64  // bytes the guest sees; 0 takes the base's
}

// CreateOverlay makes a qcow2 disk over a base, with the base's cluster size where it has one, as Nova does. It
// returns nil when that very overlay exists, an *ErrExists when something else has its name, an *ErrTooLarge when the
// base is larger than Size, and a *format.ErrUnsafe when the base is not what an overlay may rest on.
func (t *Tool) CreateOverlay(ctx context.Context, o Overlay) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	base, err := inspectBase(o.Base, o.BaseFormat)
	if err != nil {
		return fmt.Errorf("overlay %s: %w", o.Path, err)
	}
	if o.Size == 0 {
		o.Size = base.VirtualSize
	}
	if base.VirtualSize > o.Size {
		return &ErrTooLarge{Image: o.Base, ImageSize: base.VirtualSize, DiskSize: o.Size}
	}
	if done, err := isOverlay(o); err != nil || done {
		return err
	}
	image := emptyQCOW2{size: o.Size, cluster: base.ClusterSize, backing: o.Base, backingFormat: o.BaseFormat}
	if base.Format != format.QCOW2 {
		image.cluster = 0
	}
	err = Replace(o.Path, func(part string) error {
		if err := image.write(part); err != nil {
			return err
		}
		return t.preallocate(part, o.Size)
	})
	if err != nil {
		return fmt.Errorf("overlay %s: %w", o.Path, err)
	}
	return nil
}

// inspectBase says what a base is and makes sure that it is what the caller says. A base stated raw is raw: only its
// length counts.
func inspectBase(path, stated string) (format.Info, error) {
	if err := checkFormats(stated); err != nil {
		return format.Info{}, err
	}
	info, err := inspect(path)
	if err != nil {
		return format.Info{}, err
	}
	if stated == "raw" {
		return format.Info{Format: format.Raw, VirtualSize: info.fileSize}, nil
	}
	if info.err != nil {
		return format.Info{}, fmt.Errorf("base %s: %w", path, info.err)
	}
	if info.Format.QEMU() != stated {
		return format.Info{}, fmt.Errorf("base %s: is %s, not %s", path, info.Format, stated)
	}
	if err := format.Safe(info.Info); err != nil {
		return format.Info{}, fmt.Errorf("base %s: %w", path, err)
	}
	return info.Info, nil
}

// isOverlay reports whether the overlay exists already.
func isOverlay(o Overlay) (bool, error) {
	if there, err := exists(o.Path); err != nil || !there {
		return false, err
	}
	info, err := inspect(o.Path)
	if err != nil {
		return false, err
	}
	switch {
	case info.err != nil || info.Format != format.QCOW2:
		return false, &ErrExists{Path: o.Path, Reason: "it is not a qcow2 image"}
	case len(info.References) != 1 || info.References[0].Kind != format.Backing || info.References[0].Path != o.Base:
		return false, &ErrExists{Path: o.Path, Reason: "it rests on another base"}
	}
	return true, nil
}

// preallocate takes the disk's space from the file system when so configured, leaving its length alone, as
// fallocate -n does.
func (t *Tool) preallocate(path string, size int64) error {
	if t.opts.Preallocate != "space" {
		return nil
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, 0, size); err != nil && !errors.Is(err, unix.EOPNOTSUPP) {
		return fmt.Errorf("preallocate %d bytes: %w", size, err)
	}
	return nil
}
