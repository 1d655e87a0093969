package agent

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"bolide/agent/resources"
	"bolide/agent/resources/numa"
	"bolide/rpc/nova"
)

// TestNUMALimits reads what the scheduler promised this host over, in the forms in which it comes.
func TestNUMALimits(t *testing.T) {
	p := nova.Zed()
	networks, over, all := p.New("NetworkMetadata"), p.New("NUMATopologyLimits"), p.New("SchedulerLimits")
	networks.Set("physnets", []string{"outside"})
	networks.Set("tunneled", true)
	over.Set("cpu_allocation_ratio", 16.0)
	over.Set("ram_allocation_ratio", 1.5)
	over.Set("network_metadata", networks)
	all.Set("numa_topology", over)
	none := p.New("SchedulerLimits")
	none.Set("numa_topology", nil)
	want := &resources.NUMALimits{CPURatio: 16, RAMRatio: 1.5, Networks: numa.Networks{Physnets: []string{"outside"}, Tunneled: true}}
	for name, c := range map[string]struct {
		sent any
		want *resources.NUMALimits
	}{
		"an object":           {all, want},
		"a dictionary":        {map[string]any{"numa_topology": over}, want},
		"an object of none":   {none, nil},
		"an empty dictionary": {map[string]any{}, nil},
		"nothing":             {nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			sent, err := nova.DecodeValue(asJSON(t, c.sent))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, numaLimits(sent)); diff != "" {
				t.Error(diff)
			}
		})
	}
}
