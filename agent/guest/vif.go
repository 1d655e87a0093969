package guest

import (
	"fmt"
	"slices"
	"strconv"

	"bolide/agent/network"
	"bolide/hypervisor/domainxml"
	"bolide/rpc/nova"
)

// VIF types of back ends that give a guest a tap device or function that agent/network has no use for itself.
const (
	typeIVS      = "ivs"
	typeVRouter  = "vrouter"
	typeIOVisor  = "iovisor"
	typeMidonet  = "midonet"
	typeIBDevice = "ib_hostdev"
)

// VNIC types that Cyborg's accelerators have.
const (
	vnicAcceleratorDirect   = "accelerator-direct"
	vnicAcceleratorPhysical = "accelerator-direct-physical"
)

// passthrough are the VNIC types whose card is a device of the host, with a model of its own.
var passthrough = []string{
	network.VNICDirect, network.VNICDirectPhysical, vnicAcceleratorDirect, vnicAcceleratorPhysical,
	network.VNICRemoteManaged, network.VNICVDPA,
}

var vifModels = map[string][]string{
	"kvm":  {"virtio", "ne2k_pci", "pcnet", "rtl8139", "e1000", "e1000e", "spapr-vlan", "vmxnet3"},
	"qemu": {"virtio", "ne2k_pci", "pcnet", "rtl8139", "e1000", "e1000e", "lan9118", "spapr-vlan", "vmxnet3"},
}

// addInterfaces adds the guest's cards in the order of its ports.
func addInterfaces(g *domainxml.Guest, r Request, w wishes) error {
	for _, vif := range r.Network {
		switch vif.Type {
		case network.TypeHostdev, typeIBDevice:
			address, err := domainxml.ParsePCIAddress(vif.Profile.Str("pci_slot"))
			if err != nil {
				return err
			}
			g.HostDevices = append(g.HostDevices, domainxml.PCIDevice(address))
			continue
		}
		nic, err := r.card(vif, w)
		if err != nil {
			return err
		}
		g.Interfaces = append(g.Interfaces, nic)
	}
	return nil
}

// Interface is the card of one port, as it is plugged into a guest that exists.
func Interface(r Request, vif network.VIF) (domainxml.Interface, error) {
	return r.card(vif, wishesOf(r))
}

func (r Request) card(vif network.VIF, w wishes) (domainxml.Interface, error) {
	nic, err := r.frontend(vif, w)
	if err != nil {
		return nic, err
	}
	switch vif.Type {
	case network.TypeBridge:
		nic.Source, nic.MTU = domainxml.Bridge(bridgeName(vif)), mtu(vif)
		nic.Target.Device = deviceName(vif)
	case network.TypeOVS, network.TypeAgilioOVS:
		return r.ovs(nic, vif, w)
	case network.TypeVHostUser:
		return r.vhostUser(nic, vif)
	case typeIVS, typeVRouter, typeIOVisor:
		nic.Source, nic.MTU = domainxml.Ethernet{}, mtu(vif)
		nic.Target.Device = deviceName(vif)
	case network.TypeTap, typeMidonet:
		nic.Source, nic.MTU = domainxml.Ethernet{}, mtu(vif)
		nic.Target = domainxml.Target{Device: deviceName(vif), Unmanaged: r.Host.Libvirt >= libvirtUnmanagedTap}
		return nic, nil // whoever connects the tap bounds its bandwidth
	case network.TypeMacvtap:
		nic.Source, err = macvtap(vif)
		nic.Model = "virtio"
	case network.TypeHWVEB:
		err = r.hwVEB(&nic, vif)
	default:
		err = nova.NewErrorText("InternalError", fmt.Sprintf("Unexpected vif_type=%s", vif.Type))
	}
	if err != nil {
		return nic, err
	}
	return nic, setBandwidth(&nic, w.specs)
}

