package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"bolide/agent/guest"
	"bolide/hypervisor"
	"bolide/imagecache/disk"
	"bolide/rpc/nova"
)

// unrescueFile keeps the description of the guest that is being rescued, in the instance's directory.
const unrescueFile = "unrescue.xml"

// opRescue boots a guest from another image so that its own disk can be mended from within: action rescue.
func opRescue(*Agent) operation {
	return operation{
		method: "rescue_instance", event: "compute_rescue_instance",
		queued: true, interruptible: true, clearsTask: true, keepsFault: true,
		do: func(ctx context.Context, t *task) (any, error) {
			args := nova.NewArgs(t.req.Args)
			r := &rescue{password: args.Str("rescue_password"), ref: args.Str("rescue_image_ref"), shutdown: args.Shutdown("clean_shutdown")}
			if err := args.Err(); err != nil {
				return nil, err
			}
			var err error
			if r.spawn, err = t.existing(ctx); err != nil {
				return nil, err
			}
			return nil, r.boot(ctx)
		},
	}
}

// rescue is what the steps of a rescue share.
type rescue struct {
	*spawn
	ref      string // the image to boot from; "": the one that the instance's image was made from, or that itself
	password string // for the rescuing system; "": one is made up
	shutdown nova.Shutdown

	normal string // the guest's own description
	ran    bool
	off    bool
}

// boot rescues the guest. What fails is undone: the guest is what it was.
func (r *rescue) boot(ctx context.Context) error {
	if err := r.renewPorts(ctx); err != nil {
		return err
	}
	if err := r.chooseImage(ctx); err != nil {
		return err
	}
	told := detail{ports: r.vifs, usage: map[string]any{"rescue_image_name": r.image.Name}, fields: map[string]any{"rescue_image_ref": r.ref}}
	r.inform(ctx, newsRescue, phaseStart, told)
	failure := r.run(ctx, []step{
		{name: "stop the guest", do: r.stop, undo: r.startNormal},
		{name: "keep description", do: r.keepNormal, undo: r.dropNormal},
		{name: "rescue disk", do: r.makeRescueDisk, undo: r.dropRescueDisks},
		{name: "plug", do: func(ctx context.Context) error { return r.plug(ctx, r.vifs) }},
		{name: "define", do: r.define, undo: r.defineNormal},
		{name: "config drive", do: r.writeRescueDrive},
		{name: "start", do: r.startPlugged},
	})
	if failure != nil {
		return r.refuse(ctx, failure)
	}
	r.elevated().informExists(ctx)
	if err := r.moveTo(ctx, rescued, func(i *nova.Instance) { i.SetLaunchedAt(time.Now()) }); err != nil {
		return err
	}
	r.inform(ctx, newsRescue, phaseEnd, told)
	return nil
}

// refuse ends a rescue that failed; the instance is in error only if what was done could not be undone.
func (r *rescue) refuse(ctx context.Context, failure error) error {
	var stuck *undoError
	if errors.As(failure, &stuck) && !interrupted(failure) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordLimit)
		defer cancel()
		if err := r.move(ctx, rescueFailed); err != nil {
			r.log.WithError(err).Warn("error state not saved")
		}
	}
	if interrupted(failure) {
		return failure
	}
	failure = imageError(failure)
	return nova.NewError("InstanceNotRescuable", map[string]any{
		"instance_id": r.inst.UUID(), "reason": "Driver Error: " + r.explain(failure)}).Because(failure)
}

// chooseImage finds the image to boot from, and what of its properties the guest's machine follows.
func (r *rescue) chooseImage(ctx context.Context) error {
	if r.ref == "" {
		r.ref = r.inst.SystemMetadata()["image_base_image_ref"]
	}
	if r.ref == "" {
		r.ref = r.inst.ImageRef()
	}
	if r.ref == "" {
		r.ref = r.cfg.Libvirt.RescueImageID
	}
	image, err := r.cloud.Images().Get(ctx, r.id, r.ref)
	if err != nil {
		return glanceError(r.ref, err)
	}
	r.image = recordOf(image)
	kernel, ramdisk := r.cfg.Libvirt.RescueKernelID, r.cfg.Libvirt.RescueRamdiskID
	if kernel == "" {
		kernel = r.inst.KernelID()
	}
	if ramdisk == "" {
		ramdisk = r.inst.RamdiskID()
	}
	r.spawn.rescue = &guest.Rescue{Image: r.image.meta(), KernelID: kernel, RamdiskID: ramdisk}
	if r.password == "" {
		r.password = newPassword(r.cfg.Default.PasswordLength)
	}
	r.spawn.password = r.password
	return nil
}

