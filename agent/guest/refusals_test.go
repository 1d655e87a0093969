package guest

import (
	"testing"

	"bolide/agent/network"
	"bolide/hypervisor/domainxml"
	"bolide/rpc/nova"
)

// ask is a request for the plainest guest, with extra specs and image properties.
func ask(t *testing.T, specs map[string]string, properties map[string]any) Request {
	t.Helper()
	r := find(t, "plain").request(t)
	r.Instance.Flavor().Set("extra_specs", specs)
	r.Image = nova.ImageFromDict(map[string]any{"name": "picture", "properties": properties})
	return r
}

func describe(r Request) (domainxml.Guest, error) {
	if _, err := SerialPortCount(r); err != nil {
		return domainxml.Guest{}, err
	}
	disks, err := PlanDisks(r)
	if err != nil {
		return domainxml.Guest{}, err
	}
	return Describe(r, disks)
}

// TestRefusals checks that what cannot be is refused with the exception that Nova's API knows.
func TestRefusals(t *testing.T) {
	type props = map[string]any
	for name, c := range map[string]struct {
		specs  map[string]string
		props  props
		change func(r *Request)
		class  string
	}{
		"disk bus":                {props: props{"hw_disk_bus": "xen"}, class: "UnsupportedHardware"},
		"card":                    {props: props{"hw_vif_model": "netfront"}, class: "UnsupportedHardware"},
		"screen":                  {props: props{"hw_video_model": "voodoo"}, class: "InvalidVideoMode"},
		"screen memory":           {props: props{"hw_video_ram": "64"}, specs: map[string]string{"hw_video:ram_max_mb": "32"}, class: "RequestedVRamTooHigh"},
		"machine":                 {props: props{"hw_machine_type": "amiga"}, class: "InvalidMachineType"},
		"watchdog":                {specs: map[string]string{"hw:watchdog_action": "bark"}, class: "InvalidWatchdogAction"},
		"watchdog of image":       {props: props{"hw_watchdog_action": "bark"}, specs: map[string]string{"hw:watchdog_action": "reset"}, class: "InvalidWatchdogAction"},
		"pmu":                     {props: props{"hw_pmu": true}, specs: map[string]string{"hw:pmu": "no"}, class: "FlavorImageConflict"},
		"locked memory differs":   {props: props{"hw_locked_memory": true}, specs: map[string]string{"hw:locked_memory": "no"}, class: "FlavorImageLockedMemoryConflict"},
		"locked memory alone":     {props: props{"hw_locked_memory": true}, class: "LockMemoryForbidden"},
		"too many serial ports":   {props: props{"hw_serial_port_count": 5}, change: serialConsole, class: "SerialPortNumberLimitExceeded"},
		"more serial ports":       {props: props{"hw_serial_port_count": 3}, specs: map[string]string{"hw:serial_port_count": "2"}, change: serialConsole, class: "ImageSerialPortNumberExceedFlavorValue"},
		"no number of ports":      {specs: map[string]string{"hw:serial_port_count": "two"}, change: serialConsole, class: "ImageSerialPortNumberInvalid"},
		"topology limits":         {props: props{"hw_cpu_max_cores": 4}, specs: map[string]string{"hw:cpu_max_cores": "2"}, class: "ImageVCPULimitsRangeExceeded"},
		"topology":                {props: props{"hw_cpu_cores": 4, "hw_cpu_max_cores": 2}, class: "ImageVCPUTopologyRangeExceeded"},
		"topology impossible":     {specs: map[string]string{"hw:cpu_max_sockets": "1", "hw:cpu_max_cores": "1", "hw:cpu_max_threads": "1"}, change: twoCPUs, class: "ImageVCPULimitsRangeImpossible"},
		"topology is no number":   {specs: map[string]string{"hw:cpu_cores": "many"}, class: "InvalidRequest"},
		"quota without cgroup":    {specs: map[string]string{"quota:cpu_shares": "1"}, change: func(r *Request) { r.Host.CPUControl = false }, class: "UnsupportedHostCPUControlPolicy"},
		"disk quota":              {specs: map[string]string{"quota:disk_read_iops_sec": "-1"}, class: "InvalidInput"},
		"card quota":              {specs: map[string]string{"quota:vif_inbound_average": "fast"}, class: "InvalidInput"},
		"no UEFI":                 {props: props{"hw_firmware_type": "uefi"}, change: func(r *Request) { r.Host.Firmware = nil }, class: "UEFINotSupported"},
		"secure boot on pc":       {props: props{"hw_firmware_type": "uefi", "os_secure_boot": "required"}, class: "SecureBootNotSupported"},
		"secure boot differs":     {props: props{"hw_firmware_type": "uefi", "os_secure_boot": "required"}, specs: map[string]string{"os:secure_boot": "disabled"}, class: "FlavorImageConflict"},
		"secure boot policy":      {props: props{"hw_firmware_type": "uefi"}, specs: map[string]string{"os:secure_boot": "perhaps"}, class: "Invalid"},
		"TPM version":             {specs: map[string]string{"hw:tpm_version": "3"}, class: "Invalid"},
		"TPM model":               {specs: map[string]string{"hw:tpm_version": "2.0", "hw:tpm_model": "x"}, class: "Invalid"},
		"TPM model for version":   {specs: map[string]string{"hw:tpm_version": "1.2", "hw:tpm_model": "tpm-crb"}, class: "Invalid"},
		"TPM differs":             {props: props{"hw_tpm_version": "1.2"}, specs: map[string]string{"hw:tpm_version": "2.0"}, class: "FlavorImageConflict"},
		"TPM model differs":       {props: props{"hw_tpm_model": "tpm-tis"}, specs: map[string]string{"hw:tpm_version": "2.0", "hw:tpm_model": "tpm-crb"}, class: "FlavorImageConflict"},
		"TPM without secret":      {specs: map[string]string{"hw:tpm_version": "2.0"}, class: "Invalid"},
		"IOMMU on pc":             {props: props{"hw_viommu_model": "intel"}, class: "InvalidVIOMMUMachineType"},
		"IOMMU elsewhere":         {props: props{"hw_viommu_model": "virtio", "hw_architecture": "s390x", "hw_machine_type": "q35"}, class: "InvalidVIOMMUArchitecture"},
		"encryption without UEFI": {props: props{"hw_mem_encryption": true}, change: func(r *Request) { r.Host.SEV = &SEV{} }, class: "FlavorImageConflict"},
		"encryption on pc":        {props: props{"hw_mem_encryption": true, "hw_firmware_type": "uefi"}, change: func(r *Request) { r.Host.SEV = &SEV{} }, class: "InvalidMachineType"},
		"realtime everywhere":     {specs: map[string]string{"hw:cpu_realtime": "yes"}, change: oneCell, class: "RealtimeMaskNotFoundOrInvalid"},
		"realtime beyond":         {specs: map[string]string{"hw:cpu_realtime": "yes", "hw:cpu_realtime_mask": "1-9"}, change: oneCell, class: "RealtimeMaskNotFoundOrInvalid"},
		"realtime mask":           {specs: map[string]string{"hw:cpu_realtime": "yes", "hw:cpu_realtime_mask": "^x"}, change: oneCell, class: "Invalid"},
		"pages without NUMA": {change: func(r *Request) {
			oneCell(r)
			r.Instance.NUMATopology().Cells()[0].Set("pagesize", 2048)
			r.Host.NUMA = nil
		}, class: "MemoryPagesUnsupported"},
		"rescue device":     {change: rescueBy("hw_rescue_device", "tape"), class: "UnsupportedRescueDevice"},
		"rescue bus":        {change: rescueBy("hw_rescue_bus", "pci"), class: "UnsupportedRescueBus"},
		"unbound port":      {change: port(`{"type": "binding_failed"}`), class: "InternalError"},
		"vhost-user socket": {change: port(`{"type": "vhostuser"}`), class: "VifDetailsMissingVhostuserSockPath"},
		"macvtap source":    {change: port(`{"type": "macvtap", "vnic_type": "macvtap"}`), class: "VifDetailsMissingMacvtapParameters"},
	} {
		t.Run(name, func(t *testing.T) {
			r := ask(t, c.specs, c.props)
			if c.change != nil {
				c.change(&r)
			}
			if g, err := describe(r); !nova.Is(err, c.class) {
				t.Errorf("error is %v, want %s; guest %+v", err, c.class, g)
			}
		})
	}
}

