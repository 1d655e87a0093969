package disk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// partSuffix marks a file that is not whole yet. Nova's node uses the same one for downloads.
const partSuffix = ".part"

// Replace makes path through work: work is given the name of an empty file beside it, readable by all as QEMU's user
// needs, and fills it. When work succeeds the data is synced before the name is given, and the name before Replace
// returns; when it fails nothing is left.
func Replace(path string, work func(part string) error) error {
	part := path + partSuffix
	if err := fill(part, work); err != nil {
		return err
	}
	if err := os.Rename(part, path); err != nil {
		return errors.Join(err, removeIfThere(part))
	}
	return SyncDir(filepath.Dir(path))
}

// fill makes a new file, has work fill it and syncs it; on errors it is gone.
func fill(part string, work func(part string) error) (err error) {
	if err := removeIfThere(part); err != nil {
		return err
	}
	f, err := os.OpenFile(part, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			// The kernel lets go of a sandbox, and of the files it names, a moment after the tool: give the space
			// back at once.
			err = errors.Join(err, f.Truncate(0), removeIfThere(part))
		}
		err = errors.Join(err, f.Close())
	}()
	if err := work(part); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", part, err)
	}
	return nil
}

// Publish gives a file that is whole its name, durably, in place of what had the name.
func Publish(part, path string) error {
	if err := syncFile(part); err != nil {
		return err
	}
	if err := os.Rename(part, path); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(path))
}

// SyncDir makes the names in a directory durable.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return nil
}

// WriteFile replaces a small file as Replace does.
func WriteFile(path string, content []byte) error {
	return Replace(path, func(part string) error { return os.WriteFile(part, content, 0o644) })
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
