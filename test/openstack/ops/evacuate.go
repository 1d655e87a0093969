package ops

import (
	"context"
	"errors"

	"bolide/test/openstack/api"
	"bolide/test/openstack/ground"
)

// evacuated: a guest whose host has died runs again on the other one; when its host
// comes back, that removes what it still has of the guest.
func (s *Session) evacuated(ctx context.Context) error {
	return s.onTheWay(ctx, "evacuated", func(p *ground.Pair, id string) error {
		if err := p.Die(p.One); err != nil {
			return err
		}
		return errors.Join(s.evacuate(ctx, p, id), s.comesBack(ctx, p, id))
	})
}

func (s *Session) evacuate(ctx context.Context, p *ground.Pair, id string) error {
	if err := s.setService(ctx, p.One.Name, map[string]any{"forced_down": true}); err != nil {
		return err
	}
	if err := s.changeOf(ctx, id, turn{"evacuate", map[string]any{"host": p.Two.Name}, api.Active()}); err != nil {
		return err
	}
	return s.boots(ctx, id)
}

// comesBack starts the host again. Nova takes it for alive only when it has removed
// the guests that were evacuated from it.
func (s *Session) comesBack(ctx context.Context, p *ground.Pair, id string) error {
	if err := p.Return(ctx, p.One); err != nil {
		return err
	}
	err := api.Until(ctx, movedTimeout, func(ctx context.Context) (bool, error) {
		err := s.setService(ctx, p.One.Name, map[string]any{"forced_down": false})
		return err == nil, err
	})
	if err != nil {
		return err
	}
	return errors.Join(s.isAt(ctx, id, p.Two, running), p.WaitUp(ctx, p.One))
}