// frontend is what the guest sees of a card.
func (r Request) frontend(vif network.VIF, w wishes) (domainxml.Interface, error) {
	nic := domainxml.Interface{MAC: vif.Address}
	if slices.Contains(passthrough, vif.VNICType) {
		return nic, nil
	}
	nic.Model = vifModel(r)
	if nic.Model != "" && !slices.Contains(vifModels[r.Settings.VirtType], nic.Model) {
		return nic, nova.NewError("UnsupportedHardware", map[string]any{"model": nic.Model, "virt": r.Settings.VirtType})
	}
	if nic.Model != "virtio" {
		return nic, nil
	}
	if r.Settings.VirtType == "qemu" {
		nic.Driver.Name = "qemu" // libvirt would turn vhost on for emulated guests too
	} else if multi, err := w.multiqueue(r); err != nil {
		return nic, err
	} else if multi {
		nic.Driver = domainxml.InterfaceDriver{Name: "vhost", Queues: r.queues(int(w.flavor.VCPUs()))}
	}
	if r.Settings.RXQueueSize > 0 {
		nic.Driver.RXQueueSize = r.Settings.RXQueueSize
		if nic.Driver.Name == "" {
			nic.Driver.Name = "vhost"
		}
	}
	return nic, nil
}

// Multiqueue is whether the guest's cards have a queue for each of its CPUs; a tap that is made for a card has to have
// them as well.
func Multiqueue(r Request) (bool, error) { return wishesOf(r).multiqueue(r) }

func (w wishes) multiqueue(r Request) (bool, error) {
	multi, _, err := w.flag("vif_multiqueue_enabled")
	return multi && w.flavor.VCPUs() > 1 && r.Settings.VirtType != "qemu" && vifModel(r) == "virtio", err
}

// queues is one for each vcpu, as far as taps have them.
func (r Request) queues(vcpus int) uint {
	limit := r.Settings.MaxQueues
	if limit == 0 {
		limit = r.Host.TapQueues
	}
	if limit > 0 {
		vcpus = min(vcpus, limit)
	}
	return uint(vcpus)
}

// vifModel is the image's choice of card, else virtio.
func vifModel(r Request) string {
	image := r.image()
	if model := image.Prop("hw_vif_model"); model != "" {
		return model
	}
	if r.Settings.VirtioForBridges {
		return "virtio"
	}
	return ""
}

// ovs connects a card to Open vSwitch: through a bridge of its own where Neutron filters with iptables, else directly,
// or as a function of a card that the switch is offloaded to.
func (r Request) ovs(nic domainxml.Interface, vif network.VIF, w wishes) (domainxml.Interface, error) {
	switch {
	case vif.VNICType == network.VNICVDPA:
		device := r.Host.VDPADevices[vif.Profile.Str("pci_slot")]
		if device == "" {
			return nic, fmt.Errorf("port %s: no vDPA device at PCI address %q", vif.ID, vif.Profile.Str("pci_slot"))
		}
		nic.Source = domainxml.VDPA(device)
		return nic, nil
	case vif.VNICType == network.VNICVirtioForwarder:
		return r.vhostUser(nic, vif)
	case vif.VNICType == network.VNICDirect, vif.VNICType == network.VNICRemoteManaged:
		address, err := domainxml.ParsePCIAddress(vif.Profile.Str("pci_slot"))
		nic.Source = domainxml.VirtualFunction(address)
		return nic, err
	case vif.HybridPlug():
		nic.Source = domainxml.Bridge(vif.HybridBridge())
	case vif.DelegateCreate:
		nic.Source = domainxml.Ethernet{}
	default:
		nic.Source = domainxml.Bridge(bridgeName(vif))
		nic.OpenVSwitch.InterfaceID = vif.OVSInterfaceID
		if vif.OVSInterfaceID == "" {
			nic.OpenVSwitch.InterfaceID = vif.ID
		}
	}
	nic.MTU = mtu(vif)
	nic.Target.Device = deviceName(vif)
	return nic, setBandwidth(&nic, w.specs)
}

