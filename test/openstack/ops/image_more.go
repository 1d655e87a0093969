package ops

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"bolide/test/openstack/api"
)

// backupRotation: of backups of a kind the newest are kept.
func (s *Session) backupRotation(ctx context.Context) error {
	return s.onSpare(ctx, func(id string) error {
		for _, name := range []string{"monday", "tuesday", "wednesday"} {
			arg := map[string]any{"name": name, "backup_type": "daily", "rotation": 2}
			var image string
			if _, err := s.take(ctx, id, turn{"createBackup", arg, api.Active()}, &image); err != nil {
				return err
			}
		}
		var kept struct{ Images []struct{ ID, Name string } }
		if err := s.Get(ctx, api.Image+"/images?backup_type=daily&instance_uuid="+id, &kept); err != nil {
			return err
		}
		var names []string
		var errs []error
		for _, i := range kept.Images {
			names = append(names, i.Name)
			errs = append(errs, s.dropImage(ctx, i.ID))
		}
		if slices.Sort(names); !slices.Equal(names, []string{"tuesday", "wednesday"}) {
			errs = append(errs, fmt.Errorf("backups kept are %q", names))
		}
		return errors.Join(errs...)
	})
}

// snapshotStopped: an image is made of a guest that is off, which stays off; what
// is built of the image boots.
func (s *Session) snapshotStopped(ctx context.Context) error {
	var image string
	err := s.onSpare(ctx, func(id string) error {
		if err := s.changeOf(ctx, id, turn{"os-stop", nil, stopped}); err != nil {
			return err
		}
		if _, err := s.take(ctx, id, turn{"createImage", map[string]any{"name": "cold"}, stopped}, &image); err != nil {
			return err
		}
		return s.changeOf(ctx, id, turn{"os-start", nil, api.Active()})
	})
	if err != nil {
		return err
	}
	err = s.withSmall(ctx, "from-cold", api.Options{"imageRef": image}, func(id string) error { return s.boots(ctx, id) })
	return errors.Join(err, s.dropImage(ctx, image))
}

// bootImageFormats: guests boot from images of every format that the node knows.
func (s *Session) bootImageFormats(ctx context.Context) error {
	formats := map[string]string{"raw": "raw", "vmdk": "vmdk", "vdi": "vdi", "vhd": "vpc"}
	guests, images := map[string]string{}, map[string]string{}
	for format, name := range formats {
		image, err := s.addSmallImage(ctx, format, name)
		if err != nil {
			return err
		}
		images[format] = image
		if guests[format], err = s.requestSmall(ctx, "boot-"+format, api.Options{"imageRef": image}); err != nil {
			return err
		}
	}
	var errs []error
	for format, id := range guests {
		_, err := s.Wait(ctx, id, api.Active())
		if err == nil {
			err = s.boots(ctx, id)
		}
		if err != nil {
			err = fmt.Errorf("%s: %w", format, err)
		}
		errs = append(errs, err, s.dropCleanly(ctx, id), s.dropImage(ctx, images[format]))
	}
	return errors.Join(errs...)
}

// bootISO: a guest boots from an image of a CD-ROM. Nova's node gives it to the
// guest as a disk; so it begins with a boot sector, as those of distributions do.
func (s *Session) bootISO(ctx context.Context) error {
	var image string
	err := withDisk(func(content string) (err error) {
		iso := content + ".iso"
		if out, err := exec.CommandContext(ctx, "genisoimage", "-quiet", "-o", iso, content).CombinedOutput(); err != nil {
			return fmt.Errorf("genisoimage: %s: %w", out, err)
		}
		file, err := os.OpenFile(iso, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		_, err = file.WriteAt(bootSector(), 0)
		if err := errors.Join(err, file.Close()); err != nil {
			return err
		}
		image, err = s.addImage(ctx, imageOf("iso"), iso)
		return err
	})
	if err != nil {
		return err
	}
	err = s.withSmall(ctx, "iso", api.Options{"imageRef": image}, func(id string) error { return s.boots(ctx, id) })
	return errors.Join(err, s.dropImage(ctx, image))
}

// unsafeImage: an image that would show its guest a file of the host's is refused.
func (s *Session) unsafeImage(ctx context.Context) error {
	disk := filepath.Join(tempDir, "unsafe.qcow2")
	if err := qemuImg(ctx, "create", "-q", "-u", "-f", "qcow2", "-b", "/etc/hostname", "-F", "raw", disk, "1M"); err != nil {
		return err
	}
	image, err := s.addImage(ctx, imageOf("qcow2"), disk)
	if err := errors.Join(err, os.Remove(disk)); err != nil {
		return err
	}
	id, err := s.requestSmall(ctx, "unsafe", api.Options{"imageRef": image})
	if err != nil {
		return err
	}
	v, err := s.Wait(ctx, id, faulty)
	if err == nil && v.Fault.Message == "" {
		err = errors.New("the fault has no message")
	}
	return errors.Join(err, s.dropCleanly(ctx, id), s.dropImage(ctx, image))
}

// cacheImages: an image is on the host before the first guest asks for it.
func (s *Session) cacheImages(ctx context.Context) error {
	image, err := s.addSmallImage(ctx, "raw", "raw")
	if err != nil {
		return err
	}
	bases := func() ([]string, error) { return filepath.Glob(filepath.Join(instancesPath, "_base", "*")) }
	before, err := bases()
	if err != nil {
		return err
	}
	err = s.withAggregate(ctx, func(url string) error {
		if err := s.Post(ctx, url+"/images", map[string]any{"cache": []any{map[string]any{"id": image}}}, nil); err != nil {
			return err
		}
		return api.Until(ctx, time.Minute, func(context.Context) (bool, error) {
			after, err := bases()
			if err != nil || len(after) > len(before) {
				return true, err
			}
			return false, errors.New("the image is not on the host")
		})
	})
	return errors.Join(err, s.dropImage(ctx, image))
}