// TestHostLacks are refusals that are the host's fault, not the request's.
func TestHostLacks(t *testing.T) {
	for name, vif := range map[string]string{
		"vDPA device":    `{"type": "ovs", "vnic_type": "vdpa", "profile": {"pci_slot": "0000:81:00.7"}}`,
		"interface":      `{"type": "hw_veb", "vnic_type": "macvtap", "profile": {"pci_slot": "0000:81:00.5"}}`,
		"function":       `{"type": "hw_veb", "vnic_type": "direct", "profile": {}}`,
		"offloaded card": `{"type": "ovs", "vnic_type": "direct", "profile": {"pci_slot": "x"}}`,
		"whole card":     `{"type": "hostdev_physical", "vnic_type": "direct-physical"}`,
	} {
		t.Run(name, func(t *testing.T) {
			r := ask(t, nil, nil)
			port(vif)(&r)
			if g, err := describe(r); err == nil {
				t.Errorf("described %+v", g)
			}
		})
	}
}

func serialConsole(r *Request) { r.Settings.SerialConsole = true }

func twoCPUs(r *Request) { r.Instance.Flavor().Set("vcpus", 2) }

func oneCell(r *Request) {
	cell := nova.NewObject("InstanceNUMACell", "1.6")
	cell.Set("id", 0)
	cell.Set("memory", 64)
	cell.Set("cpuset", []int{0})
	topology := nova.NewObject("InstanceNUMATopology", "1.3")
	topology.Set("cells", []*nova.Object{cell})
	r.Instance.Set("numa_topology", topology)
}

func rescueBy(property, value string) func(r *Request) {
	return func(r *Request) {
		r.Rescue = &Rescue{Image: nova.ImageFromDict(map[string]any{"properties": map[string]any{property: value}})}
	}
}

// port gives the guest one port, in Nova's JSON.
func port(vif string) func(r *Request) {
	return func(r *Request) {
		info, err := network.ParseInfo("[" + vif + "]")
		if err != nil {
			panic(err)
		}
		info[0].Address = "fa:16:3e:00:00:01"
		r.Network = info
	}
}
