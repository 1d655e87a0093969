package agent

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bolide/agent/config"
	"bolide/hypervisor"
	"bolide/rpc/nova"
)

func TestReservedPages(t *testing.T) {
	type entries = []map[string]string
	for name, c := range map[string]struct {
		entries entries
		want    reservedPages // nil: refused
	}{
		"none":           {nil, reservedPages{}},
		"in KiB":         {entries{{"node": "0", "size": "2048", "count": "64"}}, reservedPages{0: {2048: 64}}},
		"with units":     {entries{{"node": "0", "size": "2MB", "count": "64"}, {"node": "1", "size": "1GB", "count": "1"}, {"node": "1", "size": "2MiB", "count": "3"}}, reservedPages{0: {2048: 64}, 1: {1 << 20: 1, 2048: 3}}},
		"no node":        {entries{{"size": "2048", "count": "64"}}, nil},
		"no size":        {entries{{"node": "0", "count": "64"}}, nil},
		"unknown unit":   {entries{{"node": "0", "size": "2TB", "count": "64"}}, nil},
		"negative count": {entries{{"node": "0", "size": "2048", "count": "-1"}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := readReservedPages(configWith(c.entries))
			if diff := cmp.Diff(c.want, got); diff != "" || (err == nil) != (c.want != nil) {
				t.Errorf("%v\n%s", err, diff)
			}
		})
	}
}

// TestReservedPagesAreTold looks for them in what the scheduler reads of the host.
func TestReservedPagesAreTold(t *testing.T) {
	facts := &hypervisor.Facts{Cells: []hypervisor.Cell{
		{ID: 0, Pages: []hypervisor.Pages{{SizeKiB: 4, Count: 1000}, {SizeKiB: 2048, Count: 512}}},
		{ID: 1, Pages: []hypervisor.Pages{{SizeKiB: 4, Count: 1000}, {SizeKiB: 2048, Count: 512}}},
	}}
	text, err := numaTopology(nova.Zed(), facts, usable{Reserved: reservedPages{1: {2048: 64}}})
	if err != nil {
		t.Fatal(err)
	}
	o, err := nova.Decode(json.RawMessage(text))
	if err != nil {
		t.Fatal(err)
	}
	var got []int64
	for _, c := range o.List("cells") {
		for _, p := range c.List("mempages") {
			got = append(got, p.Int("reserved"))
		}
	}
	if diff := cmp.Diff([]int64{0, 0, 0, 64}, got); diff != "" {
		t.Error(diff)
	}
}

func configWith(reserved []map[string]string) *config.Config {
	c := &config.Config{}
	c.Default.ReservedHugePages = reserved
	return c
}
