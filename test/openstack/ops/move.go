package ops

import (
	"context"
	"time"
)

var resized = state{"VERIFY_RESIZE", running}

func (s *Session) resize(ctx context.Context) error {
	flavor, err := s.addFlavor(ctx, options{"ram": 256, "vcpus": 2, "disk": 2})
	if err != nil {
		return err
	}
	return s.change(ctx, "resize", map[string]any{"flavorRef": flavor}, resized)
}

func (s *Session) confirmResize(ctx context.Context) error {
	if err := s.change(ctx, "confirmResize", nil, active); err != nil {
		return err
	}
	return s.sees(ctx, s.server, `guest: cpus=2`, `guest: disk vda bytes=2147483648`)
}

func (s *Session) resizeBackAndRevert(ctx context.Context) error {
	return s.withFlavor(ctx, options{"ram": 320, "vcpus": 1, "disk": 2}, func(flavor string) error {
		if err := s.change(ctx, "resize", map[string]any{"flavorRef": flavor}, resized); err != nil {
			return err
		}
		return s.change(ctx, "revertResize", nil, active)
	})
}

func (s *Session) shelve(ctx context.Context) error {
	return s.change(ctx, "shelve", nil, state{"SHELVED_OFFLOADED", shutdown})
}

func (s *Session) unshelve(ctx context.Context) error {
	if err := s.change(ctx, "unshelve", nil, active); err != nil {
		return err
	}
	return s.sees(ctx, s.server, `guest: ready`)
}

// setAdminPassword: there is no agent in the guest, so that Nova's API must
// refuse, and the guest must be as before.
func (s *Session) setAdminPassword(ctx context.Context) error {
	id, err := s.guest(ctx)
	if err != nil {
		return err
	}
	if err := s.act(ctx, id, "changePassword", map[string]any{"adminPass": "secret"}, nil); err != nil && !refused(err) {
		return err
	}
	// The refusal may come before the task is reset.
	return until(ctx, 20*time.Second, func(ctx context.Context) (bool, error) {
		_, err := s.wait(ctx, id, active)
		return err == nil, err
	})
}
