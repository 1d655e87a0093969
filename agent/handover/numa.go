package handover

import (
	"strconv"

	"bolide/agent/guest"
	"bolide/hypervisor/domainxml"
	"bolide/rpc/nova"
)

// Pins tells the source where the guest's CPUs and memory cells go at the destination.
func Pins(p nova.Profile, cpus domainxml.CPUTune, cells domainxml.NUMATune) (*nova.Object, error) {
	info := p.New("LibvirtLiveMigrateNUMAInfo")
	if len(cpus.Pins) == 0 || len(cells.Cells) == 0 {
		return info, nil
	}
	pins, nodes := map[string][]int{}, map[string][]int{}
	var err error
	for _, pin := range cpus.Pins {
		if pins[strconv.Itoa(int(pin.VCPU))], err = guest.ParseCPUs(pin.Set); err != nil {
			return nil, err
		}
	}
	for _, cell := range cells.Cells {
		if nodes[strconv.Itoa(int(cell.Cell))], err = guest.ParseCPUs(cell.Nodes); err != nil {
			return nil, err
		}
	}
	emulator, err := guest.ParseCPUs(cpus.EmulatorSet)
	if err != nil {
		return nil, err
	}
	info.Set("cpu_pins", pins)
	info.Set("cell_pins", nodes)
	info.Set("emulator_pins", emulator)
	if len(cpus.Schedulers) == 0 {
		return info, nil
	}
	realtime, err := guest.ParseCPUs(cpus.Schedulers[0].VCPUs)
	if err != nil {
		return nil, err
	}
	info.Set("sched_vcpus", realtime)
	info.Set("sched_priority", cpus.Schedulers[0].Priority)
	return info, nil
}
