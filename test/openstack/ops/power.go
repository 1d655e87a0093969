package ops

import (
	"context"
	"fmt"
	"strings"

	"bolide/test/openstack/api"
)

func (s *Session) pause(ctx context.Context) error {
	return s.change(ctx, "pause", nil, paused)
}

func (s *Session) unpause(ctx context.Context) error {
	return s.change(ctx, "unpause", nil, api.Active())
}

func (s *Session) suspend(ctx context.Context) error {
	return s.change(ctx, "suspend", nil, suspended)
}

func (s *Session) resume(ctx context.Context) error {
	return s.change(ctx, "resume", nil, api.Active())
}

// rebootSoft waits for a guest that can hear the power button before it asks.
func (s *Session) rebootSoft(ctx context.Context) error {
	if err := s.listening(ctx); err != nil {
		return err
	}
	return s.starts(ctx, func() error {
		return s.change(ctx, "reboot", map[string]any{"type": "SOFT"}, api.Active())
	})
}

func (s *Session) rebootHard(ctx context.Context) error {
	return s.starts(ctx, func() error {
		return s.change(ctx, "reboot", hard, api.Active())
	})
}

func (s *Session) stop(ctx context.Context) error {
	if err := s.listening(ctx); err != nil {
		return err
	}
	return s.change(ctx, "os-stop", nil, stopped)
}

func (s *Session) start(ctx context.Context) error {
	return s.change(ctx, "os-start", nil, api.Active())
}

// listening waits until the guest has booted so far that it powers off when
// asked to.
func (s *Session) listening(ctx context.Context) error {
	id, err := s.guest(ctx)
	if err != nil {
		return err
	}
	return s.Sees(ctx, id, `guest: tick \d+`)
}

func (s *Session) lockUnlock(ctx context.Context) error {
	for _, action := range []string{"lock", "unlock"} {
		if err := s.change(ctx, action, nil, api.Active()); err != nil {
			return fmt.Errorf("%s: %w", action, err)
		}
	}
	return nil
}

// starts makes sure that an operation starts the guest's domain anew.
func (s *Session) starts(ctx context.Context, operation func() error) error {
	id, err := s.guest(ctx)
	if err != nil {
		return err
	}
	before, err := virsh(ctx, "domid", id)
	if err != nil {
		return err
	}
	if err := operation(); err != nil {
		return err
	}
	after, err := virsh(ctx, "domid", id)
	if err == nil && after == before {
		err = fmt.Errorf("the domain was not started anew: its number is still %s", strings.TrimSpace(after))
	}
	return err
}
