package ops

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"bolide/test/openstack/api"
)

// port is one of Neutron's.
type port struct {
	ID       string
	Device   string `json:"device_id"`
	FixedIPs []struct {
		Address string `json:"ip_address"`
	} `json:"fixed_ips"`
}

func (s *Session) addPort(ctx context.Context, o api.Options) (port, error) {
	body := api.Options{"network_id": s.Network}
	for k, v := range o {
		body[k] = v
	}
	var made struct{ Port port }
	err := s.Post(ctx, api.Network+"/ports", map[string]any{"port": body}, &made)
	return made.Port, err
}

func (s *Session) showPort(ctx context.Context, id string) (port, error) {
	var found struct{ Port port }
	err := s.Get(ctx, api.Network+"/ports/"+id, &found)
	return found.Port, err
}

func (s *Session) dropPort(ctx context.Context, id string) error {
	return s.Delete(ctx, api.Network+"/ports/"+id)
}

// addresses waits until Nova says that a guest has this many.
func (s *Session) addresses(ctx context.Context, id string, want int) (found []string, err error) {
	err = api.Until(ctx, time.Minute, func(ctx context.Context) (bool, error) {
		v, err := s.Show(ctx, id)
		if err != nil {
			return true, err
		}
		found = nil
		for _, list := range v.Addresses {
			for _, a := range list {
				found = append(found, a.Addr)
			}
		}
		if len(found) != want {
			return false, fmt.Errorf("guest has addresses %v, want %d", found, want)
		}
		return true, nil
	})
	return found, err
}

// fixedIP: a guest's port gets one more address, and loses it again.
func (s *Session) fixedIP(ctx context.Context) error {
	old := s.At("2.1") // newer ones leave it to Neutron
	return s.onSpare(ctx, func(id string) error {
		before, err := s.addresses(ctx, id, 1)
		if err != nil {
			return err
		}
		if err := old.Act(ctx, id, "addFixedIp", map[string]any{"networkId": s.Network}, nil); err != nil {
			return err
		}
		both, err := s.addresses(ctx, id, 2)
		if err != nil {
			return err
		}
		added := slices.DeleteFunc(both, func(a string) bool { return a == before[0] })
		if err := old.Act(ctx, id, "removeFixedIp", map[string]any{"address": added[0]}, nil); err != nil {
			return err
		}
		after, err := s.addresses(ctx, id, 1)
		if err == nil && after[0] != before[0] {
			err = fmt.Errorf("address is %s, was %s", after[0], before[0])
		}
		return err
	})
}

// buildWithPort: a guest uses the port that its user made, with the address the
// user chose, and leaves it to the user.
func (s *Session) buildWithPort(ctx context.Context) error {
	p, err := s.addPort(ctx, api.Options{"fixed_ips": []any{map[string]any{"ip_address": "10.77.0.210"}}})
	if err != nil {
		return err
	}
	id, err := s.requestSmall(ctx, "own-port", api.Options{"networks": []any{map[string]any{"port": p.ID}}})
	if err != nil {
		return err
	}
	v, err := s.Wait(ctx, id, api.Active())
	if err != nil {
		return err
	}
	if v.Address() != "10.77.0.210" {
		return fmt.Errorf("address is %s", v.Address())
	}
	if err := s.Drop(ctx, id); err != nil {
		return err
	}
	if p, err = s.showPort(ctx, p.ID); err == nil && p.Device != "" {
		err = fmt.Errorf("port is still %s's", p.Device)
	}
	return errors.Join(err, s.leavesNothing(ctx, id, []string{p.ID}), s.dropPort(ctx, p.ID))
}

// attachByPortAndAddress: an interface is attached by the user's own port, and
// with an address that the user chose.
func (s *Session) attachByPortAndAddress(ctx context.Context) error {
	p, err := s.addPort(ctx, nil)
	if err != nil {
		return err
	}
	err = s.withSmall(ctx, "attach", nil, func(id string) error {
		if _, err := s.attach(ctx, id, map[string]any{"port_id": p.ID}); err != nil {
			return err
		}
		chosen := map[string]any{"net_id": s.Network, "fixed_ips": []any{map[string]any{"ip_address": "10.77.0.211"}}}
		made, err := s.attach(ctx, id, chosen)
		if err != nil {
			return err
		}
		all, err := s.addresses(ctx, id, 3)
		if err != nil {
			return err
		}
		if !slices.Contains(all, "10.77.0.211") || !slices.Contains(all, p.FixedIPs[0].Address) {
			return fmt.Errorf("addresses are %v", all)
		}
		return errors.Join(s.hasTap(ctx, id, p.ID, true), s.hasTap(ctx, id, made, true))
	})
	return errors.Join(err, s.dropPort(ctx, p.ID)) // which a delete leaves to the user
}

// attachWhileStopped: what is attached to and detached from a guest that is off,
// it has and has not when it starts.
func (s *Session) attachWhileStopped(ctx context.Context) error {
	return s.withSmall(ctx, "attach-stopped", nil, func(id string) error {
		first, err := s.portsOf(ctx, id)
		if err != nil {
			return err
		}
		if err := s.changeOf(ctx, id, turn{"os-stop", nil, stopped}); err != nil {
			return err
		}
		second, err := s.attach(ctx, id, map[string]any{"net_id": s.Network})
		if err != nil {
			return err
		}
		if err := s.detach(ctx, id, first[0]); err != nil {
			return err
		}
		if err := s.changeOf(ctx, id, turn{"os-start", nil, api.Active()}); err != nil {
			return err
		}
		return errors.Join(s.hasTap(ctx, id, second, true), s.hasTap(ctx, id, first[0], false))
	})
}

// portDeletedInNeutron: a port that is deleted behind Nova's back leaves the
// running guest as well.
func (s *Session) portDeletedInNeutron(ctx context.Context) error {
	return s.With(ctx, "port-deleted", nil, func(v api.Server) error {
		id := v.ID
		if err := s.Sees(ctx, id, `guest: ready`); err != nil { // or it does not let go of a card
			return err
		}
		second, err := s.attach(ctx, id, map[string]any{"net_id": s.Network})
		if err != nil {
			return err
		}
		if err := s.dropPort(ctx, second); err != nil {
			return err
		}
		if _, err := s.addresses(ctx, id, 1); err != nil {
			return err
		}
		return api.Until(ctx, time.Minute, func(ctx context.Context) (bool, error) {
			err := s.hasTap(ctx, id, second, false)
			return err == nil, err
		})
	})
}
