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

// Metadata is an element of a guest's description that libvirt keeps for others.
type Metadata struct {
	Namespace, Key string // by which it is told from theirs; the key becomes the prefix of its name
	XML            string
}

// SetMetadata puts the element in place of the one of its namespace.
func (h *Host) SetMetadata(ctx context.Context, uuid string, m Metadata, o DeviceOptions) error {
	return h.do(ctx, call{op: "set metadata of", guest: uuid}, func(d *libvirt.Domain) error {
		var flags libvirt.DomainModificationImpact
		if o.Live {
			flags |= libvirt.DOMAIN_AFFECT_LIVE
		}
		if o.Config {
			flags |= libvirt.DOMAIN_AFFECT_CONFIG
		}
		return d.SetMetadata(libvirt.DOMAIN_METADATA_ELEMENT, m.XML, m.Key, m.Namespace, flags)
	})
}

// UpdateDevice changes a device in place, as the media of a CD-ROM.
func (h *Host) UpdateDevice(ctx context.Context, uuid, xml string, o DeviceOptions) error {
	return h.do(ctx, call{op: "update device of", guest: uuid}, func(d *libvirt.Domain) error {
		return d.UpdateDeviceFlags(xml, o.flags())
	})
}
