package numa

import "slices"

// Networks are what the cards of a cell, or the ports of a guest, are connected to.
type Networks struct {
	Physnets []string // physical networks, by Neutron's names
	Tunneled bool     // networks in tunnels
}

// reached reports whether each of the networks is at one of the chosen cells, unless it is at no cell at all.
func (n Networks) reached(chosen, all []Cell) bool {
	for _, physnet := range n.Physnets {
		at := func(c Cell) bool { return slices.Contains(c.Networks.Physnets, physnet) }
		if slices.ContainsFunc(all, at) && !slices.ContainsFunc(chosen, at) {
			return false
		}
	}
	tunneled := func(c Cell) bool { return c.Networks.Tunneled }
	return !n.Tunneled || !slices.ContainsFunc(all, tunneled) || slices.ContainsFunc(chosen, tunneled)
}
