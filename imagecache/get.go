package imagecache

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"
)

// Base is a file of the cache, pinned: nothing here deletes it before Release. An overlay that rests on it pins it
// further.
type Base struct {
	Path        string
	Format      string // QEMU's name: "raw", "qcow2", …
	VirtualSize int64  // bytes a guest sees
	Verified    bool   // its bytes came here through a checksum of the image service

	once    sync.Once
	release func()
}

// Release gives the pin back. Only the first call counts.
func (b *Base) Release() { b.once.Do(b.release) }

// Get returns the cached copy of an image, fetching and converting it first when there is none. All calls for one
// image share one download, one conversion, their result and their error; a call whose ctx ends leaves alone, and the
// work ends when nobody waits for it any more.
//
// Errors: *ErrUnacceptable, *ErrChecksum, *ErrTooLarge, *ErrNoSpace, *ErrFetch (with the Source's error inside),
// ErrClosed, ctx's error.
func (c *Cache) Get(ctx context.Context, img Image, src Source, p Progress) (*Base, error) {
	if img.ID == "" {
		return nil, &ErrUnacceptable{Reason: "it has no ID"}
	}
	name := Name(img.ID)
	work := func(ctx context.Context, f *flight) (record, error) { return c.ensureImage(ctx, f, name, img, src) }
	return c.acquire(ctx, name, waiter{image: img.ID, limit: img.Limit, progress: p}, work)
}

// Existing pins the file of that name in the cache, whoever brought it there. An error is os.ErrNotExist when there is
// none.
func (c *Cache) Existing(ctx context.Context, name string) (*Base, error) {
	return c.acquire(ctx, name, waiter{image: name}, func(ctx context.Context, _ *flight) (record, error) {
		unlock, err := c.lock(ctx, name)
		if err != nil {
			return record{}, err
		}
		defer unlock()
		rec, found, err := c.lookup(name)
		if err == nil && !found {
			err = fmt.Errorf("cached file %s: %w", name, os.ErrNotExist)
		}
		return rec, err
	})
}

// Cached reports whether the cache holds an image now, for an answer to "is there anything to fetch"; only Get keeps
// it there.
func (c *Cache) Cached(imageID string) bool {
	st, err := os.Stat(c.path(Name(imageID)))
	return err == nil && st.Mode().IsRegular()
}

// waiter is what one caller wants of a flight.
type waiter struct {
	image    string
	limit    int64
	progress Progress
}

// acquire pins a name and waits until work, shared by all callers for the name, has made sure of the file.
func (c *Cache) acquire(ctx context.Context, name string, w waiter, work work) (*Base, error) {
	if err := c.ensureDirs(); err != nil {
		return nil, fmt.Errorf("image cache: %w", err)
	}
	f, err := c.board(ctx, name, w.image, work)
	if err != nil {
		return nil, err
	}
	rec, err := w.wait(ctx, f)
	c.leave(name, f)
	if err != nil {
		c.unpin(name)
		return nil, err
	}
	return &Base{
		Path:        c.path(name),
		Format:      rec.Format,
		VirtualSize: rec.VirtualSize,
		Verified:    rec.Verified,
		release:     func() { c.unpin(name) },
	}, nil
}

// board pins the name and joins its flight, starting one when there is none. A file being removed, or a flight that
// everyone left, is waited for first.
func (c *Cache) board(ctx context.Context, name, image string, work work) (*flight, error) {
	for {
		f, blocked, err := c.tryBoard(name, image, work)
		if f != nil || err != nil {
			return f, err
		}
		select {
		case <-blocked:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (c *Cache) tryBoard(name, image string, work work) (f *flight, blocked <-chan struct{}, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, nil, ErrClosed
	}
	e := c.entryLocked(name)
	switch {
	case e.removing != nil:
		return nil, e.removing, nil
	case e.flight != nil && e.flight.waiters == 0:
		return nil, e.flight.done, nil
	case e.flight == nil:
		e.flight = c.takeOffLocked(name, image, work)
	}
	e.flight.waiters++
	e.leases++
	e.epoch = c.epoch
	return e.flight, nil, nil
}

// leave takes one waiter off a flight; the last one to leave ends it.
func (c *Cache) leave(name string, f *flight) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f.waiters--
	if f.waiters == 0 {
		f.cancel()
	}
}

// pin keeps a name from removal until the returned function is called.
func (c *Cache) pin(name string) (unpin func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.entryLocked(name).leases++
	return func() { c.unpin(name) }
}

func (c *Cache) unpin(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entryLocked(name)
	e.leases--
	e.epoch = c.epoch
}

// wait returns the flight's result, or why this waiter has no use for it.
func (w waiter) wait(ctx context.Context, f *flight) (record, error) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	known := f.known
	for {
		select {
		case <-f.done:
			w.report(f)
			if f.err == nil {
				return f.result, w.fits(f.result.VirtualSize)
			}
			return record{}, f.err
		case <-known:
			known = nil
			if err := w.fits(f.virtualSize); err != nil {
				return record{}, err
			}
		case <-tick.C:
			w.report(f)
		case <-ctx.Done():
			return record{}, ctx.Err()
		}
	}
}

func (w waiter) fits(size int64) error {
	if w.limit > 0 && size > w.limit {
		return &ErrTooLarge{Image: w.image, ImageSize: size, DiskSize: w.limit}
	}
	return nil
}

func (w waiter) report(f *flight) {
	if w.progress != nil {
		w.progress(f.transferred.Load(), f.total.Load())
	}
}
