package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"bolide/agent/guest"
	"bolide/agent/remote"
	"bolide/imagecache/disk"
	"bolide/rpc/nova"
)

// asideSuffix names the directory beside an instance's in which the source of a move keeps the disks as they were.
const asideSuffix = "_resize"

// diskMove brings the disks of a guest that is off to where the destination of a move looks for them: the instance's
// directory, on another host or here. The originals are set aside until the move is decided.
type diskMove struct {
	disks    *disk.Tool
	remote   *remote.FS
	progress func(done, total int64)

	dir  string // of the instance, at both ends
	dest string // address of the destination
	here bool   // the destination is this host
	list []moveFile

	shared  bool // this host sees the destination's directory: files are copied here
	reached bool
	aside   bool
}

// moveFile is one disk to bring over.
type moveFile struct {
	name, format string
}

// diskRecord is how the hosts of a move tell each other of a disk. The form is that of Nova's libvirt driver.
type diskRecord struct {
	Format      string `json:"type"`
	Path        string `json:"path"`
	VirtualSize int64  `json:"virt_disk_size"` // bytes, as this and those below
	Backing     string `json:"backing_file"`   // the name of the file that it rests on; "": none
	Size        int64  `json:"disk_size"`      // taken on disk
	Overcommit  int64  `json:"over_committed_disk_size"`
}

// newDiskMove plans to bring the disks over that the guest has.
func (m *coldMove) newDiskMove() *diskMove {
	d := &diskMove{
		disks: m.disks, remote: m.remote, progress: m.entry.Progress,
		dir: m.instanceDir(m.inst.UUID()), dest: m.migration.DestHost(), here: m.sameHost(),
	}
	recorded := m.diskFormats()
	for _, p := range m.disksOf.List {
		if p.Name == "" {
			continue // a volume
		}
		f := moveFile{name: p.Name, format: recorded[p.Name]}
		switch {
		case f.format != "":
		case p.Name == guest.ConfigDisk:
			f.format = "raw"
		default:
			f.format = m.diskFormat()
		}
		d.list = append(d.list, f)
	}
	return d
}

// reach finds out whether the destination sees this host's files, and makes the instance's directory there if not. That
// it does not is proved by a file that it makes and this host does not see: on shared storage the two directories would
// be one, and removing one of them would remove the guest.
func (d *diskMove) reach(ctx context.Context) error {
	if d.here {
		d.shared = true
		return nil
	}
	probe := filepath.Join(d.dir, uuid.NewString()+".tmp")
	err := d.remote.MakeDir(ctx, d.dest, d.dir)
	if err == nil {
		err = d.remote.Touch(ctx, d.dest, probe)
	}
	if err != nil {
		return nova.NewError("ResizeError", map[string]any{"reason": "not able to execute ssh command: " + err.Error()}).Because(err)
	}
	if err := os.Remove(probe); err == nil {
		d.shared = true
		return nil
	}
	d.reached = true
	return d.remote.Remove(ctx, d.dest, probe)
}

// retreat removes what was brought over.
func (d *diskMove) retreat(ctx context.Context) error {
	if !d.reached {
		return nil
	}
	return d.remote.RemoveDir(ctx, d.dest, d.dir)
}

// setAside puts the disks where the copies do not overwrite them.
func (d *diskMove) setAside(context.Context) error {
	kept := d.dir + asideSuffix
	if _, err := os.Stat(d.dir); err != nil {
		return fmt.Errorf("look for the instance's files: %w", err)
	}
	if err := os.RemoveAll(kept); err != nil { // of an earlier move
		return fmt.Errorf("remove %s: %w", kept, err)
	}
	if err := os.Rename(d.dir, kept); err != nil {
		return fmt.Errorf("set disks aside: %w", err)
	}
	d.aside = true
	if d.shared {
		if err := os.Mkdir(d.dir, 0o755); err != nil {
			return fmt.Errorf("make instance directory: %w", err)
		}
	}
	return disk.SyncDir(filepath.Dir(d.dir))
}

