package agent

import (
	"context"
)

// opSoftDelete switches a guest off and keeps it, so that its user may have it back: DELETE /servers where
// reclaim_instance_interval is set.
func opSoftDelete(*Agent) operation {
	return operation{
		method: "soft_delete_instance", event: "compute_soft_delete_instance",
		queued: true, interruptible: true, clearsTask: true, keepsFault: true,
		do: func(ctx context.Context, t *task) (any, error) {
			t.inform(ctx, newsSoftDelete, phaseStart, detail{})
			defer func() { t.inform(ctx, newsSoftDelete, phaseEnd, detail{}) }() // also when it failed, as Nova's node tells it
			if err := t.stopGuest(ctx); err != nil {
				return nil, err
			}
			return nil, t.moveTo(ctx, softDeleted)
		},
	}
}

// opRestore starts such a guest again: action restore.
func opRestore(*Agent) operation {
	return operation{
		method: "restore_instance", event: "compute_restore_instance", news: newsRestore,
		queued: true, interruptible: true, clearsTask: true, keepsFault: true,
		do: func(ctx context.Context, t *task) (any, error) {
			s, err := t.existing(ctx)
			if err != nil {
				return nil, err
			}
			if err := s.restart(ctx); err != nil {
				return nil, err
			}
			return nil, t.moveTo(ctx, restored)
		},
	}
}