func (r *rescue) stop(ctx context.Context) error {
	power, err := r.powerNow(ctx)
	if err != nil {
		return err
	}
	r.ran, r.off = power == nova.PowerRunning || power == nova.PowerPaused, true
	return r.task.powerOff(ctx, powerOffOptions{Clean: r.shutdown == nova.ShutdownClean})
}

func (r *rescue) startNormal(ctx context.Context) error {
	if !r.ran {
		return nil
	}
	return r.startPlugged(ctx)
}

// keepNormal writes down what the guest is when it is not rescued. A guest that libvirt does not know is described
// anew when its rescue ends.
func (r *rescue) keepNormal(ctx context.Context) error {
	var err error
	r.normal, err = r.hypervisor.XML(ctx, r.inst.UUID(), hypervisor.XMLOptions{Inactive: true})
	switch {
	case errors.Is(err, hypervisor.ErrNotFound):
		return nil
	case err != nil:
		return err
	}
	if err := disk.WriteFile(r.file(unrescueFile), []byte(r.normal)); err != nil {
		return fmt.Errorf("keep the guest's description: %w", err)
	}
	return nil
}

func (r *rescue) dropNormal(context.Context) error { return removeIfThere(r.file(unrescueFile)) }

func (r *rescue) defineNormal(ctx context.Context) error {
	if err := r.stopGuest(ctx); err != nil {
		return err
	}
	if r.normal == "" {
		return r.removeDomain(ctx)
	}
	return r.hypervisor.Define(ctx, r.normal)
}

// makeRescueDisk makes the disk to boot from, as large as its image.
func (r *rescue) makeRescueDisk(ctx context.Context) error {
	if err := r.task.dropRescueDisks(ctx); err != nil { // of a rescue that was cut short
		return err
	}
	q, err := r.request(ctx)
	if err != nil {
		return err
	}
	if r.disksOf, err = guest.PlanDisks(q); err != nil {
		return err
	}
	base, err := r.cached(ctx, r.image, 0)
	if err != nil {
		return err
	}
	defer base.Release()
	if err := r.makeDisk(ctx, r.file(guest.RescueDisk), base, 0); err != nil {
		return err
	}
	return r.makeRescueKernel(ctx)
}

// makeRescueKernel brings the kernel and the RAM disk of a rescuing system that boots without a boot loader.
func (r *rescue) makeRescueKernel(ctx context.Context) error {
	for _, f := range []bootFile{{"kernel", r.spawn.rescue.KernelID}, {"ramdisk", r.spawn.rescue.RamdiskID}} {
		if f.image == "" {
			continue
		}
		if err := r.makeBootFile(ctx, f, r.file(f.name+rescueSuffix)); err != nil {
			return fmt.Errorf("%s from image %s: %w", f.name, f.image, err)
		}
	}
	return nil
}

// writeRescueDrive writes the config drive that the rescuing system reads, with its password. In a stable rescue the
// guest keeps its own drive, and has none of the rescue's.
func (r *rescue) writeRescueDrive(ctx context.Context) error {
	q, err := r.request(ctx)
	if err != nil {
		return err
	}
	if _, planned := r.disksOf.Find(guest.RescueConfig); !planned {
		return nil
	}
	if err := r.findTags(ctx); err != nil {
		return err
	}
	return r.writeDrive(q, guest.RescueConfig)
}

// file is a file of the instance's.
func (t *task) file(name string) string { return filepath.Join(t.instanceDir(t.inst.UUID()), name) }

// rescueSuffix ends the names of all files that a rescue makes.
const rescueSuffix = ".rescue"

// dropRescueDisks removes what a rescue made.
func (t *task) dropRescueDisks(context.Context) error {
	files, err := filepath.Glob(t.file("*" + rescueSuffix))
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := os.RemoveAll(f); err != nil {
			return fmt.Errorf("remove rescue disk: %w", err)
		}
	}
	return disk.ForgetFormats(files...)
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