// putBack makes the disks set aside the guest's again.
func (d *diskMove) putBack(context.Context) error {
	if !d.aside {
		return nil
	}
	return restoreDisks(d.dir)
}

// restoreDisks makes the disks that a move set aside the guest's again, in place of what the move made. Without disks set
// aside there is nothing to do; so it may be repeated.
func restoreDisks(dir string) error {
	kept := dir + asideSuffix
	if _, err := os.Stat(kept); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("remove %s: %w", dir, err)
	}
	if err := os.Rename(kept, dir); err != nil {
		return fmt.Errorf("take disks back: %w", err)
	}
	return disk.SyncDir(filepath.Dir(dir))
}

// describe is what the destination is told of the disks, in their order. They are still in place.
func (d *diskMove) describe() ([]diskRecord, error) {
	records := make([]diskRecord, len(d.list))
	for i, f := range d.list {
		path := filepath.Join(d.dir, f.name)
		taken, err := bytesOnDisk(path)
		if err != nil {
			return nil, fmt.Errorf("look at disk %s: %w", f.name, err)
		}
		size, err := disk.VirtualSize(path, f.format)
		if err != nil {
			return nil, err
		}
		records[i] = diskRecord{Format: f.format, Path: path, VirtualSize: size, Size: taken, Overcommit: size - taken}
		if f.format == "raw" {
			continue
		}
		records[i].Overcommit = max(0, size-taken)
		base, _, err := disk.Base(path, f.format)
		if err != nil {
			return nil, err
		}
		if base != "" {
			records[i].Backing = filepath.Base(base)
		}
	}
	return records, nil
}

// bytesOnDisk is what a file takes; less than its length where it has holes.
func bytesOnDisk(path string) (int64, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return 0, err
	}
	return st.Blocks * 512, nil
}

// copyFiles copies the disks, and last the list of their formats. A swap disk is made anew at the other end, for less
// than its copy would cost.
func (d *diskMove) copyFiles(ctx context.Context, records []diskRecord) error {
	total, done := int64(0), int64(0)
	for _, r := range records {
		total += r.Size
	}
	for _, r := range records {
		if name := filepath.Base(r.Path); name != guest.SwapDisk {
			err := d.copyFile(ctx, name, r.Format, func(n int64) { d.progress(done+min(n, r.Size), total) })
			if err != nil {
				return fmt.Errorf("copy disk %s: %w", name, err)
			}
		}
		done += r.Size
		d.progress(done, total)
	}
	if _, err := os.Stat(filepath.Join(d.dir+asideSuffix, disk.FormatsFile)); err != nil {
		return nil // a guest from before there were such lists
	}
	return d.copyFile(ctx, disk.FormatsFile, "", func(int64) {})
}

// compressed are the formats that compressing on the way does not make smaller.
var compressed = []string{"qcow2"}

func (d *diskMove) copyFile(ctx context.Context, name, format string, progress func(int64)) error {
	src, dst := filepath.Join(d.dir+asideSuffix, name), filepath.Join(d.dir, name)
	if d.shared {
		return d.disks.Copy(ctx, disk.Copy{Src: src, Dst: dst, Replace: true, Progress: func(n, _ int64) { progress(n) }})
	}
	if isEphemeral(name) && format == "qcow2" {
		flat := src + ".flat"
		defer os.Remove(flat)
		if err := d.disks.Extract(ctx, disk.Convert{Src: src, SrcFormat: format, Dst: flat, DstFormat: format}); err != nil {
			return err
		}
		src = flat
	}
	return d.remote.Push(ctx, remote.Copy{
		Host: d.dest, Src: src, Dst: dst, Compress: !slices.Contains(compressed, format), Progress: progress,
	})
}

// isEphemeral reports whether the disk rests on a file system that this host made. The destination's own of the same
// size is another one: the disk goes there flat, or it would be torn.
func isEphemeral(name string) bool {
	return name == guest.DefaultEphemeral || strings.HasPrefix(name, guest.EphemeralPrefix)
}
