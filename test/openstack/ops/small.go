package ops

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"bolide/test/openstack/api"
)

// A small guest is a boot sector that says bootMessage on the serial port and
// halts: it is there at once, costs no more than a QEMU, and hears no power
// button.
const bootMessage = "guest: small\r\n"

// shutdownTimeout is how many seconds its image gives it to power off.
const shutdownTimeout = 2

// imageOf is what Glance is told of the small guest's image.
func imageOf(format string) api.Options {
	return api.Options{
		"name": "small-" + format, "disk_format": format, "container_format": "bare",
		"os_shutdown_timeout": fmt.Sprint(shutdownTimeout),
	}
}

// bootSector returns the program of a small guest.
func bootSector() []byte {
	sector := make([]byte, 512)
	n := copy(sector, []byte{
		0x31, 0xc0, //       xor ax, ax
		0x8e, 0xd8, //       mov ds, ax
		0xfc,             // cld
		0xbe, 0x16, 0x7c, // mov si, message
		0xac,       // next: lodsb
		0x84, 0xc0, //       test al, al
		0x74, 0x06, //       jz halt
		0xba, 0xf8, 0x03, // mov dx, COM1
		0xee,       //       out dx, al
		0xeb, 0xf5, //       jmp next
		0xf4,       // halt: hlt
		0xeb, 0xfd, //       jmp halt
	})
	copy(sector[n:], bootMessage) // a zero follows
	copy(sector[510:], []byte{0x55, 0xaa})
	return sector
}

// withDisk makes a small guest's disk for one use: as raw data, which other
// formats can be made of.
func withDisk(use func(path string) error) error {
	dir, err := os.MkdirTemp(tempDir, "small")
	if err != nil {
		return err
	}
	disk := filepath.Join(dir, "disk.raw")
	err = os.WriteFile(disk, bootSector(), 0o644)
	if err == nil {
		err = os.Truncate(disk, 1<<20)
	}
	if err == nil {
		err = use(disk)
	}
	return errors.Join(err, os.RemoveAll(dir))
}

// qemuImg runs qemu-img.
func qemuImg(ctx context.Context, args ...string) error {
	if out, err := exec.CommandContext(ctx, "qemu-img", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("qemu-img %q: %s: %w", args, out, err)
	}
	return nil
}

// addImage makes an image of a file.
func (s *Session) addImage(ctx context.Context, o api.Options, path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = file.Close() }()
	var image struct{ ID string }
	if err := s.Post(ctx, api.Image+"/images", o, &image); err != nil {
		return "", err
	}
	return image.ID, s.Upload(ctx, image.ID, file)
}

// addSmallImage makes an image of a small guest's disk in a format of Glance's;
// qemuFormat is its name among QEMU's.
func (s *Session) addSmallImage(ctx context.Context, format, qemuFormat string) (id string, err error) {
	err = withDisk(func(raw string) error {
		disk := raw + "." + format
		if err := qemuImg(ctx, "convert", "-f", "raw", "-O", qemuFormat, raw, disk); err != nil {
			return err
		}
		id, err = s.addImage(ctx, imageOf(format), disk)
		return err
	})
	return id, err
}

func (s *Session) dropImage(ctx context.Context, id string) error {
	return s.Delete(ctx, api.Image+"/images/"+id)
}

// smallOptions make a request one for a small guest. Its image and flavor are made
// at need, and stay for the next one.
func (s *Session) smallOptions(ctx context.Context, more api.Options) (api.Options, error) {
	var err error
	if s.small.image == "" {
		if s.small.image, err = s.addSmallImage(ctx, "qcow2", "qcow2"); err != nil {
			return nil, err
		}
	}
	if s.small.flavor == "" {
		if s.small.flavor, err = s.addFlavor(ctx, api.Options{"ram": 64, "vcpus": 1, "disk": 1}); err != nil {
			return nil, err
		}
	}
	o := api.Options{"imageRef": s.small.image, "flavorRef": s.small.flavor}
	for k, v := range more {
		o[k] = v
	}
	return o, nil
}

// requestSmall asks Nova for a small guest.
func (s *Session) requestSmall(ctx context.Context, name string, more api.Options) (string, error) {
	o, err := s.smallOptions(ctx, more)
	if err != nil {
		return "", err
	}
	return s.Request(ctx, name, o)
}

// withSmall boots a small guest for use. If that went well it deletes the guest,
// and makes sure that nothing of it is left.
func (s *Session) withSmall(ctx context.Context, name string, more api.Options, use func(id string) error) error {
	id, err := s.requestSmall(ctx, name, more)
	if err != nil {
		return err
	}
	if _, err := s.Wait(ctx, id, api.Active()); err != nil {
		return err
	}
	if err := use(id); err != nil {
		return err
	}
	return s.dropCleanly(ctx, id)
}

// onSpare lends a small guest that runs, for what leaves it running. It is booted at
// need and lent again as long as that goes well.
func (s *Session) onSpare(ctx context.Context, use func(id string) error) error {
	if s.spare == "" {
		id, err := s.requestSmall(ctx, "spare", nil)
		if err != nil {
			return err
		}
		if _, err := s.Wait(ctx, id, api.Active()); err != nil {
			return err
		}
		s.spare = id
	}
	err := use(s.spare)
	if err != nil {
		s.spare = ""
	}
	return err
}

// spareLeavesNothing ends what onSpare began: after all that was done to it, the
// guest can be deleted like any other.
func (s *Session) spareLeavesNothing(ctx context.Context) error {
	return s.onSpare(ctx, func(id string) error {
		s.spare = ""
		return s.dropCleanly(ctx, id)
	})
}

// boots waits until a small guest says that it has booted.
func (s *Session) boots(ctx context.Context, id string) error {
	return s.Sees(ctx, id, strings.TrimSpace(bootMessage))
}

// dropCleanly deletes guests and makes sure that nothing of them is left.
func (s *Session) dropCleanly(ctx context.Context, ids ...string) error {
	ports := map[string][]string{}
	for _, id := range ids {
		var err error
		if ports[id], err = s.portsOf(ctx, id); err != nil {
			return err
		}
	}
	if err := s.Drop(ctx, ids...); err != nil {
		return err
	}
	var errs []error
	for _, id := range ids {
		errs = append(errs, s.leavesNothing(ctx, id, ports[id]))
	}
	return errors.Join(errs...)
}
