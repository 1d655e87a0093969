package agent

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"

	"bolide/agent/cloud"
	"bolide/agent/journal"
	"bolide/hypervisor"
	"bolide/imagecache/disk"
	"bolide/rpc/nova"
)

// capture makes an image of a guest's root disk: what snapshot, backup and shelve share. The record of the image is
// there already, made by Nova's API; here it gets its data.
type capture struct {
	*task
	imageID string
	states  captureStates

	root      rootDisk
	format    string // of the image's data
	name      string // of the image
	live      bool   // the guest goes on while its disk is copied
	suspended bool   // the guest's memory was saved for the time of the copy
	dir       string // holds the copy until it is uploaded
}

// captureStates are the changes of state that a capture goes through.
type captureStates struct{ pending, uploading, again change }

var (
	snapshotStates = captureStates{pending: snapshotPending, uploading: snapshotUploading, again: snapshotAgain}
	backupStates   = captureStates{pending: backupPending, uploading: snapshotUploading, again: snapshotAgain}
	shelveStates   = captureStates{pending: shelvePending, uploading: shelveUploading, again: shelveAgain}
)

// rootDisk is the first disk of the guest's description.
type rootDisk struct {
	target string // "vda"
	path   string
	format string // QEMU's name
}

// readImageID reads which image is to be made, and notes that it is being made: no record tells of an image that a crash
// leaves without data.
func (c *capture) readImageID() error {
	err := c.req.Arg("image_id", &c.imageID)
	c.page.Note(func(r *journal.Record) { r.Images = []string{c.imageID} })
	return err
}

// steps of a capture. A guest that has to stand still does so only while its disk is copied, not while the copy is
// uploaded.
func (c *capture) steps() []step {
	return []step{
		{name: "look at guest and image", do: c.look},
		{name: "save memory", do: c.suspend, undo: c.resume},
		{name: "announce", do: c.announce},
		{name: "copy disk", do: c.extract, undo: c.discard},
		{name: "resume", do: c.resume},
		{name: "upload", do: c.upload},
		{name: "remove copy", do: c.discard},
	}
}

// look finds the disk and decides how it is copied: of a running guest while it runs, unless the operator forbids it.
func (c *capture) look(ctx context.Context) error {
	g, err := c.hypervisor.Guest(ctx, c.inst.UUID())
	if errors.Is(err, hypervisor.ErrNotFound) {
		return nova.InstanceNotRunning(c.inst.UUID())
	}
	if err != nil {
		return err
	}
	image, err := c.cloud.Images().Get(ctx, c.id, c.imageID)
	if err != nil {
		return glanceError(c.imageID, err)
	}
	c.name = image.Name
	if err := c.findRoot(ctx); err != nil {
		return err
	}
	if c.format = c.cfg.Libvirt.SnapshotImageFormat; c.format == "" {
		c.format = c.root.format
	}
	if hasMemory(g.State) {
		c.live = !c.cfg.Workarounds.DisableLibvirtLivesnapshot
		c.suspended = !c.live
	}
	return nil
}

// hasMemory reports whether a guest in the state is there with its memory, its CPUs running or not.
func hasMemory(s hypervisor.State) bool {
	switch powerState(s) {
	case nova.PowerRunning, nova.PowerPaused, nova.PowerSuspended:
		return true
	}
	return false
}

func (c *capture) findRoot(ctx context.Context) error {
	d, err := c.domain(ctx)
	if err != nil {
		return err
	}
	if len(d.Devices.Disks) > 0 {
		root := d.Devices.Disks[0]
		if root.Source != nil && root.Source.File != nil && root.Driver != nil && root.Target != nil {
			c.root = rootDisk{target: root.Target.Dev, path: root.Source.File.File, format: root.Driver.Type}
			return nil
		}
	}
	return fmt.Errorf("the first disk of instance %s is not a file", c.inst.UUID())
}

// suspend saves the memory of a guest that may not run while its disk is copied.
func (c *capture) suspend(ctx context.Context) error {
	if !c.suspended {
		return nil
	}
	if err := c.checkTPM(ctx); err != nil {
		return err
	}
	return c.guestError(c.hypervisor.ManagedSave(ctx, c.inst.UUID()))
}

// resume brings such a guest back as it was, running or paused.
func (c *capture) resume(ctx context.Context) error {
	if !c.suspended {
		return nil
	}
	err := c.startGuest(ctx, hypervisor.StartOptions{})
	if err != nil && !errors.Is(err, hypervisor.ErrInvalidState) {
		return c.guestError(err)
	}
	return nil
}

