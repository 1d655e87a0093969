package hypervisor

import (
	"context"

	"libvirt.org/go/libvirt"
)

// The calls of this file need an agent inside the guest (qemu-guest-agent). Without
// one, or when it does not answer, they are ErrAgent or ErrUnsupported.

// FSFreeze writes out and freezes a guest's file systems until FSThaw.
func (h *Host) FSFreeze(ctx context.Context, uuid string) error {
	return h.do(ctx, call{op: "freeze file systems of", guest: uuid}, func(d *libvirt.Domain) error {
		return d.FSFreeze(nil, 0)
	})
}

// FSThaw lets a guest's file systems go on.
func (h *Host) FSThaw(ctx context.Context, uuid string) error {
	return h.do(ctx, call{op: "thaw file systems of", guest: uuid}, func(d *libvirt.Domain) error {
		return d.FSThaw(nil, 0)
	})
}

// SetUserPassword sets the password of one of a guest's users.
func (h *Host) SetUserPassword(ctx context.Context, uuid, user, password string) error {
	return h.do(ctx, call{op: "set password in", guest: uuid}, func(d *libvirt.Domain) error {
		return d.SetUserPassword(user, password, 0)
	})
}
