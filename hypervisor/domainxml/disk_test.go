package domainxml

import (
	"testing"

	"libvirt.org/go/libvirtxml"
)

func TestDisks(t *testing.T) {
	for name, c := range map[string]struct {
		disk Disk
		want libvirtxml.DomainDisk
	}{
		"file": {
			Disk{Device: "disk", Source: FileSource("/disk"), Format: "qcow2", Target: "vda", Bus: "virtio", Cache: "none", IO: "native", Discard: "unmap"},
			libvirtxml.DomainDisk{
				Device: "disk",
				Driver: &libvirtxml.DomainDiskDriver{Name: "qemu", Type: "qcow2", Cache: "none", IO: "native", Discard: "unmap"},
				Source: &libvirtxml.DomainDiskSource{File: &libvirtxml.DomainDiskSourceFile{File: "/disk"}},
				Target: &libvirtxml.DomainDiskTarget{Dev: "vda", Bus: "virtio"},
			},
		},
		"block": {
			Disk{Device: "lun", Source: BlockSource("/dev/dm-1"), Format: "raw", Target: "sdb", Bus: "scsi", Unit: new(uint(7)), Serial: "abc", BootOrder: 1, Shareable: true,
				BlockSize: BlockSize{Logical: 512, Physical: 4096}, Encryption: DiskEncryption{Format: "luks", SecretUUID: "s"}},
			libvirtxml.DomainDisk{
				Device:    "lun",
				Driver:    &libvirtxml.DomainDiskDriver{Name: "qemu", Type: "raw"},
				Source:    &libvirtxml.DomainDiskSource{Block: &libvirtxml.DomainDiskSourceBlock{Dev: "/dev/dm-1"}},
				Target:    &libvirtxml.DomainDiskTarget{Dev: "sdb", Bus: "scsi"},
				Serial:    "abc",
				Shareable: &libvirtxml.DomainDiskShareable{},
				Boot:      &libvirtxml.DomainDeviceBoot{Order: 1},
				BlockIO:   &libvirtxml.DomainDiskBlockIO{LogicalBlockSize: 512, PhysicalBlockSize: 4096},
				Address:   &libvirtxml.DomainAddress{Drive: &libvirtxml.DomainAddressDrive{Controller: new(uint(0)), Unit: new(uint(7))}},
				Encryption: &libvirtxml.DomainDiskEncryption{
					Format: "luks", Secrets: []libvirtxml.DomainDiskSecret{{Type: "passphrase", UUID: "s"}},
				},
			},
		},
		"network": {
			Disk{Device: "disk", Format: "raw", Target: "vdb", Bus: "virtio", Source: NetworkSource{
				Protocol: "rbd", Name: "vms/1_disk", Hosts: []NetworkHost{{Name: "192.0.2.1", Port: "6789"}},
				Auth: NetworkAuth{User: "nova", SecretType: "ceph", SecretUUID: "s"},
			}},
			libvirtxml.DomainDisk{
				Device: "disk",
				Driver: &libvirtxml.DomainDiskDriver{Name: "qemu", Type: "raw"},
				Auth:   &libvirtxml.DomainDiskAuth{Username: "nova", Secret: &libvirtxml.DomainDiskSecret{Type: "ceph", UUID: "s"}},
				Source: &libvirtxml.DomainDiskSource{Network: &libvirtxml.DomainDiskSourceNetwork{
					Protocol: "rbd", Name: "vms/1_disk", Hosts: []libvirtxml.DomainDiskSourceHost{{Name: "192.0.2.1", Port: "6789"}},
				}},
				Target: &libvirtxml.DomainDiskTarget{Dev: "vdb", Bus: "virtio"},
			},
		},
		"empty drive": {
			Disk{Device: "cdrom", Target: "sda", Bus: "sata", ReadOnly: true},
			libvirtxml.DomainDisk{
				Device:   "cdrom",
				Driver:   &libvirtxml.DomainDiskDriver{Name: "qemu"},
				Target:   &libvirtxml.DomainDiskTarget{Dev: "sda", Bus: "sata"},
				ReadOnly: &libvirtxml.DomainDiskReadOnly{},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := smallest()
			g.Disks = []Disk{c.disk}
			same(t, []libvirtxml.DomainDisk{c.want}, build(t, g).Devices.Disks)
		})
	}
}