// announce takes the instance through the states in which Nova's node tries whether the disks' store can make the
// image by itself, and finds that files cannot: who follows the task state sees the same from both.
func (c *capture) announce(ctx context.Context) error {
	for _, change := range []change{c.states.pending, c.states.uploading, c.states.again} {
		if err := c.move(ctx, change); err != nil {
			return err
		}
	}
	return nil
}

// extract copies the disk and all it rests on into one file.
func (c *capture) extract(ctx context.Context) error {
	parent := c.cfg.Libvirt.SnapshotsDirectory
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return fmt.Errorf("make snapshots directory: %w", err)
	}
	var err error
	if c.dir, err = os.MkdirTemp(parent, "tmp"); err != nil {
		return fmt.Errorf("make snapshot directory: %w", err)
	}
	c.page.Note(func(r *journal.Record) { r.Paths = []string{c.dir} })
	source := c.root
	if c.live {
		if source, err = c.mirror(ctx); err != nil {
			return err
		}
		defer os.Remove(source.path)
	}
	return c.disks.Extract(ctx, disk.Convert{
		Src: source.path, SrcFormat: source.format, Dst: c.copyPath(), DstFormat: c.format,
		Compress: c.cfg.Libvirt.SnapshotCompression && c.format == "qcow2",
		Progress: c.entry.Progress,
	})
}

func (c *capture) copyPath() string { return filepath.Join(c.dir, c.imageID) }

func (c *capture) discard(context.Context) error {
	if c.dir == "" {
		return nil
	}
	return os.RemoveAll(c.dir)
}

// upload describes the image and gives it its data.
func (c *capture) upload(ctx context.Context) error {
	if err := c.move(ctx, c.states.uploading); err != nil {
		return err
	}
	f, err := os.Open(c.copyPath())
	if err != nil {
		return fmt.Errorf("open the copied disk: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("look at the copied disk: %w", err)
	}
	if _, err := c.cloud.Images().Update(ctx, c.id, c.imageID, c.describe()); err != nil {
		return glanceError(c.imageID, err)
	}
	release, err := c.disks.Slot(ctx)
	if err != nil {
		return err
	}
	defer release()
	return glanceError(c.imageID, c.cloud.Images().Upload(ctx, c.id, c.imageID, cloud.Upload{
		Body: f, Size: info.Size(), Progress: c.entry.Progress,
	}))
}

// describe is what a node adds to the image's record: Nova's API has put the properties of the instance's own image
// there.
func (c *capture) describe() cloud.ImageChange {
	meta := c.inst.Image()
	change := cloud.ImageChange{
		Name: c.name, DiskFormat: c.format, ContainerFormat: "bare",
		Properties: map[string]string{
			"image_location": "snapshot", "image_state": "available", "owner_id": c.inst.ProjectID(),
		},
	}
	if meta.DiskFormat() == "ami" {
		change.DiskFormat = "ami" // Glance takes no other in an ami container
	}
	if container := meta.ContainerFormat(); container != "" {
		change.ContainerFormat = container
	}
	for name, value := range map[string]string{
		"kernel_id": c.inst.KernelID(), "ramdisk_id": c.inst.RamdiskID(), "os_type": c.inst.OSType(),
	} {
		if value != "" {
			change.Properties[name] = value
		}
	}
	return change
}

// removeImage removes the image of a capture that failed. Whether it is gone already does not matter, and an image
// service that is away must not hide why the capture failed.
func (t *task) removeImage(ctx context.Context, imageID string) {
	err := t.cloud.Images().Delete(ctx, t.id, imageID)
	if err != nil && !cloud.IsNotFound(err) {
		t.log.WithField("image", imageID).WithError(err).Warn("image not removed")
	}
}

// glanceError makes Nova's exception of a refusal of the image service.
func glanceError(imageID string, err error) error {
	kwargs := map[string]any{"image_id": imageID}
	switch {
	case cloud.IsNotFound(err):
		return nova.NewError("ImageNotFound", kwargs).Because(err)
	case cloud.IsForbidden(err), cloud.IsStatus(err, http.StatusUnauthorized):
		return nova.NewError("ImageNotAuthorized", kwargs).Because(err)
	case cloud.IsStatus(err, http.StatusRequestEntityTooLarge):
		return nova.NewError("ImageQuotaExceeded", kwargs).Because(err)
	case cloud.IsStatus(err, http.StatusBadRequest):
		kwargs["response"] = err.Error()
		return nova.NewError("ImageBadRequest", kwargs).Because(err)
	}
	return err
}
