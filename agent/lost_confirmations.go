package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"bolide/rpc/nova"
)

// findLostConfirmations looks for moves from this host that their users have confirmed and whose requests were lost with
// the process before, which had taken them in and had not begun. The guests are where they are to be, but what is left of
// them here, and what Placement holds for their return, would stay for ever. Confirmations that had begun are in the
// journal, and stand in their instances' queues when this looks.
func (a *Agent) findLostConfirmations(ctx context.Context) error {
	select {
	case <-time.After(time.Until(a.openedAt.Add(requestGrace))):
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	moves, err := a.freshConductor().MigrationsByFilters(ctx, map[string]any{
		"source_compute": a.cfg.Default.Host, "status": string(nova.MigrationConfirming),
	})
	if err != nil {
		return fmt.Errorf("list moves that are being confirmed: %w", err)
	}
	var errs []error
	for _, m := range moves {
		errs = append(errs, a.inTurn(ctx, "confirm lost", m.InstanceUUID(), func(ctx context.Context, t *task) error {
			return t.confirmLost(ctx, m.ID())
		}))
	}
	return errors.Join(errs...)
}

// confirmLost confirms a move that is still waiting for it now that it is its instance's turn.
func (t *task) confirmLost(ctx context.Context, id int64) error {
	m, err := t.cond.MigrationOfInstance(ctx, id, t.inst.UUID())
	if err != nil {
		return fmt.Errorf("read migration %d: %w", id, err)
	}
	if err := t.load(ctx); err != nil {
		return err
	}
	if m.Status() != nova.MigrationConfirming || t.inst.VMState() != nova.VMResized {
		return nil
	}
	t.log.WithField("destination", m.DestCompute()).Warn("confirmation was lost with the process that had its request; confirming")
	return t.repeat(ctx, repetition{operation: opConfirmResize, arguments: map[string]any{"migration": m.Object}}, nil)
}
