package agent

import (
	"context"
	"net/url"

	"bolide/rpc/nova"
)

// opSnapshot makes an image of a guest's root disk: action createImage.
func opSnapshot(*Agent) operation {
	return operation{
		method: "snapshot_instance", event: "compute_snapshot_instance",
		queued: true, interruptible: true, clearsTask: true, keepsFault: true,
		do: func(ctx context.Context, t *task) (any, error) {
			c := &capture{task: t, states: snapshotStates}
			if err := c.readImageID(); err != nil {
				return nil, err
			}
			return nil, c.settle(ctx, c.snapshot(ctx))
		},
	}
}

// snapshot waits for its turn among the host's snapshots, which all burden the same disks.
func (c *capture) snapshot(ctx context.Context) error {
	if err := c.move(ctx, snapshotAccepted); err != nil {
		return err
	}
	if err := c.snapshots.Acquire(ctx, 1); err != nil {
		return context.Cause(ctx)
	}
	defer c.snapshots.Release(1)
	return c.take(ctx, snapshotDone)
}

// take makes the image and makes the change that says so.
func (c *capture) take(ctx context.Context, done change) error {
	power, err := c.powerNow(ctx)
	if err != nil {
		return err
	}
	c.inst.Unset("power_state") // written even where this copy says the same
	c.inst.SetPowerState(power)
	if err := c.cond.SaveInstance(ctx, c.inst, nova.Expect{}); err != nil {
		return err
	}
	told := detail{fields: map[string]any{"snapshot_image_id": c.imageID}}
	c.inform(ctx, newsSnapshot, phaseStart, told)
	if err := c.run(ctx, c.steps()); err != nil {
		return err
	}
	if err := c.move(ctx, done); err != nil {
		return err
	}
	c.inform(ctx, newsSnapshot, phaseEnd, told)
	return nil
}

// settle removes the image of a snapshot that did not succeed. That the instance is deleted or not on the hypervisor,
// or that somebody removed the image, is no failure of the instance's.
func (c *capture) settle(ctx context.Context, failure error) error {
	if failure == nil {
		return nil
	}
	failure = withCause(ctx, failure)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordLimit)
	defer cancel()
	c.removeImage(ctx, c.imageID)
	switch {
	case interrupted(failure):
		c.log.Info("instance was deleted during its snapshot")
	case nova.Is(failure, "InstanceNotRunning"), nova.Is(failure, "ImageNotFound"):
		c.log.WithError(failure).Warn("snapshot given up")
		return ignoreVanished(c.move(ctx, snapshotGivenUp))
	default:
		return failure
	}
	return nil
}

// opBackup makes an image like a snapshot and removes the oldest ones of its kind: action createBackup.
func opBackup(*Agent) operation {
	return operation{
		method: "backup_instance", event: "compute_backup_instance",
		queued: true, interruptible: true, clearsTask: true, keepsFault: true,
		do: func(ctx context.Context, t *task) (any, error) {
			c := &capture{task: t, states: backupStates}
			var kind string
			var keep int
			for _, err := range []error{
				c.readImageID(), t.req.Arg("backup_type", &kind), t.req.Arg("rotation", &keep),
			} {
				if err != nil {
					return nil, err
				}
			}
			if err := c.take(ctx, snapshotDone); err != nil {
				return nil, c.settle(ctx, err)
			}
			return nil, t.rotateBackups(ctx, kind, keep)
		},
	}
}

// rotateBackups removes the instance's oldest backups of the kind until keep are left. One that cannot be removed does
// not keep the others.
func (t *task) rotateBackups(ctx context.Context, kind string, keep int) error {
	backups, err := t.cloud.Images().List(ctx, t.id, url.Values{
		"image_type": {"backup"}, "backup_type": {kind}, "instance_uuid": {t.inst.UUID()},
	})
	if err != nil {
		return err
	}
	for _, old := range backups[:max(0, len(backups)-keep)] { // the list begins with the oldest
		t.removeImage(ctx, old.ID)
	}
	return nil
}
