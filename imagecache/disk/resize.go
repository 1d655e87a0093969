package disk

import (
	"context"
	"fmt"
	"os"
	"strconv"
)

// Resize grows a disk in the stated format to size bytes; a disk that has that size already is left alone. A smaller
// size is an *ErrShrink. A raw disk is never looked into: its guest may have written any header there.
func (t *Tool) Resize(ctx context.Context, path, format string, size int64) error {
	has, err := VirtualSize(path, format)
	if err != nil {
		return fmt.Errorf("resize %s: %w", path, err)
	}
	switch {
	case has == size:
		return nil
	case has > size:
		return &ErrShrink{Path: path, Has: has, Ask: size}
	}
	if format == "raw" {
		return growRaw(path, size)
	}
	// qemu-img resize would open the backing file too, by what the header says.
	l, err := trustedLayers(path, format)
	if err != nil {
		return fmt.Errorf("resize %s: %w", path, err)
	}
	_, err = t.qemuImg(ctx, command{
		verb:   "resize",
		args:   []string{"-q", "-f", format, path, strconv.FormatInt(size, 10)},
		reads:  l.paths(),
		writes: []string{path},
		limits: t.opts.Inspect,
	})
	if err != nil {
		return fmt.Errorf("resize %s: %w", path, err)
	}
	return syncFile(path)
}

func growRaw(path string, size int64) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		return fmt.Errorf("grow %s: %w", path, err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", path, err)
	}
	return nil
}

func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", path, err)
	}
	return nil
}
