// Package imagecache keeps the images that guests' disks rest on: fetched once, verified, converted once, never lost
// while in use and never visible half done.
//
// The cache is a directory with Nova's names and layout, so that either node can take over from the other:
//
//	<sha1 of the image's ID>         an image as guests use it (raw, or its own format without ForceRaw)
//	<sha1>_<GiB>                     a resized image of old releases; aged, never made
//	ephemeral_<GiB>_<hash>, swap_<MiB>  empty disks that ephemeral and swap overlays rest on
//	<sha1>.json                      what is known of the image beside it; Nova's node leaves it alone
//	<sha1>.part, *.converted, …      work in progress, resumed or removed when the cache is opened
//
// Locks in the directory beside it are Nova's too, so that nodes sharing the folder do not undo each other's work.
//
// Image bytes are untrusted. They are fetched to a .part file, checked against the image service's checksum, and then
// three must agree on what they are before anything opens them: the image service, package format, and qemu-img told
// that format. What refers to another file is refused.
//
// Concurrency: a Cache is safe for concurrent use. Calls for one name share one flight, a goroutine that ends when its
// last waiter leaves; Close ends all flights and waits for them.
package imagecache

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"bolide/imagecache/disk"

	"github.com/sirupsen/logrus"
)

// Options configure a Cache.
type Options struct {
	// Dir is the cache's directory, instances_path/_base. Required; made when missing.
	Dir string
	// Locks is the directory of the locks shared with other nodes. Default: "locks" beside Dir.
	Locks string
	// Tool runs what needs qemu-img and limits heavy disk work. Required.
	Tool *disk.Tool
	// ForceRaw converts every image to raw ([DEFAULT] force_raw_images).
	ForceRaw bool
	// VMDKTypes are the createTypes accepted ([compute] vmdk_allowed_types). Nil means streamOptimized and
	// monolithicSparse; no other type keeps its data in one file, so others are refused even when listed.
	VMDKTypes []string
	// Attempts is how often a download that breaks off is continued, the first time included. Default 4. Whether
	// opening an image is tried again is the Source's matter ([glance] num_retries).
	Attempts int
	// RetryDelay is the pause before a broken download is continued. Default 1 s.
	RetryDelay time.Duration
	// StallTimeout is how long a download may bring nothing before it counts as broken off. Default 1 min.
	StallTimeout time.Duration
	// LocalStores are directories of the image service on this host. An image whose file:// location lies under one
	// is copied from there (by reflink where possible) instead of downloaded.
	LocalStores []string
	// LinkLocal makes such an image a hard link where it needs no conversion. QEMU's user must be able to read the
	// image service's files, and libvirt must not change their owner.
	LinkLocal bool
	// Now is the clock. Default time.Now.
	Now func() time.Time
	// Log is required.
	Log *logrus.Entry
}

// Cache is a directory of images and what this process does with it.
type Cache struct {
	opts Options

	ctx    context.Context // of all flights
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu       sync.Mutex
	closed   bool
	entries  map[string]*entry
	epoch    uint64 // counts sweeps
	reserved int64  // bytes that flights still mean to write
}

// entry is one name of the cache in use by this process.
type entry struct {
	leases   int
	epoch    uint64        // of the last taking or giving back of a lease
	flight   *flight       // the work under way, or nil
	removing chan struct{} // closed when the removal under way is over, or nil
}

// New opens a cache and clears away what a crash left behind: conversions are removed, downloads kept for a day to be
// continued.
func New(o Options) (*Cache, error) {
	switch {
	case o.Log == nil:
		return nil, errors.New("image cache: no logger")
	case o.Tool == nil:
		return nil, errors.New("image cache: no disk tool")
	case !filepath.IsAbs(o.Dir):
		return nil, fmt.Errorf("image cache: directory %q is not absolute", o.Dir)
	}
	if o.Locks == "" {
		o.Locks = filepath.Join(filepath.Dir(o.Dir), "locks")
	}
	if o.VMDKTypes == nil {
		o.VMDKTypes = []string{"streamOptimized", "monolithicSparse"}
	}
	if o.Attempts <= 0 {
		o.Attempts = 4
	}
	if o.RetryDelay <= 0 {
		o.RetryDelay = time.Second
	}
	if o.StallTimeout <= 0 {
		o.StallTimeout = time.Minute
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	c := &Cache{opts: o, entries: map[string]*entry{}}
	if err := c.ensureDirs(); err != nil {
		return nil, fmt.Errorf("image cache: %w", err)
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	if err := c.clearAway(); err != nil {
		return nil, fmt.Errorf("image cache: clear away half-done work: %w", err)
	}
	return c, nil
}

// ensureDirs makes the directories that an administrator may have removed to empty the cache.
func (c *Cache) ensureDirs() error {
	for _, dir := range []string{c.opts.Dir, c.opts.Locks} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	return nil
}

// Close ends the work under way and waits for it. Downloads are kept to be continued. Leases stay valid.
func (c *Cache) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.cancel()
	c.wg.Wait()
	return nil
}

// Name returns the name an image has in the cache.
func Name(imageID string) string {
	sum := sha1.Sum([]byte(imageID))
	return hex.EncodeToString(sum[:])
}

func (c *Cache) path(name string) string { return filepath.Join(c.opts.Dir, name) }

// entryLocked returns the entry of a name, made when new. The caller holds c.mu.
func (c *Cache) entryLocked(name string) *entry {
	e := c.entries[name]
	if e == nil {
		e = &entry{}
		c.entries[name] = e
	}
	return e
}
