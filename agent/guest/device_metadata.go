package guest

import (
	"fmt"
	"strings"

	"libvirt.org/go/libvirtxml"

	"bolide/agent/network"
	"bolide/rpc/nova"
)

// TagRequest is what the tags of devices are found from.
type TagRequest struct {
	Profile      nova.Profile
	Domain       *libvirtxml.Domain // as libvirt defined it, with the addresses that it gave
	Network      network.Info
	BlockDevices []*nova.BlockDeviceMapping
	PortTags     map[string]string // of the ports that have one, by port id
}

// DeviceMetadata is the InstanceDeviceMetadata object that tells the guest which of its devices the user tagged, and
// which cards are on a VLAN; nil when there are none.
func DeviceMetadata(r TagRequest) *nova.Object {
	var devices []*nova.Object
	for _, disk := range r.Domain.Devices.Disks {
		if o := r.disk(disk); o != nil {
			devices = append(devices, o)
		}
	}
	for _, nic := range r.Domain.Devices.Interfaces {
		if nic.MAC == nil {
			continue
		}
		for _, vif := range r.Network {
			if strings.EqualFold(vif.Address, nic.MAC.Address) {
				devices = r.addCard(devices, vif, nic.Address)
			}
		}
	}
	for _, dev := range r.Domain.Devices.Hostdevs {
		if dev.SubsysPCI == nil || dev.SubsysPCI.Source == nil {
			continue
		}
		slot := &libvirtxml.DomainAddress{PCI: dev.SubsysPCI.Source.Address}
		for _, vif := range r.Network {
			if vif.Type == network.TypeHostdev && vif.Profile.Str("pci_slot") == pciText(slot) {
				devices = r.addCard(devices, vif, slot)
			}
		}
	}
	if len(devices) == 0 {
		return nil
	}
	out := r.Profile.New("InstanceDeviceMetadata")
	out.Set("devices", devices)
	return out
}

func (r TagRequest) disk(disk libvirtxml.DomainDisk) *nova.Object {
	if disk.Target == nil {
		return nil
	}
	for _, row := range r.BlockDevices {
		if row.Tag() == "" || stripDev(row.DeviceName()) != disk.Target.Dev {
			continue
		}
		o := r.Profile.New("DiskMetadata")
		o.Set("tags", []string{row.Tag()})
		o.Set("serial", row.Raw("volume_id"))
		if bus := r.bus(disk.Address, disk.Target.Bus); bus != nil {
			o.Set("bus", bus)
		}
		return o
	}
	return nil
}

func (r TagRequest) addCard(devices []*nova.Object, vif network.VIF, address *libvirtxml.DomainAddress) []*nova.Object {
	tag, vlan := r.PortTags[vif.ID], vif.VLAN()
	if tag == "" && vlan == 0 {
		return devices
	}
	o := r.Profile.New("NetworkInterfaceMetadata")
	o.Set("mac", vif.Address)
	o.Set("vf_trusted", vif.Trusted())
	if tag != "" {
		o.Set("tags", []string{tag})
	}
	if vlan != 0 {
		o.Set("vlan", vlan)
	}
	if bus := r.bus(address, ""); bus != nil {
		o.Set("bus", bus)
	}
	return append(devices, o)
}

// bus is where the guest finds a device; nil where it cannot be told.
func (r TagRequest) bus(address *libvirtxml.DomainAddress, diskBus string) *nova.Object {
	if text := pciText(address); text != "" {
		bus := r.Profile.New("PCIDeviceBus")
		bus.Set("address", text)
		return bus
	}
	class := map[string]string{"scsi": "SCSIDeviceBus", "ide": "IDEDeviceBus", "usb": "USBDeviceBus"}[diskBus]
	if class == "" {
		return nil
	}
	return r.Profile.New(class)
}

func pciText(a *libvirtxml.DomainAddress) string {
	if a == nil || a.PCI == nil {
		return ""
	}
	part := func(v *uint) uint {
		if v == nil {
			return 0
		}
		return *v
	}
	return fmt.Sprintf("%04x:%02x:%02x.%x", part(a.PCI.Domain), part(a.PCI.Bus), part(a.PCI.Slot), part(a.PCI.Function))
}

// deviceData is how meta_data.json tells of the tagged devices.
func deviceData(o *nova.Object, version string) []map[string]any {
	kinds := map[string]string{"PCIDeviceBus": "pci", "USBDeviceBus": "usb", "SCSIDeviceBus": "scsi", "IDEDeviceBus": "ide"}
	out := []map[string]any{}
	for _, device := range o.List("devices") {
		data := map[string]any{"bus": "none", "address": "none"}
		if bus := device.Obj("bus"); bus != nil {
			kind, known := kinds[bus.Name()]
			if !known {
				continue
			}
			data["bus"] = kind
			if bus.Has("address") {
				data["address"] = bus.Raw("address")
			}
		}
		switch device.Name() {
		case "NetworkInterfaceMetadata":
			data["type"] = "nic"
			data["mac"] = device.Raw("mac")
			if version >= ocata && !device.IsNull("vlan") {
				data["vlan"] = device.Int("vlan")
			}
			if version >= rocky {
				data["vf_trusted"] = device.Bool("vf_trusted")
			}
			if !device.Has("tags") && data["vlan"] == nil && data["vf_trusted"] == nil {
				continue
			}
		case "DiskMetadata":
			data["type"] = "disk"
			for _, key := range []string{"serial", "path"} {
				if device.Has(key) {
					data[key] = device.Raw(key)
				}
			}
		default:
			continue
		}
		if device.Has("tags") {
			data["tags"] = device.Strings("tags")
		}
		out = append(out, data)
	}
	return out
}
