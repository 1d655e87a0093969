package ops

import (
	"context"
	"fmt"
	"slices"

	"bolide/test/openstack/api"
)

// action is one of the instance actions that Nova's API tells of: what was asked
// of a guest, and how its parts ended.
type action struct {
	Action  string
	Request string `json:"request_id"`
	Message string // not empty when it failed
	Events  []struct{ Event, Result string }
}

// actions returns a guest's actions, the newest first, without their events.
func (s *Session) actions(ctx context.Context, id string) ([]action, error) {
	var list struct {
		Actions []action `json:"instanceActions"`
	}
	err := s.Get(ctx, api.ServerURL(id)+"/os-instance-actions", &list)
	return list.Actions, err
}

// action returns one of a guest's actions, with its events.
func (s *Session) action(ctx context.Context, id, request string) (action, error) {
	var one struct {
		Action action `json:"instanceAction"`
	}
	err := s.Get(ctx, api.ServerURL(id)+"/os-instance-actions/"+request, &one)
	return one.Action, err
}

// lastActionEnded says whether all parts of the guest's newest action ended, and
// which of them failed or goes on.
func (s *Session) lastActionEnded(ctx context.Context, id string) (bool, error) {
	list, err := s.actions(ctx, id)
	if err != nil {
		return true, err
	}
	if len(list) == 0 {
		return true, fmt.Errorf("server %s has no actions", id)
	}
	a, err := s.action(ctx, id, list[0].Request)
	if err != nil {
		return true, err
	}
	if a.Message != "" {
		return true, fmt.Errorf("%s failed: %s, %+v", a.Action, a.Message, a.Events)
	}
	for _, e := range a.Events {
		if e.Result == "" {
			return false, fmt.Errorf("%s of %s has not ended", e.Event, a.Action)
		}
		if e.Result != "Success" {
			return true, fmt.Errorf("%s of %s ended with %s", e.Event, a.Action, e.Result)
		}
	}
	return true, nil
}

// actionsRecorded: what was done to the guest is to be read in Nova's API.
func (s *Session) actionsRecorded(ctx context.Context) error {
	id, err := s.guest(ctx)
	if err != nil {
		return err
	}
	list, err := s.actions(ctx, id)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(list, func(a action) bool { return a.Action == "create" })
	if i < 0 {
		return fmt.Errorf("no create among %d actions", len(list))
	}
	a, err := s.action(ctx, id, list[i].Request)
	if err != nil {
		return err
	}
	const built = "compute__do_build_and_run_instance"
	for _, e := range a.Events {
		if e.Event == built && e.Result == "Success" {
			return nil
		}
	}
	return fmt.Errorf("no success of %s in %+v", built, a.Events)
}

// everyActionEnded: all that was done to the small guest before is to be read in
// Nova's API, and every part of it has succeeded.
func (s *Session) everyActionEnded(ctx context.Context) error {
	return s.onSpare(ctx, func(id string) error {
		list, err := s.actions(ctx, id)
		if err != nil {
			return err
		}
		for _, a := range list {
			if a, err = s.action(ctx, id, a.Request); err != nil {
				return err
			}
			for _, e := range a.Events {
				if e.Result != "Success" {
					return fmt.Errorf("%s of %s ended with %q", e.Event, a.Action, e.Result)
				}
			}
		}
		return nil
	})
}
