package agent

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bolide/agent/config"
	"bolide/hypervisor"
	"bolide/rpc/nova"
)

// TestNetworksOfMemoryCells looks for them in what the scheduler reads of the host.
func TestNetworksOfMemoryCells(t *testing.T) {
	type nodes = map[string][]string
	facts := &hypervisor.Facts{Cells: []hypervisor.Cell{{ID: 0}, {ID: 1}}}
	for name, c := range map[string]struct {
		physnets []string
		nodes    nodes
		tunnel   []string
		want     []string // of each cell, as JSON; nil: refused
	}{
		"none":                 {nil, nil, nil, []string{`[] false`, `[] false`}},
		"near one and both":    {[]string{"a", "b"}, nodes{"a": {"1"}, "b": {"0", "1"}}, nil, []string{`["b"] false`, `["a","b"] false`}},
		"tunnels":              {nil, nil, []string{"0"}, []string{`[] true`, `[] false`}},
		"no node for one":      {[]string{"a"}, nodes{"a": nil}, nil, nil},
		"node that is not":     {[]string{"a"}, nodes{"a": {"7"}}, nil, nil},
		"tunnel where no node": {nil, nil, []string{"x"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := &config.Config{}
			cfg.Neutron.Physnets, cfg.Neutron.PhysnetNodes, cfg.NeutronTunnel.NUMANodes = c.physnets, c.nodes, c.tunnel
			networks, err := readNetworkNodes(cfg, facts.Cells)
			if c.want == nil {
				if err == nil {
					t.Errorf("accepted: %v", networks)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			text, err := numaTopology(nova.Zed(), facts, usable{Networks: networks})
			if err != nil {
				t.Fatal(err)
			}
			topology, err := nova.Decode(json.RawMessage(text))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, cell := range topology.List("cells") {
				m := cell.Obj("network_metadata")
				physnets, err := json.Marshal(m.Raw("physnets"))
				if err != nil {
					t.Fatal(err)
				}
				tunneled, err := json.Marshal(m.Bool("tunneled"))
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, string(physnets)+" "+string(tunneled))
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
