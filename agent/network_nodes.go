package agent

import (
	"fmt"
	"slices"
	"strconv"

	"bolide/agent/config"
	"bolide/agent/resources/numa"
	"bolide/hypervisor"
)

// networkNodes is which networks the cards of each memory cell lead to.
type networkNodes map[int]numa.Networks

// readNetworkNodes reads [neutron] physnets with a section for each, and [neutron_tunnel]. The cells named must exist.
func readNetworkNodes(c *config.Config, cells []hypervisor.Cell) (networkNodes, error) {
	out := networkNodes{}
	near := func(section string, nodes []string, add func(*numa.Networks)) error {
		for _, text := range nodes {
			id, err := strconv.Atoi(text)
			if err != nil || !slices.ContainsFunc(cells, func(c hypervisor.Cell) bool { return c.ID == id }) {
				return fmt.Errorf("[%s] numa_nodes: this host has no memory cell %q", section, text)
			}
			n := out[id]
			add(&n)
			out[id] = n
		}
		return nil
	}
	for _, physnet := range c.Neutron.Physnets {
		section, nodes := "neutron_physnet_"+physnet, c.Neutron.PhysnetNodes[physnet]
		if len(nodes) == 0 {
			return nil, fmt.Errorf("[%s] numa_nodes: needed, since [neutron] physnets names the network", section)
		}
		if err := near(section, nodes, func(n *numa.Networks) { n.Physnets = append(n.Physnets, physnet) }); err != nil {
			return nil, err
		}
	}
	return out, near("neutron_tunnel", c.NeutronTunnel.NUMANodes, func(n *numa.Networks) { n.Tunneled = true })
}
