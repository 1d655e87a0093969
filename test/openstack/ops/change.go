package ops

import (
	"context"
	"fmt"
	"time"

	"bolide/test/openstack/api"
)

// changeTimeout bounds one change of a guest; the slowest wait for it to power
// off, or to be copied.
const changeTimeout = 150 * time.Second

// turn is an action on a guest and the state that it leads to.
type turn struct {
	action string
	arg    any
	want   api.State
}

// States besides api.Active.
var (
	paused    = api.State{Status: "PAUSED", Power: api.Paused}
	suspended = api.State{Status: "SUSPENDED", Power: api.Shutdown}
	stopped   = api.State{Status: "SHUTOFF", Power: api.Shutdown}
	rescued   = api.State{Status: "RESCUE", Power: api.Running}
	resized   = api.State{Status: "VERIFY_RESIZE", Power: api.Running}  // its owner has yet to confirm
	aside     = api.State{Status: "VERIFY_RESIZE", Power: api.Shutdown} // it was off before
	offloaded = api.State{Status: "SHELVED_OFFLOADED", Power: api.Shutdown}
	faulty    = api.State{Status: "ERROR"}
)

// hard is the argument of a reboot that does not ask the guest.
var hard = map[string]any{"type": "HARD"}

// change is changeOf the guest that most operations act on.
func (s *Session) change(ctx context.Context, action string, arg any, want api.State) error {
	id, err := s.guest(ctx)
	if err != nil {
		return err
	}
	return s.changeOf(ctx, id, turn{action, arg, want})
}

// changeOf asks for actions on a guest, one after the other, and waits each time
// until the guest is in the state the action leads to and every part of it
// succeeded. The state alone may be the one from before, which a refused operation
// restores.
func (s *Session) changeOf(ctx context.Context, id string, turns ...turn) error {
	for _, t := range turns {
		if err := s.Act(ctx, id, t.action, t.arg, nil); err != nil {
			return err
		}
		if err := s.settled(ctx, id, t.want); err != nil {
			return fmt.Errorf("%s: %w", t.action, err)
		}
	}
	return nil
}

// settled waits until a guest's newest action succeeded and led to a state.
func (s *Session) settled(ctx context.Context, id string, want api.State) error {
	return api.Until(ctx, changeTimeout, func(ctx context.Context) (bool, error) {
		if ended, err := s.lastActionEnded(ctx, id); !ended || err != nil {
			return ended, err
		}
		v, err := s.Show(ctx, id)
		if err != nil {
			return true, err
		}
		return v.Reached(want)
	})
}

// fails asks for an action that Nova's API takes and the node, or the conductor,
// refuses, and waits until the guest is in the state that leads to.
func (s *Session) fails(ctx context.Context, id string, t turn) error {
	if err := s.Act(ctx, id, t.action, t.arg, nil); err != nil {
		return err
	}
	return api.Until(ctx, changeTimeout, func(ctx context.Context) (bool, error) {
		list, err := s.actions(ctx, id)
		if err != nil {
			return true, err
		}
		if len(list) == 0 || list[0].Message == "" {
			return false, fmt.Errorf("%s has not failed", t.action)
		}
		v, err := s.Show(ctx, id)
		if err != nil {
			return true, err
		}
		return v.Reached(t.want)
	})
}
