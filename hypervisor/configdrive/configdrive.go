// Package configdrive writes the small read-only file system from which a guest reads its metadata at boot.
//
// The image is ISO 9660 (ECMA-119) with Rock Ridge names, which Linux and BSD guests read, and Joliet names, which
// Windows reads, over one copy of the files; or VFAT, for guests that want a disk. It is written in memory and in one
// pass, needs no external tool, and the same Drive always gives the same bytes. The package has no goroutines.
package configdrive

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/renameio/v2"
)

// Label is the volume label by which guests (cloud-init, cloudbase-init) find the drive.
const Label = "config-2"

// Bounds of what a drive can hold; guests and the writer stay far below them.
const (
	maxNameLength = 64              // UTF-16 units of one path component, by Joliet
	maxNameBytes  = 120             // UTF-8 bytes of one, so that it fits a record with its attributes
	maxDepth      = 8               // directories below each other, by ECMA-119
	maxTotalSize  = 1 << 30         // bytes of all files
	sectorSize    = 2048            // of ISO 9660, and so the unit of everything below
	systemArea    = 16 * sectorSize // left empty for boot code
)

// Format is the file system of a drive.
type Format int

// The formats of a drive.
const (
	ISO9660 Format = iota
	VFAT           // always 64 MiB in size
)

// Drive is the content of a config drive.
type Drive struct {
	Format    Format
	Label     string            // up to 16 characters, in VFAT up to 11; empty means the constant Label
	Publisher string            // up to 128 ASCII characters, free text; VFAT has none
	Created   time.Time         // stamped on every file; the zero value is the Unix epoch
	Files     map[string][]byte // slash-separated path without leading slash to content
}

// WriteTo writes the image to w. It returns an error for a path that is unclean or too long for the format.
func (d Drive) WriteTo(w io.Writer) (int64, error) {
	image, err := d.encode()
	if err != nil {
		return 0, fmt.Errorf("config drive: %w", err)
	}
	return io.Copy(w, io.MultiReader(bytes.NewReader(image), bytes.NewReader(make([]byte, d.empty(image)))))
}

// empty is how many bytes of nothing the image is to end with.
func (d Drive) empty(image []byte) int {
	if d.Format == VFAT {
		return fatSize - len(image)
	}
	return 0
}

// WriteFile puts the image at name, where it appears whole or not at all; an older one is replaced. All may read it
// whose way there the directory does not bar: QEMU often runs as a user of its own.
func (d Drive) WriteFile(name string) error {
	image, err := d.encode()
	if err != nil {
		return fmt.Errorf("config drive %s: %w", name, err)
	}
	if err := d.writeFile(name, image); err != nil {
		return fmt.Errorf("config drive: %w", err)
	}
	return nil
}

// writeFile writes the image with a hole at its end where that is empty.
func (d Drive) writeFile(name string, image []byte) error {
	f, err := renameio.NewPendingFile(name, renameio.WithPermissions(0o644), renameio.WithStaticPermissions(0o644))
	if err != nil {
		return err
	}
	defer func() { _ = f.Cleanup() }() // does nothing once the file is in place
	if _, err := f.Write(image); err != nil {
		return err
	}
	if err := f.Truncate(int64(len(image) + d.empty(image))); err != nil {
		return err
	}
	return f.CloseAtomicallyReplace()
}

func (d Drive) encode() ([]byte, error) {
	if d.Label == "" {
		d.Label = Label
	}
	if d.Created.IsZero() {
		d.Created = time.Unix(0, 0)
	}
	root, err := d.tree()
	if err != nil {
		return nil, err
	}
	if d.Format == VFAT {
		return layOutVFAT(d, root)
	}
	return layOut(d, root)
}

// tree arranges the files in their directories.
func (d Drive) tree() (*node, error) {
	if err := checkText("label", d.Label, 16); err != nil {
		return nil, err
	}
	if err := checkText("publisher", d.Publisher, 128); err != nil {
		return nil, err
	}
	root := &node{dir: true}
	var total int
	for _, name := range slices.Sorted(maps.Keys(d.Files)) {
		if err := checkPath(name); err != nil {
			return nil, fmt.Errorf("path %q: %w", name, err)
		}
		if total += len(d.Files[name]); total > maxTotalSize {
			return nil, fmt.Errorf("files are larger than %d bytes", maxTotalSize)
		}
		if err := root.add(strings.Split(name, "/"), d.Files[name]); err != nil {
			return nil, fmt.Errorf("path %q: %w", name, err)
		}
	}
	return root, nil
}

func checkText(what, text string, width int) error {
	if len(text) > width || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
		return fmt.Errorf("%s %q is not ASCII text of at most %d characters", what, text, width)
	}
	return nil
}

func checkPath(name string) error {
	if name == "" || strings.HasPrefix(name, "/") || path.Clean(name) != name || !utf8.ValidString(name) {
		return errors.New("is not a clean relative path")
	}
	parts := strings.Split(name, "/")
	if len(parts) > maxDepth {
		return fmt.Errorf("is deeper than %d directories", maxDepth)
	}
	for _, part := range parts {
		if part == ".." {
			return errors.New("leaves the drive")
		}
		if len(utf16BE(part))/2 > maxNameLength || len(part) > maxNameBytes {
			return fmt.Errorf("has a component of more than %d characters or %d bytes", maxNameLength, maxNameBytes)
		}
	}
	return nil
}

// node is a file or a directory.
type node struct {
	name     string
	dir      bool
	data     []byte
	children []*node

	extent uint32 // first sector of data
}

func (n *node) add(parts []string, data []byte) error {
	name, rest := parts[0], parts[1:]
	i := slices.IndexFunc(n.children, func(c *node) bool { return c.name == name })
	if i < 0 {
		i = len(n.children)
		n.children = append(n.children, &node{name: name, dir: len(rest) > 0})
	}
	child := n.children[i]
	if len(rest) > 0 {
		if !child.dir {
			return fmt.Errorf("%s is a file", name)
		}
		return child.add(rest, data)
	}
	if child.dir {
		return fmt.Errorf("%s is a directory", name)
	}
	child.data = data
	return nil
}
