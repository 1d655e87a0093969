package agent

import (
	"context"
	"fmt"
	"path/filepath"

	"bolide/imagecache/disk"
)

// bootFile is a file that the host loads into the guest instead of a boot loader: an image of its own in Glance.
type bootFile struct{ name, image string }

// makeKernel brings the kernel and the RAM disk of a guest that boots without a boot loader into the instance's
// directory.
func (s *spawn) makeKernel(ctx context.Context, dir string) error {
	for _, f := range []bootFile{{"kernel", s.inst.KernelID()}, {"ramdisk", s.inst.RamdiskID()}} {
		if f.image == "" {
			continue
		}
		if err := s.makeBootFile(ctx, f, filepath.Join(dir, f.name)); err != nil {
			return fmt.Errorf("%s from image %s: %w", f.name, f.image, err)
		}
	}
	return nil
}

func (t *task) makeBootFile(ctx context.Context, f bootFile, path string) error {
	if there(path) {
		return nil
	}
	base, err := t.bring(ctx, f.image)
	if err != nil {
		return err
	}
	defer base.Release()
	return t.disks.Copy(ctx, disk.Copy{Src: base.Path, Dst: path})
}
