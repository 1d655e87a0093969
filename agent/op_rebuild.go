package agent

import (
	"context"
	"errors"
	"time"

	"bolide/agent/notice"
	"bolide/imagecache"
	"bolide/rpc/nova"
)

// opRebuild makes a guest anew from its image or another one, in place: action rebuild. With recreate it makes here the
// guest of a host that died: action evacuate.
func opRebuild(*Agent) operation {
	return operation{
		method: "rebuild_instance", foreign: true, event: "compute_rebuild_instance",
		queued: true, interruptible: true, clearsTask: true, keepsFault: true,
		do: func(ctx context.Context, t *task) (any, error) {
			r, err := t.rebuilding(ctx)
			if err != nil {
				return nil, err
			}
			if r.evacuates {
				return nil, (&evacuation{rebuild: r}).perform(ctx)
			}
			return nil, r.perform(ctx)
		},
	}
}

// rebuild is what the steps of a rebuild share.
type rebuild struct {
	*spawn
	args      *nova.Args
	evacuates bool
	migration *nova.Migration   // of an evacuation; nil from callers of before
	spec      *nova.RequestSpec //
	imageRef  string            // to build from; "": the guest boots from a volume, or keeps its image
	before    nova.VMState
	target    nova.VMState // what the guest is to be afterwards; "": what it was
	zone      any          // availability zone, which the conductor chose with the host and did not save

	base  *imagecache.Base // kept in the cache until the disk is made
	wiped bool             // the old guest is gone
}

// rebuilding reads the request.
func (t *task) rebuilding(ctx context.Context) (*rebuild, error) {
	args := nova.NewArgs(t.req.Args)
	r := &rebuild{
		args: args, evacuates: args.Bool("recreate"), migration: args.Migration("migration"),
		spec: args.RequestSpec("request_spec"), imageRef: args.Str("image_ref"),
		target: nova.VMState(args.Str("target_state")), zone: t.inst.Raw("availability_zone"),
	}
	bdms, password, preserve := args.BlockDevices("bdms"), args.Str("new_pass"), args.Bool("preserve_ephemeral")
	if err := args.Err(); err != nil {
		return nil, err
	}
	if preserve {
		return nil, nova.NewError("PreserveEphemeralNotSupported", nil)
	}
	var err error
	if r.spawn, err = t.existing(ctx, moveParts...); err != nil {
		return nil, err
	}
	if bdms != nil {
		r.bdms = bdms
	}
	if r.files, err = t.filesArgument("injected_files"); err != nil {
		return nil, err
	}
	r.password, r.before = password, t.inst.VMState()
	r.powerOff = r.before == nova.VMStopped || r.target == nova.VMStopped
	if r.zone != nil {
		t.inst.Set("availability_zone", r.zone)
	}
	return r, nil
}

// perform rebuilds the guest. Until its old self is removed a failure changes nothing; after that there is nothing to
// go back to, and the instance is in error.
func (r *rebuild) perform(ctx context.Context) error {
	defer r.releaseBase()
	failure := r.run(ctx, r.steps())
	switch {
	case failure == nil:
		return nil
	case interrupted(failure):
		return failure
	}
	failure = r.rebuildFailure(failure)
	r.inform(ctx, newsRebuild, phaseError, detail{fault: failure})
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordLimit)
	defer cancel()
	var stuck *undoError
	if r.wiped || errors.As(failure, &stuck) {
		return errors.Join(failure, ignoreVanished(r.move(ctx, rebuildFailed)))
	}
	return errors.Join(failure, ignoreVanished(r.move(ctx, moveRolledBack, func(i *nova.Instance) { i.SetVMState(r.before) })))
}

// steps of a rebuild in place. The image is brought first: were it not to be had, the old guest would be lost for
// nothing.
func (r *rebuild) steps() []step {
	steps := []step{
		{name: "image", do: r.bringImage},
		{name: "announce", do: r.announce},
		{name: "stop the guest", do: func(ctx context.Context) error { return r.task.powerOff(ctx, powerOffOptions{Clean: true}) },
			undo: r.restoreStopped},
		{name: "remove the guest", do: r.wipe},
		{name: "prepare devices", do: r.prepareDevices},
		{name: "disks", do: r.makeDisks, undo: r.dropMade},
	}
	steps = append(steps, r.spawn.steps()...)
	return append(steps, step{name: "record", do: r.record})
}

