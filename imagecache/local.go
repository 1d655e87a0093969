package imagecache

import (
	"context"
	"errors"
	"io"
	"net/url"
	"os"
	"path/filepath"

	"bolide/imagecache/disk"
)

// copyLocal takes an image from a store of the image service on this host. done is false when there is none, or what
// is there is not the image: the download then decides.
func (c *Cache) copyLocal(ctx context.Context, f *flight, img Image, part string) (done bool, err error) {
	if img.Signatures != nil {
		return false, nil // signatures are checked on the way in
	}
	for _, loc := range img.Locations {
		path := c.localPath(loc.URL)
		if path == "" {
			continue
		}
		err := c.takeFrom(ctx, f, img, path, part)
		if err == nil {
			return true, nil
		}
		if rerr := remove(part); rerr != nil {
			return false, rerr
		}
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		if errors.As(c.spaceError(img.ID, err), new(*ErrNoSpace)) {
			return false, err
		}
		c.opts.Log.WithError(err).WithField("image", img.ID).Warn("image store on this host is of no use, downloading")
	}
	return false, nil
}

// localPath returns the file a location names when it lies, links followed, in one of the configured stores.
func (c *Cache) localPath(location string) string {
	u, err := url.Parse(location)
	if err != nil || u.Scheme != "file" || u.Host != "" {
		return ""
	}
	path, err := filepath.EvalSymlinks(u.Path)
	if err != nil {
		return ""
	}
	for _, store := range c.opts.LocalStores {
		root, err := filepath.EvalSymlinks(store)
		if err != nil {
			continue
		}
		if rel, err := filepath.Rel(root, path); err == nil && filepath.IsLocal(rel) && rel != "." {
			return path
		}
	}
	return ""
}

// takeFrom copies or links the file at path to part and checks it.
func (c *Cache) takeFrom(ctx context.Context, f *flight, img Image, path, part string) error {
	src, err := os.Open(path)
	if err != nil {
		return err
	}
	defer src.Close()
	st, err := src.Stat()
	if err != nil {
		return err
	}
	if !st.Mode().IsRegular() || img.Size > 0 && st.Size() != img.Size {
		return errors.New("file in the store has another size than the image")
	}
	sum, err := newChecksum(img)
	if err != nil {
		return err
	}
	if !sum.known() {
		return errors.New("image has no checksum to verify the store's file with")
	}
	f.enter(Downloading, st.Size(), c.opts.Now())
	if err := remove(part); err != nil {
		return err
	}
	dst, err := c.place(ctx, src, st.Size(), part)
	if err != nil {
		return err
	}
	defer dst.Close()
	if err := replay(ctx, io.MultiWriter(sum, (*counter)(f)), dst, st.Size()); err != nil {
		return err
	}
	if err := sum.verify(img.ID); err != nil {
		return err
	}
	return dst.Sync()
}

// place makes part hold what src holds.
func (c *Cache) place(ctx context.Context, src *os.File, size int64, part string) (*os.File, error) {
	if c.opts.LinkLocal {
		if err := os.Link(src.Name(), part); err == nil {
			return os.Open(part)
		}
	}
	dst, err := os.OpenFile(part, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, err
	}
	if err := disk.CopySparse(ctx, dst, src, size); err != nil {
		dst.Close()
		return nil, err
	}
	return dst, nil
}

// counter counts what is written to it as progress of a flight.
type counter flight

func (n *counter) Write(p []byte) (int, error) {
	n.transferred.Add(int64(len(p)))
	return len(p), nil
}
