package ops

import (
	"context"
	"fmt"
	"os/exec"
	"strconv"

	"bolide/test/hosts"
	"bolide/test/openstack/api"
	"bolide/test/openstack/ground"
)

// live is a live migration to a host; nil lets the scheduler choose.
func live(to *hosts.Host) turn {
	arg := map[string]any{"host": nil, "block_migration": "auto"}
	if to != nil {
		arg["host"] = to.Name
	}
	return turn{"os-migrateLive", arg, api.Active()}
}

// onTraveller lends a guest that runs on the first of the two hosts and tells the
// time, for what leaves it there.
func (s *Session) onTraveller(ctx context.Context, use func(p *ground.Pair, v api.Server) error) error {
	p, err := s.twoHosts(ctx)
	if err != nil {
		return err
	}
	if s.traveller == "" {
		v, err := s.Boot(ctx, "traveller", api.Options{"host": p.One.Name})
		if err != nil {
			return err
		}
		s.traveller = v.ID
	}
	v, err := s.Show(ctx, s.traveller)
	if err != nil {
		return err
	}
	return use(p, v)
}

// liveThereAndBack: the guest goes on where it was interrupted, and can be reached
// wherever it is.
func (s *Session) liveThereAndBack(ctx context.Context) error {
	return s.onTraveller(ctx, func(p *ground.Pair, v api.Server) error {
		for _, h := range []*hosts.Host{p.Two, p.One} {
			before, err := s.ticks(ctx, v.ID)
			if err != nil {
				return err
			}
			if err := s.movesTo(ctx, v.ID, h, live(h)); err != nil {
				return fmt.Errorf("to %s: %w", h.Name, err)
			}
			if err := s.reachable(ctx, v); err != nil {
				return fmt.Errorf("on %s: %w", h.Name, err)
			}
			if err := s.ticksOn(ctx, v.ID, before); err != nil {
				return fmt.Errorf("on %s: %w", h.Name, err)
			}
		}
		return nil
	})
}

// ticks returns the last number that the guest has counted to.
func (s *Session) ticks(ctx context.Context, id string) (int, error) {
	said, err := s.Console(ctx, id, `guest: tick (\d+)`)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(said)
}

// ticksOn waits until the guest has counted further.
func (s *Session) ticksOn(ctx context.Context, id string, before int) error {
	return api.Until(ctx, movedTimeout, func(ctx context.Context) (bool, error) {
		now, err := s.ticks(ctx, id)
		if err == nil && now <= before {
			err = fmt.Errorf("the guest has counted to %d, and to %d before", now, before)
		}
		return err == nil, err
	})
}

// reachable waits until the guest answers at its address, from the network's DHCP
// server.
func (s *Session) reachable(ctx context.Context, v api.Server) error {
	return api.Until(ctx, movedTimeout, func(ctx context.Context) (bool, error) {
		out, err := exec.CommandContext(ctx, "ip", "netns", "exec", "qdhcp-"+s.Network,
			"busybox", "ping", "-c", "1", "-W", "2", v.Address()).CombinedOutput()
		if err != nil {
			return false, fmt.Errorf("ping %s: %s: %w", v.Address(), out, err)
		}
		return true, nil
	})
}

// liveAborted: a guest whose user thinks better of its move stays where it is.
func (s *Session) liveAborted(ctx context.Context) error {
	return s.onTraveller(ctx, func(p *ground.Pair, v api.Server) error {
		if _, err := s.ticks(ctx, v.ID); err != nil { // it has booted: its memory is full of what there is to copy
			return err
		}
		if _, err := virshAt(ctx, p.One.URI(), "migrate-setspeed", v.ID, "1"); err != nil { // MiB/s
			return err
		}
		t := live(p.Two)
		if err := s.Act(ctx, v.ID, t.action, t.arg, nil); err != nil {
			return err
		}
		under, err := s.lastMigration(ctx, v.ID, "running")
		if err != nil {
			return err
		}
		if err := s.Delete(ctx, fmt.Sprintf("%s/migrations/%d", api.ServerURL(v.ID), under.ID)); err != nil {
			return err
		}
		if _, err := s.lastMigration(ctx, v.ID, "cancelled"); err != nil {
			return err
		}
		if _, err := s.Wait(ctx, v.ID, api.Active()); err != nil {
			return err
		}
		if err := s.isAt(ctx, v.ID, p.One, running); err != nil {
			return err
		}
		s.traveller = ""
		return s.dropCleanly(ctx, v.ID)
	})
}

// lastMigration waits until a guest's newest move has come to a state.
func (s *Session) lastMigration(ctx context.Context, id, status string) (last migration, err error) {
	err = api.Until(ctx, changeTimeout, func(ctx context.Context) (bool, error) {
		all, err := s.migrations(ctx, id)
		if err != nil {
			return true, err
		}
		if len(all) > 0 {
			last = all[0]
		}
		if last.Status != status {
			return false, fmt.Errorf("the move is %q, want %s", last.Status, status)
		}
		return true, nil
	})
	return last, err
}

// liveScheduled: the scheduler finds the host to go to.
func (s *Session) liveScheduled(ctx context.Context) error {
	return s.onTheWay(ctx, "scheduled", func(p *ground.Pair, id string) error {
		return s.movesTo(ctx, id, p.Two, live(nil))
	})
}

// liveBothWays: each host sends and takes.
func (s *Session) liveBothWays(ctx context.Context) error {
	return s.onTheWay(ctx, "both-ways", func(p *ground.Pair, id string) error {
		for _, h := range []*hosts.Host{p.Two, p.One} {
			if err := s.movesTo(ctx, id, h, live(h)); err != nil {
				return fmt.Errorf("to %s: %w", h.Name, err)
			}
		}
		return nil
	})
}
