package imagecache

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"bolide/imagecache/disk"
	"bolide/imagecache/format"

	"golang.org/x/sys/unix"
)

// accept decides whether a fetched file is the image it should be, and one that may be opened. Three must agree: what
// the image service says, what the bytes say, and only then what qemu-img says when told that format.
func (c *Cache) accept(ctx context.Context, img Image, path string) (format.Info, error) {
	info, err := detectFile(path)
	if err != nil {
		return info, c.unacceptable(img, err)
	}
	if err := format.Safe(info); err != nil {
		return info, c.unacceptable(img, err)
	}
	info, err = agree(img.DiskFormat, info)
	if err != nil {
		return info, c.unacceptable(img, err)
	}
	if info.VirtualSize == 0 {
		return info, c.unacceptable(img, errors.New("it has no data"))
	}
	if info.Format == format.VMDK && !slices.Contains(c.opts.VMDKTypes, info.Variant) {
		return info, c.unacceptable(img, fmt.Errorf("vmdk type %q is not allowed here", info.Variant))
	}
	if info.Format.QEMU() == "raw" {
		return info, nil // qemu-img would say no more than the file's length
	}
	return info, c.confirm(ctx, img, path, info)
}

func detectFile(path string) (format.Info, error) {
	f, err := os.Open(path)
	if err != nil {
		return format.Info{}, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return format.Info{}, err
	}
	return format.Detect(f, st.Size())
}

// agree compares what the image service states with what the bytes say, and returns the image as it is to be read.
func agree(stated string, info format.Info) (format.Info, error) {
	switch stated {
	case "ami", "aki", "ari":
		stated = string(format.Raw) // a file system, a kernel, a ramdisk: used byte by byte
	case "raw", "qcow2", "vmdk", "vhd", "vhdx", "vdi", "iso":
	default:
		return info, fmt.Errorf("disk format %q is not supported", stated)
	}
	if stated == string(format.Raw) {
		info = plain(info)
	}
	if stated != string(info.Format) {
		return info, fmt.Errorf("its content is %s, the image service states %s", info.Format, stated)
	}
	return info, nil
}

// plain returns a fixed VHD as what it is byte by byte, a raw disk with a sector of description behind it, which boots
// as one and which QEMU takes for one.
func plain(info format.Info) format.Info {
	if info.Format == format.VHD && info.Variant == "fixed" {
		info.Format = format.Raw
		info.VirtualSize += 512
	}
	return info
}

// confirm has qemu-img look at an image that is known to be harmless and compares.
func (c *Cache) confirm(ctx context.Context, img Image, path string, info format.Info) error {
	said, err := c.opts.Tool.Info(ctx, path, info.Format.QEMU())
	var tool *disk.ErrTool
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &tool):
		return c.unacceptable(img, fmt.Errorf("qemu-img cannot read it: %w", err))
	case err != nil:
		return err
	case said.Format != info.Format.QEMU():
		return c.unacceptable(img, fmt.Errorf("qemu-img reads it as %s, its content is %s", said.Format, info.Format))
	case said.Backing != "" || said.Specific.Data.DataFile != "":
		return c.unacceptable(img, errors.New("qemu-img finds a reference to another file in it"))
	case said.VirtualSize != info.VirtualSize && info.Format != format.VHD:
		// A VHD has two sizes, one in cylinders, heads and sectors; QEMU chooses by who wrote it.
		return c.unacceptable(img, fmt.Errorf("qemu-img reads a virtual size of %d bytes, its header states %d",
			said.VirtualSize, info.VirtualSize))
	}
	return nil
}

// unacceptable blames the image for err, unless that is the host's own trouble.
func (c *Cache) unacceptable(img Image, err error) error {
	if slices.ContainsFunc(hostTroubles, func(trouble error) bool { return errors.Is(err, trouble) }) {
		return err
	}
	return &ErrUnacceptable{Image: img.ID, Reason: err.Error(), Err: err}
}

// hostTroubles are errors that say nothing about an image: the next attempt, or another host, may well take it.
var hostTroubles = []error{
	unix.ENOSPC, unix.EDQUOT, unix.EROFS, unix.EIO, unix.EMFILE, unix.ENFILE, unix.ENOMEM,
}
