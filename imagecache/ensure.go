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

// ensureImage is the work of an image's flight: find the image in the cache or bring it there.
func (c *Cache) ensureImage(ctx context.Context, f *flight, name string, img Image, src Source) (record, error) {
	unlock, err := c.lock(ctx, name)
	if err != nil {
		return record{}, err
	}
	defer unlock()
	rec, found, err := c.lookup(name)
	if err != nil {
		return record{}, c.unacceptable(img, err)
	}
	if found {
		return rec, nil
	}
	if err := usable(img); err != nil {
		return record{}, err
	}
	base := c.path(name)
	rec, err = c.bring(ctx, f, img, src, base)
	if err != nil {
		err = c.spaceError(img.ID, err)
		if final(err) {
			err = errors.Join(err, remove(base+partSuffix))
		}
		return record{}, err
	}
	return rec, nil
}

// usable refuses what no download could make better.
func usable(img Image) error {
	if ok := slices.Contains([]string{"", "bare", "ami", "aki", "ari"}, img.ContainerFormat); !ok {
		return &ErrUnacceptable{Image: img.ID, Reason: fmt.Sprintf("container format %q is not supported", img.ContainerFormat)}
	}
	return nil
}

// final reports whether an error says something about the image or the host that another attempt would find again, so
// that keeping the download is of no use.
func final(err error) bool {
	var unacceptable *ErrUnacceptable
	var sum *ErrChecksum
	var space *ErrNoSpace
	return errors.As(err, &unacceptable) || errors.As(err, &sum) || errors.As(err, &space)
}

// bring fetches, accepts, converts and publishes an image.
func (c *Cache) bring(ctx context.Context, f *flight, img Image, src Source, base string) (record, error) {
	part := base + partSuffix
	if err := c.obtain(ctx, f, img, src, part); err != nil {
		return record{}, err
	}
	f.enter(Checking, 0, c.opts.Now())
	info, err := c.accept(ctx, img, part)
	if err != nil {
		return record{}, err
	}
	f.sizeKnown(info.VirtualSize)
	rec := record{
		Image:        img.ID,
		Format:       info.Format.QEMU(),
		SourceFormat: string(info.Format),
		VirtualSize:  info.VirtualSize,
		Verified:     img.HashValue != "" || img.MD5 != "",
		HashAlgo:     img.HashAlgo,
		HashValue:    img.HashValue,
	}
	if rec.HashValue == "" && img.MD5 != "" {
		rec.HashAlgo, rec.HashValue = "md5", img.MD5
	}
	ready := part
	if c.opts.ForceRaw && rec.Format != "raw" {
		ready = base + convertedSuffix
		if err := c.toRaw(ctx, f, img, part, ready, info); err != nil {
			return record{}, err
		}
		rec.Format = "raw"
	}
	if rec, err = c.publish(ready, Name(img.ID), rec); err != nil {
		return record{}, err
	}
	if ready != part {
		c.digestLater(Name(img.ID))
		return rec, remove(part)
	}
	return rec, nil
}

// obtain gets the image's bytes from the image service's own store where that is on this host, and by download
// otherwise, within the host's limit of heavy disk work.
func (c *Cache) obtain(ctx context.Context, f *flight, img Image, src Source, part string) error {
	release, err := c.opts.Tool.Slot(ctx)
	if err != nil {
		return err
	}
	defer release()
	return disk.Background(func() error {
		done, err := c.copyLocal(ctx, f, img, part)
		if err != nil || done {
			return err
		}
		return c.fetch(ctx, f, img, src, part)
	})
}

// toRaw converts an accepted image. The result is looked at again: an image hidden in an image stays hidden as long
// as everyone is told that the outer one is raw, but not everyone on a host is.
func (c *Cache) toRaw(ctx context.Context, f *flight, img Image, from, to string, info format.Info) error {
	need, err := dataSize(from, info)
	if err != nil {
		return c.unacceptable(img, err)
	}
	free, err := c.reserve(img.ID, need)
	if err != nil {
		return err
	}
	defer free()
	f.enter(Converting, info.VirtualSize, c.opts.Now())
	err = c.opts.Tool.Convert(ctx, disk.Convert{
		Src: from, SrcFormat: info.Format.QEMU(), Dst: to, DstFormat: "raw",
		Progress: func(done, _ int64) { f.transferred.Store(done) },
	})
	var tool *disk.ErrTool
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(c.spaceError(img.ID, err), new(*ErrNoSpace)):
		return err
	case errors.As(err, &tool):
		return c.unacceptable(img, fmt.Errorf("it cannot be converted to raw: %w", err))
	case err != nil:
		return err
	}
	got, err := detectFile(to)
	if err == nil && plain(got).Format.QEMU() != "raw" {
		err = fmt.Errorf("it is a %s image inside a %s image", got.Format, info.Format)
	}
	if err != nil {
		return errors.Join(c.unacceptable(img, err), remove(to))
	}
	return nil
}

// dataSize estimates the bytes a conversion to raw will write.
func dataSize(path string, info format.Info) (int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	if info.Format != format.QCOW2 {
		return min(st.Size(), info.VirtualSize), nil
	}
	return format.Allocated(f, st.Size())
}

func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, unix.ENOENT) {
		return err
	}
	return nil
}
