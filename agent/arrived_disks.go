package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"bolide/agent/guest"
	"bolide/imagecache/disk"
)

// fitDisks makes a guest of the disks that a move brought: what they rest on, the swap disk, which was left behind, and
// the sizes that the flavor now has.
func (a *arrival) fitDisks(ctx context.Context) error {
	r, err := a.request(ctx)
	if err != nil {
		return err
	}
	if err := a.planDisks(r); err != nil {
		return err
	}
	dir := a.instanceDir(a.inst.UUID())
	if err := touch(filepath.Join(dir, "console.log")); err != nil {
		return fmt.Errorf("make console log: %w", err)
	}
	for _, d := range a.disksOf.List {
		path := filepath.Join(dir, d.Name)
		switch {
		case d.Name == "" || d.Name == guest.ConfigDisk: // a volume; written anew
		case d.Name == guest.SwapDisk:
			err = a.remakeSwap(ctx, d, path)
		case d.Name != guest.RootDisk && !there(path): // the flavor before had none
			err = a.makeEphemeral(ctx, path, d)
		default:
			err = a.fitDisk(ctx, d, path)
		}
		if err != nil {
			return fmt.Errorf("disk %s: %w", d.Name, err)
		}
	}
	return a.makeKernel(ctx, dir)
}

// remakeSwap makes the swap disk in the size of the flavor that the guest now has.
func (a *arrival) remakeSwap(ctx context.Context, d guest.Disk, path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if a.inst.Flavor().SwapMB() > 0 {
		d.Mapping = nil // of the size the guest was built with
	}
	return a.makeSwap(ctx, path, d.Mapping)
}

// fitDisk makes a disk that came one of this host's.
func (a *arrival) fitDisk(ctx context.Context, d guest.Disk, path string) error {
	format, err := a.formatOf(path)
	if err != nil {
		return err
	}
	if err := a.bringBase(ctx, d, path, format); err != nil {
		return err
	}
	if format == "raw" && a.diskFormat() == "qcow2" {
		// Nova's node takes every disk of such a host for qcow2, and a guest may have written such a header into its own
		if err := a.disks.Reformat(ctx, path, format, "qcow2"); err != nil {
			return err
		}
		format = "qcow2"
	}
	has, err := disk.VirtualSize(path, format)
	want := a.sizeOf(d)
	if err != nil || has >= want {
		return err
	}
	return a.disks.Resize(ctx, path, format, want)
}

// formatOf is the format in which the disk was made.
func (a *arrival) formatOf(path string) (string, error) {
	format, err := disk.RecordedFormat(path)
	if err != nil || format != "" {
		return format, err
	}
	for _, r := range a.records {
		if filepath.Base(r.Path) == filepath.Base(path) && r.Format != "" {
			return r.Format, disk.RecordFormat(path, r.Format)
		}
	}
	return a.diskFormat(), nil
}

// sizeOf is the size in bytes that the guest is to have of a disk; 0: whatever it is.
func (a *arrival) sizeOf(d guest.Disk) int64 {
	switch {
	case d.Name == guest.RootDisk:
		return a.inst.Flavor().RootGB() * gib
	case d.Mapping != nil:
		return d.Mapping.VolumeSize() * gib
	}
	return a.inst.Flavor().EphemeralGB() * gib
}

// bringBase makes sure that what the disk rests on is here. The root's base is in Glance; if not there any longer, or
// made by the other host as those of ephemeral disks are, the host that the guest came from has it.
func (a *arrival) bringBase(ctx context.Context, d guest.Disk, path, format string) error {
	base, _, err := disk.Base(path, format)
	if err != nil || base == "" || there(base) {
		return err
	}
	var fetched error
	if d.Name == guest.RootDisk {
		if fetched = a.ensureBase(ctx); there(base) {
			return nil
		}
	}
	if a.sameHost() {
		return errors.Join(fetched, fmt.Errorf("its base %s is missing", base))
	}
	if _, err := a.pullBase(ctx, a.migration.SourceCompute(), base); err != nil {
		return errors.Join(fetched, err)
	}
	return nil
}

func there(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
