package ops

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"bolide/test/openstack/api"
)

// stopDeaf: a guest that does not hear the power button is given as long as its
// image says, and then switched off.
func (s *Session) stopDeaf(ctx context.Context) error {
	return s.onSpare(ctx, func(id string) error {
		start := time.Now()
		if err := s.changeOf(ctx, id, turn{"os-stop", nil, stopped}); err != nil {
			return err
		}
		if took := time.Since(start); took < shutdownTimeout*time.Second {
			return fmt.Errorf("switched off after %s, want %d s", took, shutdownTimeout)
		}
		return s.changeOf(ctx, id, turn{"os-start", nil, api.Active()})
	})
}

// rebootFromEveryState: a hard reboot brings a guest back from wherever it is.
func (s *Session) rebootFromEveryState(ctx context.Context) error {
	return s.onSpare(ctx, func(id string) error {
		reboot := turn{"reboot", hard, api.Active()}
		err := s.changeOf(ctx, id,
			turn{"pause", nil, paused}, reboot,
			turn{"suspend", nil, suspended}, reboot,
			turn{"os-stop", nil, stopped}, reboot)
		if err != nil {
			return err
		}
		if err := s.Act(ctx, id, "os-resetState", map[string]any{"state": "error"}, nil); err != nil {
			return err
		}
		if _, err := s.Wait(ctx, id, faulty); err != nil {
			return err
		}
		return s.changeOf(ctx, id, reboot)
	})
}

// rebootUndefined: a hard reboot makes a domain anew that somebody removed.
func (s *Session) rebootUndefined(ctx context.Context) error {
	return s.onSpare(ctx, func(id string) error {
		for _, verb := range []string{"destroy", "undefine"} {
			if _, err := virsh(ctx, verb, id); err != nil {
				return err
			}
		}
		if err := s.changeOf(ctx, id, turn{"reboot", hard, api.Active()}); err != nil {
			return err
		}
		return s.boots(ctx, id)
	})
}

// rebootLostBase: a hard reboot brings the base of a guest's disk anew that
// somebody removed.
func (s *Session) rebootLostBase(ctx context.Context) error {
	return s.withOwnBase(ctx, func(id, base string) error {
		if err := os.Remove(base); err != nil {
			return err
		}
		if err := s.changeOf(ctx, id, turn{"reboot", hard, api.Active()}); err != nil {
			return err
		}
		return s.boots(ctx, id)
	})
}

// rebootLostImage: without the base and the image it came from, there is no guest;
// its user is told why, and can delete it.
func (s *Session) rebootLostImage(ctx context.Context) error {
	return s.withOwnBase(ctx, func(id, base string) error {
		v, err := s.Show(ctx, id)
		if err != nil {
			return err
		}
		if err := errors.Join(os.Remove(base), s.dropImage(ctx, v.Image.ID)); err != nil {
			return err
		}
		if err := s.fails(ctx, id, turn{"reboot", hard, faulty}); err != nil {
			return err
		}
		v, err = s.Show(ctx, id)
		if err == nil && !strings.Contains(v.Fault.Message, v.Image.ID) {
			err = fmt.Errorf("the fault does not name the image: %q", v.Fault.Message)
		}
		return err
	})
}

// withOwnBase boots a small guest that is off and whose disk's base no other guest
// has.
func (s *Session) withOwnBase(ctx context.Context, use func(id, base string) error) error {
	image, err := s.addSmallImage(ctx, "raw", "raw")
	if err != nil {
		return err
	}
	err = s.withSmall(ctx, "base", api.Options{"imageRef": image}, func(id string) error {
		if err := s.changeOf(ctx, id, turn{"os-stop", nil, stopped}); err != nil {
			return err
		}
		base, err := backingFile(ctx, filepath.Join(instancesPath, id, "disk"))
		if err != nil {
			return err
		}
		return use(id, base)
	})
	if dropped := s.dropImage(ctx, image); dropped != nil && !api.IsNotFound(dropped) {
		err = errors.Join(err, dropped)
	}
	return err
}

// backingFile returns the base of an overlay.
func backingFile(ctx context.Context, disk string) (string, error) {
	out, err := exec.CommandContext(ctx, "qemu-img", "info", "--output", "json", disk).Output()
	if err != nil {
		return "", fmt.Errorf("qemu-img info %s: %w", disk, err)
	}
	var info struct {
		Base string `json:"full-backing-filename"`
	}
	if err := json.Unmarshal(out, &info); err != nil {
		return "", err
	}
	if info.Base == "" {
		return "", fmt.Errorf("disk %s has no base", disk)
	}
	return info.Base, nil
}

// crashDump: the guest gets a non-maskable interrupt, of which its kernel tells.
func (s *Session) crashDump(ctx context.Context) error {
	return s.With(ctx, "nmi", nil, func(v api.Server) error {
		if err := s.Sees(ctx, v.ID, `guest: ready`); err != nil {
			return err
		}
		if err := s.changeOf(ctx, v.ID, turn{"trigger_crash_dump", nil, api.Active()}); err != nil {
			return err
		}
		return s.Sees(ctx, v.ID, `NMI received`)
	})
}

// rescueStopped: a guest that is off can be rescued, and runs afterwards.
func (s *Session) rescueStopped(ctx context.Context) error {
	return s.onSpare(ctx, func(id string) error {
		return s.changeOf(ctx, id,
			turn{"os-stop", nil, stopped},
			turn{"rescue", map[string]any{}, rescued},
			turn{"unrescue", nil, api.Active()})
	})
}
