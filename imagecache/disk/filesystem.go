package disk

import (
	"context"
	"fmt"
	"slices"
)

// FileSystem describes a new raw file with a file system, or swap space, on the whole of it.
type FileSystem struct {
	Path  string
	Size  int64  // bytes
	Type  string // ext2, ext3, ext4, xfs, ntfs, vfat or swap
	Label string // optional
	// Command, when not empty, is the administrator's own mkfs command for the file ([DEFAULT] virt_mkfs) with
	// %(fs_label)s and %(target)s filled in; the file's name in it is Path + ".part". Type and Label are then ignored.
	Command func(target string) []string
}

var fileSystems = []string{"ext2", "ext3", "ext4", "xfs", "ntfs", "vfat", "swap"}

// CreateFileSystem makes a raw file holding an empty file system, with the options Nova gives mkfs. A file of that
// name is an *ErrExists.
func (t *Tool) CreateFileSystem(ctx context.Context, fs FileSystem) error {
	if fs.Command == nil && !slices.Contains(fileSystems, fs.Type) {
		return fmt.Errorf("create %s: %w", fs.Path, &ErrFormat{Format: fs.Type})
	}
	if there, err := exists(fs.Path); err != nil || there {
		if err == nil {
			err = &ErrExists{Path: fs.Path, Reason: "it would be replaced"}
		}
		return err
	}
	err := Replace(fs.Path, func(part string) error {
		if err := growRaw(part, fs.Size); err != nil {
			return err
		}
		argv := mkfs(fs, part)
		if fs.Command != nil {
			argv = fs.Command(part)
		}
		_, err := t.run(ctx, job{argv: argv, writes: []string{part}, limits: t.opts.Inspect})
		return err
	})
	if err != nil {
		return fmt.Errorf("create %s: %w", fs.Path, err)
	}
	return nil
}

func mkfs(fs FileSystem, target string) []string {
	if fs.Type == "swap" {
		return []string{"mkswap", target}
	}
	argv := []string{"mkfs." + fs.Type}
	switch fs.Type {
	case "ext2", "ext3", "ext4", "ntfs":
		argv = append(argv, "-F") // not a block device, and nobody to ask
	}
	if fs.Label != "" {
		flag := "-L"
		if fs.Type == "vfat" {
			flag = "-n"
		}
		argv = append(argv, flag, fs.Label)
	}
	return append(argv, target)
}
