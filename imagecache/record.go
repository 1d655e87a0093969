package imagecache

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"bolide/imagecache/disk"
	"bolide/imagecache/format"
)

// record is what is known of a file of the cache. It is kept beside the file as NAME.json; a file that Nova's node
// brought has none, and everything but Verified, Image and the hashes can be read from the file again.
type record struct {
	Image        string    `json:"image,omitempty"`
	Format       string    `json:"format"`        // QEMU's name
	SourceFormat string    `json:"source_format"` // before conversion
	VirtualSize  int64     `json:"virtual_size"`  // bytes
	Size         int64     `json:"size"`          // bytes of the file
	HashAlgo     string    `json:"hash_algo,omitempty"`
	HashValue    string    `json:"hash_value,omitempty"` // of what was fetched
	Digest       string    `json:"digest,omitempty"`     // of the file itself when it was converted, see digestData
	Verified     bool      `json:"verified"`
	Fetched      time.Time `json:"fetched"`
	Inode        uint64    `json:"inode"` // ties the record to the file
}

const recordSuffix = ".json"

// readRecord returns the record of a file, or a zero one when there is none or it is another file's.
func (c *Cache) readRecord(name string, st os.FileInfo) record {
	b, err := os.ReadFile(c.path(name) + recordSuffix)
	if err != nil {
		return record{}
	}
	var rec record
	if json.Unmarshal(b, &rec) != nil || rec.Inode != inode(st) || rec.Size != st.Size() {
		return record{} // the file came from somewhere else since
	}
	return rec
}

// publish gives a finished, synced file its name in the cache. The record is there first: a crash in between leaves a
// record without file, which the next start removes.
func (c *Cache) publish(from, name string, rec record) (record, error) {
	st, err := os.Stat(from)
	if err != nil {
		return rec, err
	}
	now := c.opts.Now()
	rec.Size, rec.Inode, rec.Fetched = st.Size(), inode(st), now.UTC().Truncate(time.Second)
	if rec.Format == "raw" {
		rec.VirtualSize = st.Size()
	}
	if err := c.writeRecord(name, rec); err != nil {
		return rec, err
	}
	if err := os.Chtimes(from, now, now); err != nil {
		return rec, err
	}
	if err := os.Rename(from, c.path(name)); err != nil {
		return rec, err
	}
	return rec, disk.SyncDir(c.opts.Dir)
}

func (c *Cache) writeRecord(name string, rec record) error {
	b, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	return disk.WriteFile(c.path(name)+recordSuffix, append(b, '\n'))
}

// lookup says what the file of a name is, and marks it used now. found is false when there is no such file. A file
// that a guest must not rest on is an error: it was put there by something else, or changed since.
func (c *Cache) lookup(name string) (rec record, found bool, err error) {
	f, err := os.Open(c.path(name))
	if errors.Is(err, os.ErrNotExist) {
		return record{}, false, nil
	}
	if err != nil {
		return record{}, false, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return record{}, false, err
	}
	info, err := format.Detect(f, st.Size())
	if err == nil {
		err = format.Safe(info)
	}
	if err != nil {
		return record{}, false, fmt.Errorf("cached file %s: %w", f.Name(), err)
	}
	rec = c.readRecord(name, st)
	if rec.Format != format.VHD.QEMU() {
		info = plain(info)
	}
	if rec.Format != "" && rec.Format != info.Format.QEMU() {
		return record{}, false, fmt.Errorf("cached file %s: is %s, was %s when fetched", f.Name(), info.Format, rec.Format)
	}
	rec.Format, rec.VirtualSize, rec.Size = info.Format.QEMU(), info.VirtualSize, st.Size()
	if rec.Format == "raw" {
		rec.VirtualSize = st.Size()
	}
	c.touch(f.Name())
	return rec, true, nil
}

// touch marks a file used. The age of a file in use does not decide over it, so a refusal (a file of another owner on
// NFS) is no failure.
func (c *Cache) touch(path string) {
	now := c.opts.Now()
	if err := os.Chtimes(path, now, now); err != nil {
		c.opts.Log.WithError(err).Debug("cannot mark cached file as used")
	}
}

// sourceQEMU is QEMU's name of the format that the image came in.
func (r record) sourceQEMU() string { return format.Format(r.SourceFormat).QEMU() }

func inode(st os.FileInfo) uint64 {
	if sys, ok := st.Sys().(*syscall.Stat_t); ok {
		return sys.Ino
	}
	return 0
}

// links returns how many names a file has.
func links(st os.FileInfo) uint64 {
	if sys, ok := st.Sys().(*syscall.Stat_t); ok {
		return uint64(sys.Nlink)
	}
	return 1
}
