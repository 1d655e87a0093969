package imagecache

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"bolide/imagecache/disk"
)

// Ephemeral describes an empty disk with a file system that ephemeral disks of that size rest on.
type Ephemeral struct {
	SizeGiB       int64
	Label         string            // "ephemeral0", …; of the first disk made from the base, as with Nova
	OSType        string            // the instance's os_type, or empty
	GuestFormat   string            // the file system that the block device mapping asks for, or empty
	DefaultFormat string            // [DEFAULT] default_ephemeral_format, or empty
	Commands      map[string]string // [DEFAULT] virt_mkfs: os_type → command with %(fs_label)s and %(target)s
}

// errOtherFileSystem reports that a shared base holds another file system than asked for.
var errOtherFileSystem = errors.New("base holds another file system")

// Ephemeral returns the base for ephemeral disks. Its name is Nova's, which leaves out the os_type and the file system
// a mapping asks for; where the file of that name therefore holds another file system, a second one is made under a
// name of our own that Nova's node neither uses nor removes.
func (c *Cache) Ephemeral(ctx context.Context, e Ephemeral) (*Base, error) {
	if e.SizeGiB <= 0 {
		return nil, fmt.Errorf("ephemeral disk of %d GiB", e.SizeGiB)
	}
	name := e.Name()
	base, err := c.blank(ctx, name, e.fileSystem())
	if errors.Is(err, errOtherFileSystem) {
		return c.blank(ctx, name+"-"+e.format(), e.fileSystem())
	}
	return base, err
}

// Swap returns the base for swap disks of so many MiB.
func (c *Cache) Swap(ctx context.Context, mib int64) (*Base, error) {
	if mib <= 0 {
		return nil, fmt.Errorf("swap disk of %d MiB", mib)
	}
	return c.blank(ctx, SwapName(mib), disk.FileSystem{Size: mib << 20, Type: "swap"})
}

// SwapName is what the cache calls the base for swap disks of so many MiB.
func SwapName(mib int64) string { return fmt.Sprintf("swap_%d", mib) }

// blank pins the base of the name, making it when there is none.
func (c *Cache) blank(ctx context.Context, name string, fs disk.FileSystem) (*Base, error) {
	fs.Path = c.path(name)
	return c.acquire(ctx, name, waiter{image: name}, func(ctx context.Context, _ *flight) (record, error) {
		unlock, err := c.lock(ctx, name)
		if err != nil {
			return record{}, err
		}
		defer unlock()
		rec, found, err := c.lookup(name)
		if err != nil {
			return rec, err
		}
		if found {
			return rec, holds(fs)
		}
		if err := c.opts.Tool.CreateFileSystem(ctx, fs); err != nil {
			return rec, c.spaceError(name, err)
		}
		return record{Format: "raw", VirtualSize: fs.Size, Verified: true}, nil
	})
}

// holds checks the file system of a base that is there already. What the administrator's own command made is not
// known here, nor is what cannot be recognised.
func holds(fs disk.FileSystem) error {
	if fs.Command != nil {
		return nil
	}
	info, err := detectFile(fs.Path)
	if err != nil {
		return err
	}
	want := map[string]string{"ext2": "ext", "ext3": "ext", "ext4": "ext", "xfs": "xfs", "ntfs": "ntfs", "vfat": "fat",
		"swap": "swap"}[fs.Type]
	if info.Content != "" && info.Content != want {
		return fmt.Errorf("%s: %w: %s, not %s", fs.Path, errOtherFileSystem, info.Content, want)
	}
	return nil
}

// Name is what the cache calls the base, after nova/privsep/fs.py: a hash of the command or of the default file system for an unnamed os_type.
func (e Ephemeral) Name() string {
	key := e.command()
	if key == "" {
		key = e.DefaultFormat
	}
	if key == "" {
		key = "vfat"
	}
	sum := md5.Sum([]byte(key))
	return fmt.Sprintf("ephemeral_%d_%s", e.SizeGiB, hex.EncodeToString(sum[:])[:7])
}

func (e Ephemeral) command() string {
	if cmd := e.Commands[e.OSType]; cmd != "" {
		return cmd
	}
	return e.Commands["default"]
}

// format is the file system to make: what is asked for, else the configured one, else the system's own.
func (e Ephemeral) format() string {
	switch {
	case e.GuestFormat != "":
		return e.GuestFormat
	case e.DefaultFormat != "":
		return e.DefaultFormat
	case e.OSType == "linux":
		return "ext4"
	case e.OSType == "windows":
		return "ntfs"
	}
	return "vfat"
}

func (e Ephemeral) fileSystem() disk.FileSystem {
	fs := disk.FileSystem{Size: e.SizeGiB << 30, Type: e.format(), Label: e.Label}
	if cmd := e.command(); cmd != "" {
		fs.Command = func(target string) []string {
			return strings.Fields(strings.NewReplacer("%(fs_label)s", e.Label, "%(target)s", target).Replace(cmd))
		}
	}
	return fs
}
