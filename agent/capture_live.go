package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"libvirt.org/go/libvirtxml"

	"bolide/hypervisor"
	"bolide/imagecache/disk"
	"bolide/rpc/nova"
)

// mirrorCheck is how often a mirror's job is looked at besides the events that tell of it.
const mirrorCheck = 5 * time.Second

// mirror copies what the guest has written to its root disk into an overlay of the same base, while the guest runs:
// a job of QEMU's copies it and then repeats each write until the two are parted. It returns the overlay.
func (c *capture) mirror(ctx context.Context) (rootDisk, error) {
	overlay := rootDisk{path: filepath.Join(c.dir, c.imageID+".delta"), format: "qcow2"}
	if err := os.Chmod(c.dir, 0o701); err != nil { // QEMU's user must reach the overlay
		return overlay, fmt.Errorf("open the snapshot directory to QEMU: %w", err)
	}
	if err := c.makeOverlay(ctx, overlay.path); err != nil {
		return overlay, err
	}
	if c.inst.Image().PropBool("os_require_quiesce") {
		if err := c.canQuiesce(); err != nil {
			return overlay, err
		}
	}
	events, leave := c.hypervisor.Subscribe()
	defer leave()
	c.abandonJob(ctx)
	xml, err := mirrorXML(overlay)
	if err != nil {
		return overlay, err
	}
	// the job need not outlive the guest, and libvirt lets a defined guest have no other
	err = c.hypervisor.BlockCopy(ctx, c.inst.UUID(), c.root.target, xml, hypervisor.BlockCopyOptions{Shallow: true, Reuse: true, Transient: true})
	if err != nil {
		return overlay, c.guestError(err)
	}
	if err := c.awaitMirror(ctx, events); err != nil {
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoLimit)
		defer cancel()
		c.abandonJob(bounded)
		return overlay, err
	}
	return overlay, c.partMirror(ctx)
}

// makeOverlay makes an empty disk of the root disk's size over the root disk's own base.
func (c *capture) makeOverlay(ctx context.Context, path string) error {
	if c.root.format == "raw" {
		size, err := disk.VirtualSize(c.root.path, c.root.format)
		if err != nil {
			return err
		}
		return c.disks.CreateEmpty(ctx, disk.Empty{Path: path, Format: "qcow2", Size: size})
	}
	info, err := c.disks.Info(ctx, c.root.path, c.root.format)
	if err != nil {
		return err
	}
	if info.Backing == "" {
		return c.disks.CreateEmpty(ctx, disk.Empty{Path: path, Format: "qcow2", Size: info.VirtualSize})
	}
	return c.disks.CreateOverlay(ctx, disk.Overlay{Path: path, Base: info.Backing, BaseFormat: info.BackingFormat, Size: info.VirtualSize})
}

// mirrorXML describes the mirror to libvirt.
func mirrorXML(d rootDisk) (string, error) {
	destination := libvirtxml.DomainDisk{
		Driver: &libvirtxml.DomainDiskDriver{Name: "qemu", Type: d.format},
		Source: &libvirtxml.DomainDiskSource{File: &libvirtxml.DomainDiskSourceFile{File: d.path}},
	}
	xml, err := destination.Marshal()
	if err != nil {
		return "", fmt.Errorf("describe the mirror: %w", err)
	}
	return xml, nil
}

// awaitMirror waits until the mirror holds what the disk holds.
func (c *capture) awaitMirror(ctx context.Context, events <-chan hypervisor.Event) error {
	check := time.NewTicker(mirrorCheck)
	defer check.Stop()
	for {
		job, there, err := c.hypervisor.BlockJob(ctx, c.inst.UUID(), c.root.target)
		switch {
		case errors.Is(err, hypervisor.ErrInvalidState): // it went off
			return nova.InstanceNotRunning(c.inst.UUID()).Because(err)
		case err != nil:
			return c.guestError(err)
		case !there:
			return fmt.Errorf("the copy of disk %s of instance %s ended early", c.root.target, c.inst.UUID())
		case job.Ready():
			return nil
		}
		c.entry.Progress(int64(job.Current), int64(job.End))
		for waiting := true; waiting; {
			select {
			case e := <-events:
				waiting = e.Kind != hypervisor.EventResync && (e.UUID != c.inst.UUID() ||
					e.Kind != hypervisor.EventBlockJob && e.Kind != hypervisor.EventStopped)
			case <-check.C:
				waiting = false
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	}
}

// partMirror ends the mirroring: from here on the overlay stays as the disk is at this moment, with the guest's file
// systems written out where its agent can do so.
func (c *capture) partMirror(ctx context.Context) error {
	frozen := c.freeze(ctx)
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoLimit)
	defer cancel()
	err := c.hypervisor.BlockJobAbort(bounded, c.inst.UUID(), c.root.target, hypervisor.BlockJobAbortOptions{})
	if frozen {
		if thawed := c.thawGuest(bounded); thawed != nil {
			err = errors.Join(err, fmt.Errorf("the guest's file systems stand still: %w", thawed))
		}
	}
	if err != nil {
		return c.guestError(err)
	}
	return nil
}

// freeze stands the guest's file systems still, if its agent is there to do so.
func (c *capture) freeze(ctx context.Context) bool {
	err := c.canQuiesce()
	if err == nil {
		err = c.freezeGuest(ctx)
	}
	if err != nil {
		c.log.WithError(err).Info("snapshot is taken without quiescing the guest")
	}
	return err == nil
}

// abandonJob ends a job on the disk, if there is one, of this capture or of one before that was cut off.
func (c *capture) abandonJob(ctx context.Context) {
	if err := c.hypervisor.BlockJobAbort(ctx, c.inst.UUID(), c.root.target, hypervisor.BlockJobAbortOptions{}); err != nil {
		c.log.WithError(err).Debug("no block job ended")
	}
}
