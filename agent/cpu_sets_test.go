package agent

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"bolide/agent/config"
)

func TestReadCPUSets(t *testing.T) {
	online := []int{0, 1, 2, 3}
	for name, c := range map[string]struct {
		pin, shared, dedicated           string
		wantShared, wantDedicated, alone []int
		wrong                            bool
	}{
		"nothing set":       {wantShared: online, alone: online},
		"legacy":            {pin: "1-2", wantShared: []int{1, 2}, alone: []int{1, 2}},
		"shared":            {shared: "0,1", wantShared: []int{0, 1}},
		"dedicated":         {dedicated: "2-3", wantDedicated: []int{2, 3}, alone: []int{2, 3}},
		"both":              {shared: "0-1", dedicated: "2,3", wantShared: []int{0, 1}, wantDedicated: []int{2, 3}, alone: []int{2, 3}},
		"not online":        {dedicated: "4", wrong: true},
		"in both":           {shared: "0-2", dedicated: "2-3", wrong: true},
		"not a set of CPUs": {shared: "x", wrong: true},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := &config.Config{}
			cfg.Default.VCPUPinSet, cfg.Compute.CPUSharedSet, cfg.Compute.CPUDedicatedSet = c.pin, c.shared, c.dedicated
			sets, err := readCPUSets(cfg, online)
			if (err != nil) != c.wrong {
				t.Fatalf("err = %v", err)
			}
			if c.wrong {
				return
			}
			if diff := cmp.Diff([][]int{c.wantShared, c.wantDedicated, c.alone}, [][]int{sets.shared, sets.dedicated, sets.pinnable(cfg)}); diff != "" {
				t.Error(diff)
			}
		})
	}
}
