package imagecache

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// SweepOptions say what a sweep may remove: the [image_cache] options and what is in use elsewhere.
type SweepOptions struct {
	// Instances is the directory whose subdirectories hold the disks of this host's instances, instances_path.
	// Every disk in it counts, whoever's it is: running, stopped, being resized or left behind. Required.
	Instances string
	// Images are the IDs of images (also kernels and ramdisks) that instances use whose disks lie elsewhere: those of
	// other hosts that share the folder.
	Images []string
	// Names are files of the cache in use elsewhere by name: ephemeral_…, swap_….
	Names []string
	// Remove is remove_unused_base_images: without it a sweep only looks and keeps used files young.
	Remove bool
	// DryRun has what would be removed returned as removed, and left in place.
	DryRun bool
	// OriginalAge and ResizedAge are how long a file must have been unused
	// (remove_unused_original_minimum_age_seconds, remove_unused_resized_minimum_age_seconds).
	OriginalAge, ResizedAge time.Duration
	// MaxBytes caps the cache: above it the unused files longest out of use go before their age. 0 is no cap.
	MaxBytes int64
}

// Sweep ages the cache: files in use are marked so, files unused for long enough are removed. A file is in use while
// a disk in Instances names it as what it rests on, while it is listed, and while it is pinned or was at any moment
// since the sweep began. It returns what the cache holds now and what was removed. When a disk cannot be read nothing
// is removed.
func (c *Cache) Sweep(ctx context.Context, o SweepOptions) (kept, removed []Entry, err error) {
	// From here on whoever takes or gives back a pin carries the new epoch, and its file is safe from this sweep:
	// the disk it was pinned for may have been made after its directory was looked at.
	c.mu.Lock()
	c.epoch++
	epoch := c.epoch
	c.mu.Unlock()

	list, err := c.survey(ctx, o)
	if err != nil {
		return nil, nil, err
	}
	total := int64(0)
	for _, e := range list {
		total += e.Bytes
	}
	for _, e := range list {
		gone := false
		age := o.age(e)
		if o.MaxBytes > 0 && total > o.MaxBytes {
			age = 0
		}
		switch {
		case e.Users > 0 || e.Pins > 0:
		case o.DryRun:
			gone = c.opts.Now().Sub(e.LastUse) >= age
		case o.Remove:
			if gone, err = c.removeUnused(e.Name, epoch, age); err != nil {
				return nil, removed, err
			}
		}
		if gone {
			total -= e.Bytes
			removed = append(removed, e)
			continue
		}
		kept = append(kept, e)
	}
	slices.SortFunc(kept, func(a, b Entry) int { return strings.Compare(a.Name, b.Name) })
	return kept, removed, nil
}

// survey lists the cache, longest out of use first, and marks used what is.
func (c *Cache) survey(ctx context.Context, o SweepOptions) ([]Entry, error) {
	users, err := c.users(ctx, o.Instances)
	if err != nil {
		return nil, err
	}
	for _, id := range o.Images {
		users[Name(id)]++
	}
	for _, name := range o.Names {
		users[name]++
	}
	list, err := c.scan(users)
	if err != nil {
		return nil, err
	}
	for i, e := range list {
		if e.Users > 0 && !o.DryRun {
			c.touch(c.path(e.Name))
			list[i].LastUse = c.opts.Now()
		}
	}
	slices.SortFunc(list, func(a, b Entry) int { return a.LastUse.Compare(b.LastUse) })
	return list, nil
}

func (o SweepOptions) age(e Entry) time.Duration {
	if resizedPattern.MatchString(e.Name) {
		return o.ResizedAge
	}
	return o.OriginalAge
}

// users counts, per name, the files in the subdirectories of instances that rest on a file of the cache.
func (c *Cache) users(ctx context.Context, instances string) (map[string]int, error) {
	users := map[string]int{}
	dirs, err := os.ReadDir(instances)
	if err != nil {
		return nil, fmt.Errorf("look for disks: %w", err)
	}
	for _, dir := range dirs {
		path := filepath.Join(instances, dir.Name())
		if !dir.IsDir() || path == c.opts.Dir || path == c.opts.Locks {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		files, err := os.ReadDir(path)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("look for disks: %w", err)
		}
		for _, f := range files {
			if !f.Type().IsRegular() {
				continue
			}
			if err := c.countBacking(filepath.Join(path, f.Name()), users); err != nil {
				return nil, fmt.Errorf("look for disks: %w", err)
			}
		}
	}
	return users, nil
}

// countBacking adds what one disk rests on. Files go by their base name, since a shared folder may be mounted
// elsewhere on the host that wrote the disk. A file that is no disk, or went away, counts for nothing; a guest that
// writes a header into its raw disk can only keep a file alive.
func (c *Cache) countBacking(path string, users map[string]int) error {
	info, err := detectFile(path)
	var perr *os.PathError
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case errors.As(err, &perr):
		return err
	}
	for _, ref := range info.References {
		users[filepath.Base(ref.Path)]++
	}
	return nil
}

// removeUnused removes a file that nobody pinned since the epoch began and that was not used for the age.
func (c *Cache) removeUnused(name string, epoch uint64, age time.Duration) (removed bool, err error) {
	done, ok := c.condemn(name, epoch)
	if !ok {
		return false, nil
	}
	defer done()
	unlock, err := c.tryLock(name)
	if errors.Is(err, errLocked) {
		return false, nil // someone is about to use it
	}
	if err != nil {
		return false, err
	}
	defer unlock()
	// Another node may have marked it used since the scan; it does so holding the lock.
	path := c.path(name)
	st, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil || c.opts.Now().Sub(st.ModTime()) < age {
		return false, err
	}
	if err := os.Remove(path); err != nil {
		return false, err
	}
	c.opts.Log.WithField("path", path).Info("removed unused file of the image cache")
	return true, errors.Join(remove(path+recordSuffix), remove(filepath.Join(c.opts.Locks, lockPrefix+name)))
}

// condemn marks a name as being removed unless it is pinned or was since the epoch began. Get waits for done.
func (c *Cache) condemn(name string, epoch uint64) (done func(), ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entryLocked(name)
	if e.leases > 0 || e.flight != nil || e.removing != nil || e.epoch >= epoch {
		return nil, false
	}
	over := make(chan struct{})
	e.removing = over
	return func() {
		c.mu.Lock()
		e.removing = nil
		c.mu.Unlock()
		close(over)
	}, true
}
