package guest

import (
	"fmt"
	"slices"

	"bolide/hypervisor/domainxml"
	"bolide/rpc/nova"
)

// addRNG adds the source of random numbers, unless the flavor forbids it.
func addRNG(g *domainxml.Guest, r Request, w wishes) error {
	if allowed, given := w.specs["hw_rng:allowed"]; given && !truthy(allowed) {
		return nil
	}
	bytes, err := w.specInt("hw_rng:rate_bytes")
	if err != nil {
		return err
	}
	period, err := w.specInt("hw_rng:rate_period")
	if err != nil {
		return err
	}
	g.RNG.Device = r.Settings.RNGDevice
	if bytes > 0 && period > 0 {
		g.RNG.Bytes, g.RNG.Period = uint(bytes), uint(period)
	}
	return nil
}

// addWatchdog adds a watchdog, of which the image says before the flavor what it does.
func addWatchdog(g *domainxml.Guest, _ Request, w wishes) error {
	action := w.props.Str("hw_watchdog_action")
	if action == "" {
		action = w.specs["hw:watchdog_action"]
	}
	switch action {
	case "", "disabled":
	case "none", "pause", "poweroff", "reset":
		g.Watchdog = domainxml.Watchdog{Model: "i6300esb", Action: action}
	default:
		return nova.NewError("InvalidWatchdogAction", map[string]any{"action": action})
	}
	return nil
}

func addBalloon(g *domainxml.Guest, r Request, _ wishes) error {
	if period := r.Settings.MemStatsSeconds; period > 0 {
		g.Balloon = domainxml.Balloon{Model: "virtio", StatsSeconds: period}
	}
	return nil
}

// addControllers adds the PCIe ports that devices can be plugged into later, and keeps USB away from guests that have
// no use for it.
func addControllers(g *domainxml.Guest, r Request, _ wishes) error {
	if r.Settings.PCIePorts > 0 && r.Host.Arch == "x86_64" && isQ35(g.Boot.Machine) {
		g.Controllers = append(g.Controllers, domainxml.Controller{Type: "pci", Model: "pcie-root"})
		for range r.Settings.PCIePorts {
			g.Controllers = append(g.Controllers, domainxml.Controller{Type: "pci", Model: "pcie-root-port"})
		}
	}
	usb := domainxml.Controller{Type: "usb", Index: new(uint(0))}
	if !slices.ContainsFunc(g.Disks, func(d domainxml.Disk) bool { return d.Bus == "usb" }) &&
		!slices.ContainsFunc(g.Inputs, func(i domainxml.Input) bool { return i.Bus == "usb" }) {
		usb.Model = "none"
	}
	g.Controllers = append(g.Controllers, usb)
	return nil
}

// addHostDevices hands over the PCI devices that the flavor asked for by alias, and mediated devices.
func addHostDevices(g *domainxml.Guest, r Request, _ wishes) error {
	byAlias := map[string]bool{}
	for _, request := range r.Instance.PCIRequests().Requests() {
		byAlias[request.Str("request_id")] = !request.IsNull("alias_name")
	}
	for _, device := range r.Instance.PCIDevices() {
		if !byAlias[device.RequestID()] {
			continue // belongs to a port
		}
		address, err := domainxml.ParsePCIAddress(device.Address())
		if err != nil {
			return err
		}
		g.HostDevices = append(g.HostDevices, domainxml.PCIDevice(address))
	}
	for _, uuid := range r.MDevs {
		g.HostDevices = append(g.HostDevices, domainxml.MediatedDevice(uuid))
	}
	return nil
}

// sevPolicy forbids debugging, key sharing and what else could open the guest's memory to the host.
const sevPolicy = 0x33

// addSEV encrypts the guest's memory, where it is asked for.
func addSEV(g *domainxml.Guest, r Request, w wishes) error {
	encrypted, err := w.memoryEncryption(r)
	if !encrypted || err != nil {
		return err
	}
	g.Memory.Backing.Locked = true
	g.SEV = domainxml.SEV{CBitPos: r.Host.SEV.CBitPos, ReducedPhysBits: r.Host.SEV.ReducedPhysBits, Policy: sevPolicy}
	return nil
}

// memoryEncryption tells whether the guest's memory is to be encrypted. Hosts that cannot are not asked to.
func (w wishes) memoryEncryption(r Request) (bool, error) {
	if r.Host.SEV == nil {
		return false, nil
	}
	wanted, _, err := w.flag("mem_encryption")
	if !wanted || err != nil {
		return false, err
	}
	if w.props.Str("hw_firmware_type") != "uefi" {
		return false, nova.NewErrorText("FlavorImageConflict", fmt.Sprintf(
			"Memory encryption requested but image %s doesn't have 'hw_firmware_type' property set to 'uefi'", w.image.Name()))
	}
	if machine := r.machineType(); !isQ35(machine) {
		return false, nova.NewError("InvalidMachineType", map[string]any{
			"mtype": machine, "image_id": w.image.ID(), "image_name": w.image.Name(), "reason": "q35 type is required for SEV to work",
		})
	}
	return true, nil
}

// addIOMMU adds a virtual IOMMU.
func addIOMMU(g *domainxml.Guest, r Request, w wishes) error {
	model := w.specs["hw:viommu_model"]
	if model == "" {
		model = w.props.Str("hw_viommu_model")
	}
	if model == "" {
		return nil
	}
	switch {
	case !isX86(r.arch()):
		return nova.NewError("InvalidVIOMMUArchitecture", map[string]any{"arch": r.arch()})
	case !isQ35(g.Boot.Machine):
		return nova.NewError("InvalidVIOMMUMachineType", map[string]any{"mtype": g.Boot.Machine, "arch": r.arch()})
	}
	if model == "auto" {
		model = "intel"
		if r.Host.Libvirt >= libvirtVirtioIOMMU {
			model = "virtio"
		}
	}
	g.IOMMU = domainxml.IOMMU{Model: model, ExtendedMode: true}
	if r.Host.Libvirt >= libvirtIOMMUAddressWidth {
		g.IOMMU.AddressWidth = 48
	}
	g.Features.IOAPIC = "qemu"
	return nil
}