// vhostUser connects a card to a switch in userspace over a shared socket.
func (r Request) vhostUser(nic domainxml.Interface, vif network.VIF) (domainxml.Interface, error) {
	path := vif.Details.Str("vhostuser_socket")
	if path == "" {
		return nic, nova.NewError("VifDetailsMissingVhostuserSockPath", map[string]any{"vif_id": vif.ID})
	}
	mode := vif.Details.Str("vhostuser_mode")
	if mode == "" {
		mode = "server"
	}
	nic.Source = domainxml.VHostUser{Path: path, Mode: mode}
	nic.Driver.Name = ""
	nic.Driver.RXQueueSize, nic.Driver.TXQueueSize = r.Settings.RXQueueSize, r.Settings.TXQueueSize
	nic.Target.Device = deviceName(vif)
	if vif.Details.Bool("vhostuser_ovs_plug") && !vif.Details.Bool("vhostuser_fp_plug") {
		nic.Target.Device = cut("vhu" + vif.ID)
	}
	return nic, nil
}

func macvtap(vif network.VIF) (domainxml.Direct, error) {
	var missing []string
	for _, key := range []string{"macvtap_source", "macvtap_mode", "physical_interface"} {
		if vif.Details.Str(key) == "" {
			missing = append(missing, key)
		}
	}
	if len(missing) > 0 {
		return domainxml.Direct{}, nova.NewError("VifDetailsMissingMacvtapParameters", map[string]any{
			"vif_id": vif.ID, "missing_params": missing,
		})
	}
	return domainxml.Direct{Device: vif.Details.Str("macvtap_source"), Mode: vif.Details.Str("macvtap_mode")}, nil
}

// hwVEB connects a card to the switch within an SR-IOV adapter: as a function of it, or as a macvtap over one.
func (r Request) hwVEB(nic *domainxml.Interface, vif network.VIF) error {
	slot := vif.Profile.Str("pci_slot")
	nic.VLAN = uint(max(0, vif.VLAN()))
	if vif.VNICType == network.VNICDirect || vif.VNICType == vnicAcceleratorDirect {
		address, err := domainxml.ParsePCIAddress(slot)
		nic.Source = domainxml.VirtualFunction(address)
		return err
	}
	device := r.Host.PCIInterfaces[slot]
	if device == "" {
		return fmt.Errorf("port %s: no network interface at PCI address %q", vif.ID, slot)
	}
	nic.Source = domainxml.Direct{Device: device, Mode: "passthrough"}
	nic.Driver.Name = "vhost"
	return nil
}

// setBandwidth reads the quota:vif_* extra specs, which bound each card by itself.
func setBandwidth(nic *domainxml.Interface, specs map[string]string) error {
	for prefix, rate := range map[string]*domainxml.Rate{"quota:vif_inbound_": &nic.Inbound, "quota:vif_outbound_": &nic.Outbound} {
		for suffix, to := range map[string]*int{"average": &rate.Average, "peak": &rate.Peak, "burst": &rate.Burst} {
			text, given := specs[prefix+suffix]
			if !given {
				continue
			}
			n, err := strconv.Atoi(text)
			if err != nil {
				return nova.InvalidInput(prefix + suffix + "=" + text + " is no number")
			}
			*to = n
		}
		if rate.Average == 0 {
			*rate = domainxml.Rate{} // without an average libvirt takes no bound
		}
	}
	return nil
}

func bridgeName(vif network.VIF) string {
	if vif.Network == nil {
		return ""
	}
	return vif.Network.Bridge
}

func mtu(vif network.VIF) uint {
	if vif.Network == nil {
		return 0
	}
	return uint(max(0, vif.Network.MTU()))
}

// deviceName is the tap's name on the host.
func deviceName(vif network.VIF) string {
	if vif.DevName != "" {
		return vif.DevName
	}
	return cut("nic" + vif.ID)
}

// cut shortens a device name to what the names of Neutron's agents have.
func cut(name string) string { return name[:min(len(name), 14)] }
