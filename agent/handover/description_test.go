package handover

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"libvirt.org/go/libvirtxml"

	"bolide/rpc/nova"
)

// TestDescriptionsAreNovas makes of a guest's description what Nova's own driver makes of it for the destination
// (testdata/generate.py).
func TestDescriptionsAreNovas(t *testing.T) {
	files, err := filepath.Glob("testdata/description/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no cases", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			parts := sections(t, file)
			var specs map[string]string
			if err := json.Unmarshal(parts["flavor.json"], &specs); err != nil {
				t.Fatal(err)
			}
			_, shares := specs["quota:cpu_shares"]
			got, err := Describe(string(parts["here.xml"]), Changes{Data: *decode(t, parts["data.json"]), KeepShares: shares})
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(plain(t, string(parts["there.xml"])), plain(t, got)); d != "" {
				t.Errorf("(-Nova's +ours)\n%s", d)
			}
		})
	}
}

func sections(t *testing.T, file string) map[string][]byte {
	t.Helper()
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]byte{}
	for _, f := range archive.Files {
		out[f.Name] = f.Data
	}
	return out
}

// plain writes a description in the one way that libvirtxml has.
func plain(t *testing.T, xml string) string {
	t.Helper()
	var d libvirtxml.Domain
	if err := d.Unmarshal(xml); err != nil {
		t.Fatal(err)
	}
	if d.Perf != nil && len(d.Perf.Events) == 0 {
		d.Perf = nil // as good as none
	}
	out, err := d.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

const twoCards = `<domain type="qemu"><name>instance-00000001</name><devices>
<interface type="bridge"><mac address="FA:16:3e:00:00:01"/><source bridge="brq1"/><target dev="tap1"/><model type="virtio"/>
<driver name="qemu" queues="2"/><mtu size="1450"/><address type="pci" domain="0x0000" bus="0x00" slot="0x03" function="0x0"/></interface>
<interface type="bridge"><mac address="fa:16:3e:00:00:02"/><source bridge="brq2"/><target dev="tap2"/><model type="e1000"/></interface>
</devices></domain>`

func card(t *testing.T, xml string) libvirtxml.DomainInterface {
	t.Helper()
	var c libvirtxml.DomainInterface
	if err := c.Unmarshal(xml); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestCardsKeepTheirFaces connects cards to other networks; what the guest sees of them stays.
func TestCardsKeepTheirFaces(t *testing.T) {
	there := map[string]libvirtxml.DomainInterface{
		"fa:16:3e:00:00:01": card(t, `<interface type="ethernet"><mac address="fa:16:3e:00:00:01"/><target dev="tapX"/><model type="virtio"/><driver name="vhost"/><mtu size="9000"/></interface>`),
		"fa:16:3e:00:00:02": card(t, `<interface type="bridge"><mac address="fa:16:3e:00:00:02"/><source bridge="brqB"/><target dev="tapY"/><model type="virtio"/><mtu size="1500"/></interface>`),
	}
	got, err := Describe(twoCards, Changes{Data: nova.LiveMigrateData{}, Cards: there})
	if err != nil {
		t.Fatal(err)
	}
	want := `<domain type="qemu"><name>instance-00000001</name><devices>
<interface type="ethernet"><mac address="FA:16:3e:00:00:01"/><target dev="tapX"/><model type="virtio"/><driver name="vhost"/>
<mtu size="1450"/><address type="pci" domain="0x0000" bus="0x00" slot="0x03" function="0x0"/></interface>
<interface type="bridge"><mac address="fa:16:3e:00:00:02"/><source bridge="brqB"/><target dev="tapY"/><model type="e1000"/></interface>
</devices></domain>`
	if d := cmp.Diff(plain(t, want), plain(t, got)); d != "" {
		t.Error(d)
	}
}

func TestDescriptionsThatCannotBe(t *testing.T) {
	pins := nova.Zed().New("LibvirtLiveMigrateNUMAInfo")
	pins.Set("cpu_pins", map[string][]int{"0": {1}})
	data := nova.LiveMigrateData{Object: nova.Zed().New("LibvirtLiveMigrateData")}
	data.Set("dst_numa_info", pins)
	for name, c := range map[string]struct {
		xml     string
		changes Changes
	}{
		"not XML":              {"<domain", Changes{}},
		"card of no port":      {twoCards, Changes{Cards: map[string]libvirtxml.DomainInterface{}}},
		"pins for a loose one": {twoCards, Changes{Data: data}},
	} {
		if _, err := Describe(c.xml, c.changes); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
