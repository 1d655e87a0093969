package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"bolide/rpc/nova"
)

// opUnrescue boots a rescued guest from its own disk again: action unrescue.
func opUnrescue(*Agent) operation {
	return operation{
		method: "unrescue_instance", event: "compute_unrescue_instance",
		queued: true, interruptible: true, clearsTask: true, keepsFault: true,
		do: func(ctx context.Context, t *task) (any, error) {
			s, err := t.existing(ctx)
			if err != nil {
				return nil, err
			}
			if err := s.renewPorts(ctx); err != nil {
				return nil, err
			}
			s.inform(ctx, newsUnrescue, phaseStart, detail{ports: s.vifs})
			if err := s.run(ctx, s.unrescueSteps()); err != nil {
				if !interrupted(err) && !stopping(ctx) { // the next start goes on
					err = errors.Join(err, t.move(context.WithoutCancel(ctx), unrescueFailed))
				}
				return nil, err
			}
			if err := t.moveTo(ctx, unrescued); err != nil {
				return nil, err
			}
			s.inform(ctx, newsUnrescue, phaseEnd, detail{ports: s.vifs})
			return nil, nil
		},
	}
}

// unrescueSteps bring the guest back. The rescue's files go last: until the guest runs they may be needed to try again.
func (s *spawn) unrescueSteps() []step {
	return []step{
		{name: "end the rescue", do: s.stopGuest},
		{name: "plug", do: func(ctx context.Context) error { return s.plug(ctx, s.vifs) }},
		{name: "define", do: s.defineUnrescued},
		{name: "start", do: s.startPlugged},
		{name: "remove rescue disks", do: func(ctx context.Context) error {
			if err := removeIfThere(s.file(unrescueFile)); err != nil {
				return err
			}
			return s.dropRescueDisks(ctx)
		}},
	}
}

// defineUnrescued gives libvirt the description that the guest had, or if that is lost a new one.
func (s *spawn) defineUnrescued(ctx context.Context) error {
	xml, err := os.ReadFile(s.file(unrescueFile))
	if errors.Is(err, os.ErrNotExist) {
		s.log.Warn("the rescued guest's own description is lost; it is described anew")
		if err := s.checkDisks(ctx); err != nil {
			return err
		}
		return s.define(ctx)
	}
	if err != nil {
		return fmt.Errorf("read the guest's own description: %w", err)
	}
	return s.hypervisor.Define(ctx, string(xml))
}

// giveUpRescue lets a guest go on from its own disk whose rescue was cut short.
func (t *task) giveUpRescue(ctx context.Context, p pages) error {
	s, err := t.existing(ctx)
	if err != nil {
		return err
	}
	steps := s.unrescueSteps()
	if !there(s.file(unrescueFile)) { // it had not come so far
		steps = []step{{name: "start", do: func(ctx context.Context) error { return s.restart(ctx) }}}
	}
	if s.inst.VMState() == nova.VMStopped {
		steps = withoutStart(steps)
	}
	if err := t.persist(ctx, func(ctx context.Context) error { return t.run(ctx, steps) }); err != nil {
		return err
	}
	t.concludeInterruption(ctx, p, t.interruption(p, "the guest is as it was: ask again"))
	return ignoreVanished(t.moveTo(ctx, taskGivenUp))
}

// withoutStart are the steps that leave a guest off.
func withoutStart(steps []step) []step {
	return slices.DeleteFunc(steps, func(s step) bool { return s.name == "start" })
}
