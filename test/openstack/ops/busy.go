package ops

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"golang.org/x/sync/errgroup"

	"bolide/test/openstack/api"
)

// together does things at once and returns how each ended.
func together(things ...func() error) []error {
	ended := make([]error, len(things))
	var g errgroup.Group
	for i, do := range things {
		g.Go(func() error {
			ended[i] = do()
			return nil
		})
	}
	_ = g.Wait() // nothing returns an error there
	return ended
}

// twoAtOnce: of operations asked at once, those that Nova's API takes happen one
// after the other, and afterwards Nova and libvirt agree on the guest.
func (s *Session) twoAtOnce(ctx context.Context) error {
	return s.onSpare(ctx, func(id string) error {
		asked := []string{"pause", "suspend"}
		taken := 0
		for _, err := range together(
			func() error { return s.Act(ctx, id, asked[0], nil, nil) },
			func() error { return s.Act(ctx, id, asked[1], nil, nil) },
		) {
			if err == nil {
				taken++
			} else if !refused(err) && !lostRace(err) {
				return err
			}
		}
		if taken == 0 {
			return errors.New("pause and suspend were both refused")
		}
		if err := s.haveEnded(ctx, id, asked, taken); err != nil {
			return err
		}
		if err := s.agrees(ctx, id); err != nil {
			return err
		}
		if err := s.changeOf(ctx, id, turn{"reboot", hard, api.Active()}); err != nil {
			return err
		}
		return s.attachTwiceAndReboot(ctx, id)
	})
}

// lostRace says whether another request reached the instance's record after Nova's
// API had read it and before it wrote: it has no better answer to that than an error
// of its own.
func lostRace(err error) bool {
	var unexpected gophercloud.ErrUnexpectedResponseCode
	return errors.As(err, &unexpected) && unexpected.Actual == http.StatusInternalServerError &&
		bytes.Contains(unexpected.Body, []byte("UnexpectedTaskStateError"))
}

// haveEnded waits until this many actions of these names have ended, however.
func (s *Session) haveEnded(ctx context.Context, id string, names []string, want int) error {
	return api.Until(ctx, changeTimeout, func(ctx context.Context) (bool, error) {
		list, err := s.actions(ctx, id)
		if err != nil {
			return true, err
		}
		ended := 0
		for _, a := range list {
			if !slices.Contains(names, a.Action) {
				continue
			}
			if a, err = s.action(ctx, id, a.Request); err != nil {
				return true, err
			}
			if len(a.Events) > 0 && a.Events[0].Result != "" {
				ended++
			}
		}
		if ended < want {
			return false, fmt.Errorf("%d of %d operations have ended", ended, want)
		}
		return true, nil
	})
}

// agrees makes sure that Nova has a guest in the state that libvirt has it in, with
// no task under way.
func (s *Session) agrees(ctx context.Context, id string) error {
	return api.Until(ctx, changeTimeout, func(ctx context.Context) (bool, error) {
		v, err := s.Show(ctx, id)
		if err != nil {
			return true, err
		}
		domain, err := virsh(ctx, "domstate", id)
		if err != nil {
			return true, err
		}
		powers := map[string]int{"running": api.Running, "paused": api.Paused, "shut off": api.Shutdown}
		if v.Task != "" || v.Power != powers[strings.TrimSpace(domain)] {
			return false, fmt.Errorf("server is %s, task %q, power %d; libvirt's domain is %s", v.Status, v.Task, v.Power, domain)
		}
		return true, nil
	})
}

// attachTwiceAndReboot: whichever of them come first, the guest ends with as many
// interfaces as it was promised.
func (s *Session) attachTwiceAndReboot(ctx context.Context, id string) error {
	before, err := s.portsOf(ctx, id)
	if err != nil {
		return err
	}
	want := len(before)
	attach := func() error {
		_, err := s.attach(ctx, id, map[string]any{"net_id": s.Network})
		return err
	}
	ended := together(attach, attach, func() error { return s.Act(ctx, id, "reboot", hard, nil) })
	for _, err := range ended[:2] {
		if err == nil {
			want++
		} else if !refused(err) && !lostRace(err) {
			return err
		}
	}
	if err := ended[2]; err != nil && !refused(err) && !lostRace(err) {
		return err
	}
	if err := s.settled(ctx, id, api.Active()); err != nil {
		return err
	}
	ports, err := s.portsOf(ctx, id)
	if err != nil {
		return err
	}
	if len(ports) != want {
		return fmt.Errorf("%d ports, want %d", len(ports), want)
	}
	for _, p := range ports {
		if err := s.hasTap(ctx, id, p, true); err != nil {
			return err
		}
	}
	return nil
}

// burstTimeout bounds the wait for the last of many guests that are built at once.
const burstTimeout = 10 * time.Minute

// burst: twenty guests of one request come up, and go, at once.
func (s *Session) burst(ctx context.Context) error {
	const count = 20
	first, err := s.requestSmall(ctx, "burst", api.Options{"min_count": count})
	if err != nil {
		return err
	}
	var list struct{ Servers []struct{ ID, Name string } }
	if err := s.Get(ctx, api.Compute+"/servers?name=^burst-", &list); err != nil {
		return err
	}
	if len(list.Servers) != count {
		return fmt.Errorf("%d guests were made along with %s, want %d", len(list.Servers), first, count)
	}
	var ids []string
	var errs []error
	for _, v := range list.Servers {
		ids = append(ids, v.ID)
		errs = append(errs, api.Until(ctx, burstTimeout, func(ctx context.Context) (bool, error) {
			v, err := s.Show(ctx, v.ID)
			if err != nil {
				return true, err
			}
			return v.Reached(api.Active())
		}))
	}
	return errors.Join(append(errs, s.dropCleanly(ctx, ids...))...)
}

// deleteInEveryState: a guest can be deleted whatever it does, and leaves nothing.
func (s *Session) deleteInEveryState(ctx context.Context) error {
	bigger, err := s.addFlavor(ctx, api.Options{"ram": 80, "vcpus": 1, "disk": 1})
	if err != nil {
		return err
	}
	states := map[string][]turn{
		"paused":    {{"pause", nil, paused}},
		"suspended": {{"suspend", nil, suspended}},
		"stopped":   {{"os-stop", nil, stopped}},
		"rescued":   {{"rescue", map[string]any{}, rescued}},
		"resized":   {{"resize", map[string]any{"flavorRef": bigger}, resized}},
		"shelved":   {{"shelve", nil, offloaded}},
		"active":    nil,
	}
	var ids []string
	var g errgroup.Group
	for name, turns := range states {
		id, err := s.requestSmall(ctx, "delete-"+name, nil)
		if err != nil {
			return err
		}
		ids = append(ids, id)
		g.Go(func() error {
			if _, err := s.Wait(ctx, id, api.Active()); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			if err := s.changeOf(ctx, id, turns...); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			if name != "active" {
				return nil
			}
			return s.Act(ctx, id, "os-resetState", map[string]any{"state": "error"}, nil)
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	building, err := s.requestSmall(ctx, "delete-building", nil)
	if err != nil {
		return err
	}
	return errors.Join(s.dropCleanly(ctx, append(ids, building)...), s.Delete(ctx, api.Compute+"/flavors/"+bigger))
}
