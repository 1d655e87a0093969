package handover

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"bolide/agent/network"
	"bolide/rpc/nova"
)

// recorded is what two of Nova's own nodes told each other when they moved a guest: its data at each station.
type recorded struct {
	Offer    json.RawMessage // of the destination, as it comes to the source
	Complete json.RawMessage // the source's answer
	Bound    json.RawMessage // as the conductor sends it when the ports are bound
	Ready    json.RawMessage // the destination's answer when it has prepared
}

func readRecorded(t *testing.T) (r recorded, ports network.Info) {
	t.Helper()
	raw, err := os.ReadFile("testdata/recorded.json")
	if err == nil {
		err = json.Unmarshal(raw, &r)
	}
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("testdata/network_info.json")
	if err != nil {
		t.Fatal(err)
	}
	if ports, err = network.ParseInfo(string(text)); err != nil {
		t.Fatal(err)
	}
	return r, ports
}

func decode(t *testing.T, raw json.RawMessage) *nova.LiveMigrateData {
	t.Helper()
	o, err := nova.Decode(raw)
	if err != nil {
		t.Fatal(err)
	}
	return nova.As[nova.LiveMigrateData](o)
}

// fields is an object as it goes over the wire, but for the marks of change, whose order means nothing.
func fields(t *testing.T, v any) any {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var out any
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

var ignoreChanges = cmpopts.IgnoreMapEntries(func(key string, _ any) bool { return key == "nova_object.changes" })

// TestDataIsNovas makes at each station what Nova's own node made there.
func TestDataIsNovas(t *testing.T) {
	r, ports := readRecorded(t)
	address := "10.79.0.12"
	offer := Offer{
		Profile: nova.Zed(), TestFile: "tmp50a2zpj_", ImageType: "default", DiskMiB: 73728,
		ListenVNC: "127.0.0.1", ListenSPICE: "127.0.0.1", Ports: ports, PortsAreBound: true,
	}
	complete, ready := decode(t, r.Offer), decode(t, r.Bound)
	Complete(complete, Verdict{Directory: "75a974ea-5b16-42de-9205-5e88496339b8"})
	Ready(ready, Readiness{Address: &address, WaitForVIFs: true})
	for name, c := range map[string]struct {
		got  any
		want json.RawMessage
	}{
		"offer": {offer.Data(), r.Offer}, "complete": {complete, r.Complete}, "ready": {ready, r.Ready},
	} {
		if d := cmp.Diff(fields(t, c.want), fields(t, c.got), ignoreChanges); d != "" {
			t.Errorf("%s (-Nova's +ours):\n%s", name, d)
		}
	}
}

func TestOfferLeavesOpenWhatTheUserLeftOpen(t *testing.T) {
	no := false
	open, closed := Offer{Profile: nova.Zed()}.Data(), Offer{Profile: nova.Zed(), Block: &no, OverCommit: &no, NUMA: true, SerialHost: "10.0.0.1"}.Data()
	if open.Has("block_migration") || open.Has("disk_over_commit") || open.Has("vifs") || open.TakesNUMA() {
		t.Errorf("open offer has %v", open.Fields())
	}
	if !closed.Has("block_migration") || closed.BlockMigration() || !closed.Has("disk_over_commit") || !closed.TakesNUMA() || closed.SerialHost() != "10.0.0.1" {
		t.Errorf("closed offer has %v", closed.Fields())
	}
	Complete(closed, Verdict{SharedDirectory: true, SharedDisks: true})
	if closed.BlockMigration() || !closed.ClaimsNUMA() || !closed.SharedDirectory() {
		t.Errorf("completed offer: %v", fields(t, closed))
	}
}

func TestVIFsAtBothEnds(t *testing.T) {
	r, ports := readRecorded(t)
	data := decode(t, r.Bound)
	here, err := SourceVIFs(*data)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(ports.JSON(), here.JSON()); d != "" {
		t.Error(d)
	}
	there, err := DestinationVIFs(*data)
	if err != nil {
		t.Fatal(err)
	}
	v := there[0]
	if v.Type != "bridge" || v.VNICType != "normal" || !v.DelegateCreate || v.Details.Str("connectivity") != "l2" || v.ID != ports[0].ID {
		t.Errorf("%+v", v)
	}
	unbound, err := DestinationVIFs(*decode(t, r.Offer))
	if err != nil || unbound.JSON() != ports.JSON() {
		t.Errorf("unbound port: %s, %v", unbound.JSON(), err)
	}
}
