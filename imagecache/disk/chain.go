package disk

import (
	"fmt"
	"path/filepath"

	"bolide/imagecache/format"
)

// maxLayers is the deepest chain followed. Nova's disks have two layers, live snapshots in flight three.
const maxLayers = 8

// trustedLayers follows the backing files of a disk of this host. Their headers were written by the host, never by a
// guest (which reaches only the top layer's data), but each must state its backing file by absolute path and with a
// format, and a circle or a data file is refused.
func trustedLayers(path, stated string) (layer, error) {
	l := layer{path: path, format: stated}
	if err := checkFormats(stated); err != nil {
		return l, err
	}
	cur := &l
	for range maxLayers {
		if cur.format == "raw" {
			return l, nil // whatever its first bytes say
		}
		next, err := backing(cur.path, cur.format)
		if err != nil {
			return l, err
		}
		if next == nil {
			return l, nil
		}
		cur.backing = next
		cur = next
	}
	return l, fmt.Errorf("disk %s: more than %d layers, or a circle", path, maxLayers)
}

func backing(path, stated string) (*layer, error) {
	info, err := inspect(path)
	if err != nil {
		return nil, err
	}
	if info.err != nil {
		return nil, fmt.Errorf("disk %s: %w", path, info.err)
	}
	if info.Format.QEMU() != stated {
		return nil, fmt.Errorf("disk %s: is %s, not %s", path, info.Format, stated)
	}
	if len(info.References) == 0 {
		return nil, nil
	}
	ref := info.References[0]
	switch {
	case len(info.References) > 1 || ref.Kind != format.Backing:
		return nil, &format.ErrUnsafe{Format: info.Format, Reasons: []string{"disk " + path + " refers to more than a backing file"}}
	case !filepath.IsAbs(ref.Path):
		return nil, &format.ErrUnsafe{Format: info.Format, Reasons: []string{"disk " + path + " has a backing file without absolute path"}}
	}
	if err := checkFormats(ref.Format); err != nil {
		return nil, fmt.Errorf("backing file of %s: %w", path, err)
	}
	return &layer{path: ref.Path, format: ref.Format}, nil
}

// Chain returns the paths of a disk and of everything below it, top first.
func Chain(path, stated string) ([]string, error) {
	l, err := trustedLayers(path, stated)
	if err != nil {
		return nil, err
	}
	var paths []string
	for cur := &l; cur != nil; cur = cur.backing {
		paths = append(paths, cur.path)
	}
	return paths, nil
}

// Base names what a disk rests on and in which format; "" when the disk stands alone. The base need not be there.
func Base(path, stated string) (base, format string, err error) {
	if err := checkFormats(stated); err != nil || stated == "raw" {
		return "", "", err
	}
	l, err := backing(path, stated)
	if err != nil || l == nil {
		return "", "", err
	}
	return l.path, l.format, nil
}
