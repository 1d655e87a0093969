package agent

import (
	"strings"
	"testing"

	"bolide/agent/network"
	"bolide/hypervisor"
	"bolide/rpc"
)

// TestGuestsMetadataShowsItsPorts looks into the guest and its definition, while it runs and when it is off.
func TestGuestsMetadataShowsItsPorts(t *testing.T) {
	m := movable(t)
	task := m.ownTask("look", m.uuid, rpc.AdminContext())
	ctx := within(t, patience)
	if err := task.load(ctx); err != nil {
		t.Fatal(err)
	}
	look := func(ports network.Info, where ...hypervisor.XMLOptions) {
		t.Helper()
		if err := task.renewMetadata(ctx, ports); err != nil {
			t.Fatal(err)
		}
		for _, o := range where {
			xml, err := m.hypervisor.XML(ctx, m.uuid, o)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(xml, `<nova:port uuid="a"`) != (len(ports) > 0) || strings.Count(xml, "<nova:instance ") != 1 {
				t.Errorf("with %d ports:\n%s", len(ports), xml)
			}
		}
	}
	live, defined := hypervisor.XMLOptions{}, hypervisor.XMLOptions{Inactive: true}
	look(elsewhere(t), live, defined)
	look(nil, live, defined)
	if err := m.hypervisor.Destroy(ctx, m.uuid); err != nil {
		t.Fatal(err)
	}
	look(elsewhere(t), defined)
}
