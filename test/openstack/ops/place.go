package ops

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"bolide/test/openstack/api"
	"bolide/test/openstack/ground"
)

// withAggregate makes a host aggregate of the one host, for use.
func (s *Session) withAggregate(ctx context.Context, use func(url string) error) error {
	var made struct{ Aggregate struct{ ID int } }
	if err := s.Post(ctx, api.Compute+"/os-aggregates", map[string]any{"aggregate": map[string]any{"name": "ops"}}, &made); err != nil {
		return err
	}
	url := fmt.Sprintf("%s/os-aggregates/%d", api.Compute, made.Aggregate.ID)
	host := func(verb string) error {
		return s.Post(ctx, url+"/action", map[string]any{verb: map[string]any{"host": ground.HostName}}, nil)
	}
	if err := host("add_host"); err != nil {
		return err
	}
	return errors.Join(use(url), host("remove_host"), s.Delete(ctx, url))
}

// refusedBuild makes sure that a guest is not built, and that its user is told why.
func (s *Session) refusedBuild(ctx context.Context, name string, o api.Options, why string) error {
	id, err := s.requestSmall(ctx, name, o)
	if err != nil {
		return err
	}
	v, err := s.Wait(ctx, id, faulty)
	if err == nil && !strings.Contains(v.Fault.Message, why) {
		err = fmt.Errorf("fault is %q, want one with %q", v.Fault.Message, why)
	}
	return errors.Join(err, s.dropCleanly(ctx, id))
}

// antiAffinity: guests that must be apart do not share the one host, neither when
// the scheduler is asked nor when it is told where they go.
func (s *Session) antiAffinity(ctx context.Context) error {
	var made struct {
		Group struct{ ID string } `json:"server_group"`
	}
	err := s.Post(ctx, api.Compute+"/os-server-groups",
		map[string]any{"server_group": map[string]any{"name": "apart", "policy": "anti-affinity"}}, &made)
	if err != nil {
		return err
	}
	apart := api.Options{api.Hints: map[string]any{"group": made.Group.ID}}
	here := api.Options{api.Hints: apart[api.Hints], "availability_zone": "nova:" + ground.HostName}
	err = s.withSmall(ctx, "apart-a", here, func(string) error {
		if err := s.refusedBuild(ctx, "apart-b", apart, "No valid host"); err != nil {
			return fmt.Errorf("the scheduler chooses: %w", err)
		}
		if err := s.refusedBuild(ctx, "apart-c", here, ""); err != nil {
			return fmt.Errorf("the host is given: %w", err)
		}
		return nil
	})
	return errors.Join(err, s.Delete(ctx, api.Compute+"/os-server-groups/"+made.Group.ID))
}

// disabled is the trait of hosts that take no guests.
const disabled = "COMPUTE_STATUS_DISABLED"

// disableHost: a host that is disabled takes no guests, and says so to Placement.
func (s *Session) disableHost(ctx context.Context) error {
	if err := s.setHost(ctx, "disabled"); err != nil {
		return err
	}
	err := s.hasTrait(ctx, true)
	if err == nil {
		err = s.refusedBuild(ctx, "nowhere", nil, "No valid host")
	}
	if err := errors.Join(err, s.setHost(ctx, "enabled"), s.hasTrait(ctx, false)); err != nil {
		return err
	}
	return s.withSmall(ctx, "somewhere", nil, func(string) error { return nil })
}

func (s *Session) setHost(ctx context.Context, status string) error {
	return s.setService(ctx, ground.HostName, map[string]any{"status": status})
}

// setService changes what Nova holds of a host's compute service.
func (s *Session) setService(ctx context.Context, host string, change map[string]any) error {
	var found struct{ Services []struct{ ID string } }
	if err := s.Get(ctx, api.Compute+"/os-services?binary=nova-compute&host="+host, &found); err != nil {
		return err
	}
	if len(found.Services) != 1 {
		return fmt.Errorf("%d compute services are on %s", len(found.Services), host)
	}
	return s.Put(ctx, api.Compute+"/os-services/"+found.Services[0].ID, change, nil)
}

// provider returns the ID of Placement's provider of a host.
func (s *Session) provider(ctx context.Context, host string) (string, error) {
	var found struct {
		Providers []struct{ UUID string } `json:"resource_providers"`
	}
	if err := s.Get(ctx, api.Placement+"/resource_providers?name="+host, &found); err != nil {
		return "", err
	}
	if len(found.Providers) != 1 {
		return "", fmt.Errorf("%d resource providers are named %s", len(found.Providers), host)
	}
	return found.Providers[0].UUID, nil
}

// hasTrait waits until Placement's provider of the host is disabled, or is not.
func (s *Session) hasTrait(ctx context.Context, want bool) error {
	provider, err := s.provider(ctx, ground.HostName)
	if err != nil {
		return err
	}
	return api.Until(ctx, 30*time.Second, func(ctx context.Context) (bool, error) {
		var has struct{ Traits []string }
		if err := s.Get(ctx, api.Placement+"/resource_providers/"+provider+"/traits", &has); err != nil {
			return true, err
		}
		if slices.Contains(has.Traits, disabled) != want {
			return false, fmt.Errorf("provider with %s: %v, want %v", disabled, !want, want)
		}
		return true, nil
	})
}

// movesAreRefused: with one host there is nowhere to go; the guest stays as it was.
func (s *Session) movesAreRefused(ctx context.Context) error {
	return s.onSpare(ctx, func(id string) error {
		if err := s.Act(ctx, id, "evacuate", map[string]any{}, nil); !badRequest(err) {
			return fmt.Errorf("evacuation from a host that is up: %w", err)
		}
		return errors.Join(
			s.fails(ctx, id, turn{"os-migrateLive", map[string]any{"host": nil, "block_migration": "auto"}, api.Active()}),
			s.fails(ctx, id, turn{"migrate", nil, api.Active()}),
		)
	})
}
