package faults

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/vishvananda/netlink"

	"bolide/agent/audit"
	"bolide/agent/status"
	"bolide/rpc"
	"bolide/rpc/nova"
	"bolide/test/controller/cell"
)

const (
	auditGuests = 200
	auditLimit  = 10 * time.Second // of so many
)

// audited asks the node for an audit, and returns what it found as "kind instance
// object".
func (g *ground) audited(fix ...audit.Kind) ([]string, audit.Report) {
	g.t.Helper()
	method, path := http.MethodGet, "/v1/audit"
	for i, k := range fix {
		method, path = http.MethodPost, path+[]string{"?", "&"}[min(i, 1)]+"fix="+string(k)
	}
	var r audit.Report
	g.must(status.NewClient(filepath.Join(g.dir, "status.sock")).Ask(g.ctx(), method, path, &r))
	var found []string
	for _, d := range r.Differences {
		found = append(found, strings.Join(strings.Fields(fmt.Sprint(d.Kind, " ", d.Instance, " ", d.Object)), " "))
		if d.Outcome != "" && d.Outcome != audit.Mended {
			g.t.Errorf("%+v", d)
		}
	}
	slices.Sort(found)
	return found, r
}

// TestAudit makes one difference of each kind that can be made, finds each of them,
// and mends what may be mended.
func TestAudit(t *testing.T) {
	g := newGround(t, "")
	guest, gone, stranger := g.boot(), g.boot(), uuid.NewString()
	g.drop(gone)
	g.await(guest, "ACTIVE")
	if found, r := g.audited(); len(found) > 0 || r.Guests != 1 {
		t.Fatalf("before anything was broken: %q, %+v", found, r)
	}

	g.define(stranger, "stranger")
	g.define(gone, "revenant")
	g.must(os.MkdirAll(filepath.Join(g.instances(), gone+"_resize"), 0o755))
	g.must(netlink.LinkAdd(&netlink.Tuntap{LinkAttrs: netlink.LinkAttrs{Name: "tap00000000-00"}, Mode: netlink.TUNTAP_MODE_TAP}))
	g.allocate(gone)
	g.must(g.Cell.Update(rpc.AdminContext(), func(tx *cell.Tx) error {
		o, err := tx.Instance(guest)
		if err == nil {
			o.Set("power_state", int(nova.PowerShutdown))
			err = tx.SaveInstance(o, nil)
		}
		return err
	}))
	unknown := "unknown-guest " + stranger + " stranger"
	want := []string{
		"deleted-guest " + gone + " revenant", "left-allocation " + gone, "left-files " + gone + " " + gone + "_resize",
		"left-tap tap00000000-00", "power-state " + guest, unknown,
	}
	if found, _ := g.audited(); !slices.Equal(found, want) {
		t.Errorf("found\n%s\nwant\n%s", strings.Join(found, "\n"), strings.Join(want, "\n"))
	}
	if found, _ := g.audited(); len(found) != len(want) {
		t.Errorf("looking has mended something: %q", found)
	}
	g.audited(audit.Fixable...)
	if found, _ := g.audited(); !slices.Equal(found, []string{unknown}) {
		t.Errorf("left after mending: %q", found)
	}
	g.must(g.leftAllocation(g.ctx(), gone))
	_, err := g.virsh("undefine", "stranger")
	g.must(err)
	g.drop(guest)
}

// define gives libvirt a guest that is off.
func (g *ground) define(id, name string) {
	g.t.Helper()
	path := filepath.Join(g.t.TempDir(), name+".xml")
	g.must(os.WriteFile(path, []byte(fmt.Sprintf(`<domain type="qemu"><name>%s</name><uuid>%s</uuid><memory unit="MiB">32</memory>
		<os><type arch="x86_64">hvm</type></os></domain>`, name, id)), 0o600))
	_, err := g.virsh("define", path)
	g.must(err)
}

// allocate has Placement count something of the node for a consumer.
func (g *ground) allocate(consumer string) {
	g.t.Helper()
	var found struct {
		Providers []struct{ UUID string } `json:"resource_providers"`
	}
	g.must(g.Ask(g.ctx(), http.MethodGet, "placement", "/resource_providers", nil, &found))
	g.must(g.Ask(g.ctx(), http.MethodPut, "placement", "/allocations/"+consumer, map[string]any{
		"allocations":         map[string]any{found.Providers[0].UUID: map[string]any{"resources": map[string]int{"VCPU": 1}}},
		"consumer_generation": nil, "project_id": "p", "user_id": "u",
	}, nil))
}

// TestAuditOfManyGuests measures an audit of a full host.
func TestAuditOfManyGuests(t *testing.T) {
	g := newLongGround(t, "[DEFAULT]\ncpu_allocation_ratio = 500\n")
	guest := g.boot()
	var made []string
	for i := range auditGuests - 1 {
		id := uuid.NewString()
		made = append(made, id)
		g.define(id, fmt.Sprintf("copy-%d", i))
		g.must(os.MkdirAll(filepath.Join(g.instances(), id), 0o755))
		g.allocate(id)
	}
	g.must(g.Cell.Update(rpc.AdminContext(), func(tx *cell.Tx) error {
		o, err := tx.Instance(guest)
		for _, id := range made {
			if err != nil {
				break
			}
			c := tx.Profile().New("Instance")
			for _, field := range []string{"host", "node", "image_ref", "project_id", "user_id", "memory_mb", "vcpus", "root_gb", "flavor"} {
				c.Set(field, o.Raw(field))
			}
			c.Set("uuid", id)
			c.Set("power_state", int(nova.PowerShutdown))
			c.Set("vm_state", string(nova.VMStopped))
			err = tx.CreateInstance(c)
		}
		return err
	}))
	began := time.Now()
	found, r := g.audited()
	took := time.Since(began)
	g.report(fmt.Sprintf("audit of %d guests", r.Guests), took, fmt.Sprintf("%d differences", len(found)))
	if r.Guests != auditGuests || len(found) > 0 || took > auditLimit {
		t.Errorf("%d guests took %s, %q", r.Guests, took, found)
	}
	for _, id := range made {
		_, err := g.virsh("undefine", id)
		g.must(err)
		g.must(os.RemoveAll(filepath.Join(g.instances(), id)))
	}
	g.must(g.Cell.Update(rpc.AdminContext(), func(tx *cell.Tx) error {
		for _, id := range made {
			o, err := tx.Instance(id)
			if err == nil {
				err = tx.Destroy(o, nil)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}))
	g.drop(guest)
}