// bringImage fetches the image and keeps it in the cache.
func (r *rebuild) bringImage(ctx context.Context) error {
	if r.imageRef == "" {
		return nil
	}
	image, err := r.cloud.Images().Get(ctx, r.id, r.imageRef)
	if err != nil {
		return glanceError(r.imageRef, err)
	}
	r.image = recordOf(image)
	r.meta = r.image.meta()
	if err := r.checkImage(); err != nil {
		return err
	}
	r.base, err = r.cached(ctx, r.image, r.inst.Flavor().RootGB()*gib)
	return err
}

func (r *rebuild) releaseBase() {
	if r.base != nil {
		r.base.Release()
	}
}

func (r *rebuild) announce(ctx context.Context) error {
	r.informStart(ctx)
	power, err := r.powerNow(ctx)
	if err != nil {
		return err
	}
	return r.move(ctx, rebuildAccepted, func(i *nova.Instance) { i.SetPowerState(power) })
}

// restoreStopped starts the guest again that was stopped for nothing.
func (r *rebuild) restoreStopped(ctx context.Context) error {
	if r.wiped || r.before == nova.VMStopped {
		return nil
	}
	return r.startPlugged(ctx)
}

// wipe removes the old guest with its files, as a delete would.
func (r *rebuild) wipe(ctx context.Context) error {
	if err := r.removeDomain(ctx); err != nil {
		return err
	}
	r.wiped = true
	if err := r.unplug(ctx, r.vifs); err != nil {
		return err
	}
	r.noteCleaning(r.removeFiles(ctx))
	return r.cond.SaveInstance(ctx, r.inst, nova.Expect{})
}

// prepareDevices takes the instance through the states in between and plans its disks.
func (r *rebuild) prepareDevices(ctx context.Context) error {
	if err := r.move(ctx, rebuildDevices); err != nil {
		return err
	}
	if err := r.move(ctx, rebuildSpawning); err != nil {
		return err
	}
	q, err := r.request(ctx)
	if err != nil {
		return err
	}
	return r.planDisks(q)
}

// dropMade removes the half of a guest that a failed rebuild made.
func (r *rebuild) dropMade(ctx context.Context) error { return r.removeFiles(ctx) }

// record says that the guest is there again. One that is to be off was not started; its record takes the way of a stop.
func (r *rebuild) record(ctx context.Context) error {
	err := r.moveTo(ctx, rebuilt, func(i *nova.Instance) { i.SetLaunchedAt(time.Now()) })
	if err != nil {
		return err
	}
	if r.powerOff {
		r.inst.SetProgress(0)
		if err := r.stopAgain(ctx, rebuiltToStop); err != nil {
			return err
		}
	}
	r.tellScheduler(ctx)
	r.inform(ctx, newsRebuild, phaseEnd, detail{ports: r.vifs, usage: r.imageName()})
	return nil
}

// informStart tells how the guest was used with its old image, which the record no longer names, and that it is made
// anew.
func (r *rebuild) informStart(ctx context.Context) {
	if !r.news.enabled() {
		return
	}
	r.elevated().informExistsWith(ctx, map[string]any{
		"image_ref_url": r.urlOfImage(ctx, r.args.Str("orig_image_ref")), "image_meta": notice.ImageMeta(r.args.Dict("orig_sys_metadata")),
	})
	r.inform(ctx, newsRebuild, phaseStart, detail{usage: r.imageName()})
}

// imageName is what the unversioned form tells of the new image.
func (r *rebuild) imageName() map[string]any { return map[string]any{"image_name": r.image.Name} }

// rebuildFailure names what went wrong in a rebuild as Nova does.
func (t *task) rebuildFailure(failure error) error {
	failure = imageError(failure)
	if nova.ClassOf(failure) != "" {
		return failure
	}
	return nova.BuildAbort(t.inst.UUID(), t.explain(failure)).Because(failure)
}
