package network

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bolide/agent/cloud"
)

// vifCase is what Neutron says around one port and the network information that
// Nova's own code, given the same, makes of it.
type vifCase struct {
	Name     string
	Port     record
	Network  record
	Subnets  []record
	DHCP     []cloud.Port
	Floating []cloud.FloatingIP
	Preserve bool
	Info     string
	Error    string
}

// record is the difference to the base record of its kind.
type record map[string]json.RawMessage

func (r record) over(base record, v any) error {
	merged := record{}
	for _, part := range []record{base, r} {
		for name, value := range part {
			merged[name] = value
		}
	}
	raw, err := json.Marshal(merged)
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, v)
}

func TestVIFsAreNovas(t *testing.T) {
	raw, err := os.ReadFile("testdata/vifs.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Base struct {
			Port, Network, Subnet record
			DHCP                  []cloud.Port
		}
		Cases []vifCase
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	for _, c := range file.Cases {
		t.Run(c.Name, func(t *testing.T) {
			f := &facts{networks: map[string]cloud.NetworkRecord{}, dhcp: file.Base.DHCP, floating: c.Floating}
			if c.DHCP != nil {
				f.dhcp = c.DHCP
			}
			var p cloud.Port
			var n cloud.NetworkRecord
			if err := c.Port.over(file.Base.Port, &p); err != nil {
				t.Fatal(err)
			}
			if err := c.Network.over(file.Base.Network, &n); err != nil {
				t.Fatal(err)
			}
			f.networks[n.ID] = n
			if c.Subnets == nil {
				c.Subnets = []record{{}}
			}
			for _, r := range c.Subnets {
				var s cloud.Subnet
				if err := r.over(file.Base.Subnet, &s); err != nil {
					t.Fatal(err)
				}
				f.subnets = append(f.subnets, s)
			}
			vif, err := f.vif(p, Options{OVSBridge: "br-int"})
			if c.Error != "" {
				if !Is(err, Failure) || err.Error() != "NovaException: "+c.Error {
					t.Errorf("error %v, want %s", err, c.Error)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			vif.PreserveOnDelete = c.Preserve
			if diff := cmp.Diff(c.Info, Info{vif}.JSON()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestVIFOfAVanishedNetwork still describes the port.
func TestVIFOfAVanishedNetwork(t *testing.T) {
	f := &facts{networks: map[string]cloud.NetworkRecord{}}
	vif, err := f.vif(cloud.Port{ID: "p", NetworkID: "n", TenantID: "t", VIFType: TypeOVS}, Options{OVSBridge: "br-int"})
	if err != nil || vif.Network.Label != nil || vif.Network.TenantID() != "t" || vif.Network.Bridge != "br-int" {
		t.Errorf("%s, %v", Info{vif}.JSON(), err)
	}
}
