package imagecache

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// Entry is one file of the cache.
type Entry struct {
	Name        string    `json:"name"`
	Image       string    `json:"image,omitempty"`  // the image's ID where it is known
	Format      string    `json:"format,omitempty"` // QEMU's name where it is known
	VirtualSize int64     `json:"virtual_size"`     // bytes; 0 when not known
	Bytes       int64     `json:"bytes"`            // taken on disk
	LastUse     time.Time `json:"last_use"`
	Fetched     time.Time `json:"fetched"`  // zero for files that Nova's node brought
	Verified    bool      `json:"verified"` // came here through a checksum of the image service
	Pins        int       `json:"pins"`     // builds that hold it now
	Users       int       `json:"users"`    // disks that rest on it
}

// List returns the files of the cache by name, with the disks in the instances directory that rest on each.
func (c *Cache) List(ctx context.Context, instances string) ([]Entry, error) {
	users, err := c.users(ctx, instances)
	if err != nil {
		return nil, err
	}
	return c.scan(users)
}

func (c *Cache) scan(users map[string]int) ([]Entry, error) {
	dir, err := os.ReadDir(c.opts.Dir)
	if err != nil {
		return nil, err
	}
	var list []Entry
	for _, ent := range dir {
		if !cacheName(ent.Name()) || !ent.Type().IsRegular() {
			continue
		}
		st, err := ent.Info()
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		rec := c.readRecord(ent.Name(), st)
		if rec.Format == "" {
			rec.Format, rec.VirtualSize = c.look(ent.Name())
		}
		list = append(list, Entry{
			Name:        ent.Name(),
			Image:       rec.Image,
			Format:      rec.Format,
			VirtualSize: rec.VirtualSize,
			Bytes:       allocated(st),
			LastUse:     st.ModTime(),
			Fetched:     rec.Fetched,
			Verified:    rec.Verified,
			Pins:        c.pins(ent.Name()),
			Users:       users[ent.Name()],
		})
	}
	return list, nil
}

// look says what a file without a record is; "" when that cannot be told.
func (c *Cache) look(name string) (qemu string, virtualSize int64) {
	info, err := detectFile(c.path(name))
	if err != nil {
		return "", 0
	}
	info = plain(info)
	return info.Format.QEMU(), info.VirtualSize
}

func (c *Cache) pins(name string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.entries[name]; e != nil {
		return e.leases
	}
	return 0
}

// Bytes returns what the cache takes on the disk that instances use, for the capacity that the host reports: all its
// files, half-done ones included, or 0 when it lies on another file system than its parent directory, as Nova counts.
func (c *Cache) Bytes() (int64, error) {
	parent, err := os.Stat(filepath.Dir(c.opts.Dir))
	if err != nil {
		return 0, err
	}
	own, err := os.Stat(c.opts.Dir)
	if err != nil {
		return 0, err
	}
	if device(parent) != device(own) {
		return 0, nil
	}
	dir, err := os.ReadDir(c.opts.Dir)
	if err != nil {
		return 0, err
	}
	var sum int64
	for _, ent := range dir {
		if st, err := ent.Info(); err == nil && st.Mode().IsRegular() {
			sum += allocated(st)
		}
	}
	return sum, nil
}

func allocated(st os.FileInfo) int64 {
	if sys, ok := st.Sys().(*syscall.Stat_t); ok {
		return sys.Blocks * 512 // always, whatever the block size (stat(2))
	}
	return st.Size()
}

func device(st os.FileInfo) uint64 {
	if sys, ok := st.Sys().(*syscall.Stat_t); ok {
		return uint64(sys.Dev)
	}
	return 0
}
