package domainxml

import (
	"errors"

	"libvirt.org/go/libvirtxml"
)

// Disk is one block device of the guest.
type Disk struct {
	Device  string     // required: "disk", "cdrom", "floppy" or "lun"
	Source  DiskSource // nil is an empty drive
	Format  string     // required with a source: "raw" or "qcow2"; never left to QEMU to guess
	Target  string     // required: name within the guest, such as "vda"; also orders the bus
	Bus     string     // required: "virtio", "scsi", "sata", "ide", "usb", "fdc"
	Cache   string     // "none", "writeback", "writethrough", "directsync", "unsafe"
	IO      string     // "native", "threads", "io_uring"
	Discard string     // "unmap" passes the guest's TRIM on, "ignore" drops it
	Serial  string     // up to 20 characters for virtio

	Throttle  Throttle
	BlockSize BlockSize
	Unit      *uint // place on SCSI controller 0; nil lets libvirt choose
	BootOrder uint  // 1 is first; zero leaves the disk to Boot.Devices
	ReadOnly  bool
	Shareable bool // several guests may write at once

	Encryption DiskEncryption
}

// DiskSource is where the bytes of a disk are: FileSource, BlockSource or NetworkSource.
type DiskSource interface {
	diskSource() *libvirtxml.DomainDiskSource
}

// FileSource is the path of an image file.
type FileSource string

// BlockSource is the path of a host block device.
type BlockSource string

// NetworkSource is a volume that QEMU itself reaches over the network, such as one of Ceph RBD.
type NetworkSource struct {
	Protocol string // "rbd", "nbd", "iscsi"
	Name     string // "pool/volume"
	Hosts    []NetworkHost
	Auth     NetworkAuth
}

// NetworkHost is one address of a storage service.
type NetworkHost struct {
	Name, Port string
}

// NetworkAuth names the secret, kept by libvirt, that opens a volume.
type NetworkAuth struct {
	User       string
	SecretType string // "ceph", "iscsi"
	SecretUUID string
}

// BlockSize makes the disk show sector sizes other than 512 bytes.
type BlockSize struct {
	Logical, Physical uint // bytes
}

// DiskEncryption names the secret, kept by libvirt, that opens an encrypted volume.
type DiskEncryption struct {
	Format     string // "luks"
	SecretUUID string
}

func (d Disk) check() error {
	switch {
	case d.Device == "" || d.Target == "" || d.Bus == "":
		return errors.New("device, target and bus are needed")
	case d.Source != nil && d.Format == "":
		return errors.New("format is not stated")
	}
	return nil
}

func (d Disk) build() libvirtxml.DomainDisk {
	out := libvirtxml.DomainDisk{
		Device: d.Device,
		Driver: &libvirtxml.DomainDiskDriver{
			Name: "qemu", Type: d.Format, Cache: d.Cache, IO: d.IO, Discard: d.Discard,
		},
		Target: &libvirtxml.DomainDiskTarget{Dev: d.Target, Bus: d.Bus},
		Serial: d.Serial,
		IOTune: d.Throttle.build(),
	}
	if d.Source != nil {
		out.Source = d.Source.diskSource()
	}
	if n, ok := d.Source.(NetworkSource); ok && n.Auth != (NetworkAuth{}) {
		out.Auth = &libvirtxml.DomainDiskAuth{
			Username: n.Auth.User,
			Secret:   &libvirtxml.DomainDiskSecret{Type: n.Auth.SecretType, UUID: n.Auth.SecretUUID},
		}
	}
	if d.BlockSize != (BlockSize{}) {
		out.BlockIO = &libvirtxml.DomainDiskBlockIO{
			LogicalBlockSize: d.BlockSize.Logical, PhysicalBlockSize: d.BlockSize.Physical,
		}
	}
	if d.Unit != nil {
		out.Address = &libvirtxml.DomainAddress{
			Drive: &libvirtxml.DomainAddressDrive{Controller: new(uint(0)), Unit: new(*d.Unit)},
		}
	}
	if d.BootOrder != 0 {
		out.Boot = &libvirtxml.DomainDeviceBoot{Order: d.BootOrder}
	}
	if d.ReadOnly {
		out.ReadOnly = &libvirtxml.DomainDiskReadOnly{}
	}
	if d.Shareable {
		out.Shareable = &libvirtxml.DomainDiskShareable{}
	}
	if d.Encryption != (DiskEncryption{}) {
		out.Encryption = &libvirtxml.DomainDiskEncryption{
			Format:  d.Encryption.Format,
			Secrets: []libvirtxml.DomainDiskSecret{{Type: "passphrase", UUID: d.Encryption.SecretUUID}},
		}
	}
	return out
}

func (f FileSource) diskSource() *libvirtxml.DomainDiskSource {
	return &libvirtxml.DomainDiskSource{File: &libvirtxml.DomainDiskSourceFile{File: string(f)}}
}

func (b BlockSource) diskSource() *libvirtxml.DomainDiskSource {
	return &libvirtxml.DomainDiskSource{Block: &libvirtxml.DomainDiskSourceBlock{Dev: string(b)}}
}

func (n NetworkSource) diskSource() *libvirtxml.DomainDiskSource {
	return &libvirtxml.DomainDiskSource{Network: &libvirtxml.DomainDiskSourceNetwork{
		Protocol: n.Protocol,
		Name:     n.Name,
		Hosts: each(n.Hosts, func(h NetworkHost) libvirtxml.DomainDiskSourceHost {
			return libvirtxml.DomainDiskSourceHost{Name: h.Name, Port: h.Port}
		}),
	}}
}
