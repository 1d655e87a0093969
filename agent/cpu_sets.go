package agent

import (
	"fmt"
	"slices"
	"strings"

	"bolide/agent/config"
	"bolide/agent/guest"
)

// cpuSets is which of the host's online CPUs guests may use: shared by all that do not ask for their own, or given to
// one guest each.
type cpuSets struct{ shared, dedicated []int }

// readCPUSets works out the sets as Nova does: without configuration all CPUs are shared. The CPUs named must be online.
func readCPUSets(c *config.Config, online []int) (cpuSets, error) {
	named := func(option, spec string) ([]int, error) {
		cpus, err := guest.ParseCPUs(spec)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", option, err)
		}
		for _, cpu := range cpus {
			if !slices.Contains(online, cpu) {
				return nil, fmt.Errorf("%s names CPU %d, which is not online (online are %s)", option, cpu, strings.Trim(fmt.Sprint(online), "[]"))
			}
		}
		return cpus, nil
	}
	var sets cpuSets
	var err error
	switch {
	case c.Default.VCPUPinSet != "":
		sets.shared, err = named("[DEFAULT] vcpu_pin_set", c.Default.VCPUPinSet)
	case c.Compute.CPUSharedSet != "":
		sets.shared, err = named("[compute] cpu_shared_set", c.Compute.CPUSharedSet)
	case c.Compute.CPUDedicatedSet == "":
		sets.shared = online
	}
	if err == nil && c.Compute.CPUDedicatedSet != "" {
		sets.dedicated, err = named("[compute] cpu_dedicated_set", c.Compute.CPUDedicatedSet)
	}
	if err != nil {
		return cpuSets{}, err
	}
	for _, cpu := range sets.dedicated {
		if slices.Contains(sets.shared, cpu) {
			return cpuSets{}, fmt.Errorf("CPU %d is in both [compute] cpu_shared_set and cpu_dedicated_set", cpu)
		}
	}
	return sets, nil
}

// pinnable is the CPUs that pinned guests may use: those set aside, or without such a set, as old configurations have
// it, the shared ones.
func (s cpuSets) pinnable(c *config.Config) []int {
	if len(s.dedicated) > 0 || c.Compute.CPUSharedSet != "" && c.Default.VCPUPinSet == "" {
		return s.dedicated
	}
	return s.shared
}
