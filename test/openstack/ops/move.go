package ops

import (
	"context"
	"fmt"
	"time"

	"bolide/test/openstack/api"
)

func (s *Session) resize(ctx context.Context) error {
	flavor, err := s.addFlavor(ctx, api.Options{"ram": 256, "vcpus": 2, "disk": 2})
	if err != nil {
		return err
	}
	return s.change(ctx, "resize", map[string]any{"flavorRef": flavor}, resized)
}

func (s *Session) confirmResize(ctx context.Context) error {
	if err := s.change(ctx, "confirmResize", nil, api.Active()); err != nil {
		return err
	}
	return s.Sees(ctx, s.server, `guest: cpus=2`, `guest: disk vda bytes=2147483648`)
}

func (s *Session) resizeBackAndRevert(ctx context.Context) error {
	return s.withFlavor(ctx, api.Options{"ram": 320, "vcpus": 1, "disk": 2}, func(flavor string) error {
		if err := s.change(ctx, "resize", map[string]any{"flavorRef": flavor}, resized); err != nil {
			return err
		}
		if err := s.change(ctx, "revertResize", nil, api.Active()); err != nil {
			return err
		}
		v, err := s.Show(ctx, s.server)
		if err == nil && v.Flavor.RAM == 320 {
			err = fmt.Errorf("the guest still has the flavor of the resize: %+v", v.Flavor)
		}
		return err
	})
}

func (s *Session) shelve(ctx context.Context) error {
	return s.change(ctx, "shelve", nil, offloaded)
}

func (s *Session) unshelve(ctx context.Context) error {
	if err := s.change(ctx, "unshelve", nil, api.Active()); err != nil {
		return err
	}
	return s.Sees(ctx, s.server, `guest: ready`)
}

// setAdminPassword: there is no agent in the guest, so that Nova's API must
// refuse, and the guest must be as before.
func (s *Session) setAdminPassword(ctx context.Context) error {
	id, err := s.guest(ctx)
	if err != nil {
		return err
	}
	if err := s.Act(ctx, id, "changePassword", map[string]any{"adminPass": "secret"}, nil); err != nil && !refused(err) {
		return err
	}
	// The refusal may come before the task is reset.
	return api.Until(ctx, 20*time.Second, func(ctx context.Context) (bool, error) {
		_, err := s.Wait(ctx, id, api.Active())
		return err == nil, err
	})
}
