package hypervisor

import (
	"context"
	"errors"
	"time"

	"libvirt.org/go/libvirt"
)

// Define makes a guest known to libvirt or replaces its description, which a
// running guest takes up at its next start.
func (h *Host) Define(ctx context.Context, xml string) error {
	_, err := actHost(ctx, h, call{op: "define"}, func(_ context.Context, conn *libvirt.Connect) (none, error) {
		d, err := conn.DomainDefineXML(xml)
		if err != nil {
			return none{}, err
		}
		return none{}, d.Free()
	})
	return err
}

// StartOptions says how a guest starts.
type StartOptions struct {
	Paused    bool // its CPUs stand still until Resume
	ForceBoot bool // a managed save image is thrown away, not restored
}

// Start starts a defined guest, from its managed save image if it has one. It is
// ErrInvalidState if the guest runs already.
func (h *Host) Start(ctx context.Context, uuid string, o StartOptions) error {
	var flags libvirt.DomainCreateFlags
	if o.Paused {
		flags |= libvirt.DOMAIN_START_PAUSED
	}
	if o.ForceBoot {
		flags |= libvirt.DOMAIN_START_FORCE_BOOT
	}
	return h.do(ctx, call{op: "start", guest: uuid}, func(d *libvirt.Domain) error {
		return d.CreateWithFlags(flags)
	})
}

// destroyTimeout is how long ending a guest may take, whatever CallTimeout is:
// libvirt gives QEMU 10 s before it kills it, and waits for the kernel after that.
const destroyTimeout = 60 * time.Second

// Destroy ends a guest at once, as pulling the plug does. It is no error if the
// guest is off or gone. It goes ahead while another call hangs for the guest, since
// it is what ends such a call.
func (h *Host) Destroy(ctx context.Context, uuid string) error {
	c := call{op: "destroy", guest: uuid, force: true, limit: destroyTimeout}
	err := h.do(ctx, c, func(d *libvirt.Domain) error {
		return d.Destroy()
	})
	if errors.Is(err, ErrInvalidState) || errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// Undefine makes libvirt forget a guest, with its managed save image, its snapshots'
// descriptions and its UEFI variables. A guest that runs goes on without a
// definition. It is no error if the guest is gone.
func (h *Host) Undefine(ctx context.Context, uuid string) error {
	const flags = libvirt.DOMAIN_UNDEFINE_MANAGED_SAVE | libvirt.DOMAIN_UNDEFINE_SNAPSHOTS_METADATA |
		libvirt.DOMAIN_UNDEFINE_CHECKPOINTS_METADATA | libvirt.DOMAIN_UNDEFINE_NVRAM
	err := h.do(ctx, call{op: "undefine", guest: uuid}, func(d *libvirt.Domain) error {
		persistent, err := d.IsPersistent()
		if err != nil || !persistent { // there is nothing to undefine
			return err
		}
		return d.UndefineFlags(flags)
	})
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// Shutdown presses the guest's power button and does not wait for what it does. It
// is ErrInvalidState if the guest does not run.
func (h *Host) Shutdown(ctx context.Context, uuid string) error {
	return h.do(ctx, call{op: "shut down", guest: uuid}, (*libvirt.Domain).Shutdown)
}

// Reset restarts a guest at once, as a reset button does.
func (h *Host) Reset(ctx context.Context, uuid string) error {
	return h.do(ctx, call{op: "reset", guest: uuid}, func(d *libvirt.Domain) error { return d.Reset(0) })
}

// Suspend stops a guest's CPUs; it keeps its memory.
func (h *Host) Suspend(ctx context.Context, uuid string) error {
	return h.do(ctx, call{op: "suspend", guest: uuid}, (*libvirt.Domain).Suspend)
}

// Resume lets a suspended guest go on.
func (h *Host) Resume(ctx context.Context, uuid string) error {
	return h.do(ctx, call{op: "resume", guest: uuid}, (*libvirt.Domain).Resume)
}

// Wake wakes a guest that suspended itself (PMSuspended).
func (h *Host) Wake(ctx context.Context, uuid string) error {
	return h.do(ctx, call{op: "wake", guest: uuid}, func(d *libvirt.Domain) error { return d.PMWakeup(0) })
}

// ManagedSave writes a guest's memory to disk and ends it; the next Start restores
// it. It takes as long as writing does: the context is its only limit.
func (h *Host) ManagedSave(ctx context.Context, uuid string) error {
	return h.do(ctx, call{op: "save", guest: uuid, limit: unlimited}, func(d *libvirt.Domain) error {
		return d.ManagedSave(0)
	})
}

// HasManagedSave tells whether the next Start would restore the guest.
func (h *Host) HasManagedSave(ctx context.Context, uuid string) (bool, error) {
	return askGuest(ctx, h, call{op: "look for save image of", guest: uuid}, func(d *libvirt.Domain) (bool, error) {
		return d.HasManagedSaveImage(0)
	})
}

// RemoveManagedSave throws a managed save image away. It is no error if there is none.
func (h *Host) RemoveManagedSave(ctx context.Context, uuid string) error {
	return h.do(ctx, call{op: "remove save image of", guest: uuid}, func(d *libvirt.Domain) error {
		has, err := d.HasManagedSaveImage(0)
		if err != nil || !has {
			return err
		}
		return d.ManagedSaveRemove(0)
	})
}

// InjectNMI sends a guest a non-maskable interrupt, at which many systems dump core.
func (h *Host) InjectNMI(ctx context.Context, uuid string) error {
	return h.do(ctx, call{op: "inject NMI into", guest: uuid}, func(d *libvirt.Domain) error {
		return d.InjectNMI(0)
	})
}

// SetTime sets a guest's clock through its agent.
func (h *Host) SetTime(ctx context.Context, uuid string, t time.Time) error {
	return h.do(ctx, call{op: "set time of", guest: uuid}, func(d *libvirt.Domain) error {
		return d.SetTime(t.Unix(), uint(t.Nanosecond()), 0)
	})
}
