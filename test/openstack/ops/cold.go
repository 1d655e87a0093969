package ops

import (
	"context"
	"errors"
	"fmt"

	"bolide/test/hosts"
	"bolide/test/openstack/api"
	"bolide/test/openstack/ground"
)

// Cold migrations: the guest is off while its disks are copied.

func cold(to *hosts.Host, want api.State) turn {
	return turn{"migrate", map[string]any{"host": to.Name}, want}
}

func confirm(want api.State) turn { return turn{"confirmResize", nil, want} }

func revert() turn { return turn{"revertResize", nil, api.Active()} }

// coldConfirmed: each host sends and takes.
func (s *Session) coldConfirmed(ctx context.Context) error {
	return s.onTheWay(ctx, "cold", func(p *ground.Pair, id string) error {
		for _, h := range []*hosts.Host{p.Two, p.One} {
			if err := s.movesTo(ctx, id, h, cold(h, resized), confirm(api.Active())); err != nil {
				return fmt.Errorf("to %s: %w", h.Name, err)
			}
			if err := s.boots(ctx, id); err != nil {
				return fmt.Errorf("on %s: %w", h.Name, err)
			}
		}
		return nil
	})
}

// coldReverted: the guest is back as if it had never been away.
func (s *Session) coldReverted(ctx context.Context) error {
	return s.onTheWay(ctx, "reverted", func(p *ground.Pair, id string) error {
		return s.movesTo(ctx, id, p.One, cold(p.Two, resized), revert())
	})
}

// coldStopped: a guest that is off is moved, and stays off.
func (s *Session) coldStopped(ctx context.Context) error {
	return s.onTheWay(ctx, "off", func(p *ground.Pair, id string) error {
		err := s.changeOf(ctx, id, turn{"os-stop", nil, stopped}, cold(p.Two, aside), confirm(stopped))
		if err != nil {
			return err
		}
		if err := s.isAt(ctx, id, p.Two, shutOff); err != nil {
			return err
		}
		return s.movesTo(ctx, id, p.Two, turn{"os-start", nil, api.Active()})
	})
}

// resizeElsewhere: another flavor, and another host because this one takes no more.
func (s *Session) resizeElsewhere(ctx context.Context) error {
	return s.withFlavor(ctx, api.Options{"ram": 96, "vcpus": 2, "disk": 2}, func(more string) error {
		return s.onTheWay(ctx, "resized", func(p *ground.Pair, id string) error {
			if err := s.setService(ctx, p.One.Name, map[string]any{"status": "disabled"}); err != nil {
				return err
			}
			err := s.movesTo(ctx, id, p.Two, turn{"resize", map[string]any{"flavorRef": more}, resized}, confirm(api.Active()))
			if err = errors.Join(err, s.setService(ctx, p.One.Name, map[string]any{"status": "enabled"})); err != nil {
				return err
			}
			v, err := s.Show(ctx, id)
			if err == nil && (v.Flavor.RAM != 96 || v.Flavor.VCPUs != 2 || v.Flavor.Disk != 2) {
				err = fmt.Errorf("flavor is %+v", v.Flavor)
			}
			return err
		})
	})
}

// unshelveElsewhere: a guest that was put away is taken out on another host.
func (s *Session) unshelveElsewhere(ctx context.Context) error {
	return s.onTheWay(ctx, "unshelved", func(p *ground.Pair, id string) error {
		err := s.movesTo(ctx, id, p.Two, turn{"shelve", nil, offloaded},
			turn{"unshelve", map[string]any{"host": p.Two.Name}, api.Active()})
		if err != nil {
			return err
		}
		return s.boots(ctx, id)
	})
}
