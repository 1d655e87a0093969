package hypervisor

import (
	"context"

	"libvirt.org/go/libvirt"
)

// DeviceOptions says what a change of devices is made to. At least one must be set.
type DeviceOptions struct {
	Live   bool // the running guest
	Config bool // its definition
}

func (o DeviceOptions) flags() libvirt.DomainDeviceModifyFlags {
	var f libvirt.DomainDeviceModifyFlags
	if o.Live {
		f |= libvirt.DOMAIN_DEVICE_MODIFY_LIVE
	}
	if o.Config {
		f |= libvirt.DOMAIN_DEVICE_MODIFY_CONFIG
	}
	return f
}

// AttachDevice adds the device that xml describes.
func (h *Host) AttachDevice(ctx context.Context, uuid, xml string, o DeviceOptions) error {
	return h.do(ctx, call{op: "attach device to", guest: uuid}, func(d *libvirt.Domain) error {
		return d.AttachDeviceFlags(xml, o.flags())
	})
}

// DetachDevice removes a device from the definition and asks the running guest to
// let it go, which an EventDeviceRemoved confirms: libvirt waits for that some seconds
// and then returns without an error, too. It is ErrDeviceNotFound if there is no such
// device, and may be ErrBusy if the guest has been asked already.
func (h *Host) DetachDevice(ctx context.Context, uuid, xml string, o DeviceOptions) error {
	return h.do(ctx, call{op: "detach device from", guest: uuid}, func(d *libvirt.Domain) error {
		return d.DetachDeviceFlags(xml, o.flags())
	})
}

// UpdateDevice changes a device in place, as the media of a CD-ROM.
func (h *Host) UpdateDevice(ctx context.Context, uuid, xml string, o DeviceOptions) error {
	return h.do(ctx, call{op: "update device of", guest: uuid}, func(d *libvirt.Domain) error {
		return d.UpdateDeviceFlags(xml, o.flags())
	})
}
