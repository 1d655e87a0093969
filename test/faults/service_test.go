package faults

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"bolide/rpc"
	"bolide/rpc/nova"
	"bolide/test/controller/cell"
)

// answers waits until the node answers a call, and returns how long that took.
func (g *ground) answers(id string, limit time.Duration) time.Duration {
	g.t.Helper()
	began := time.Now()
	g.must(Until(g.ctx(), limit, func() error {
		ctx, cancel := context.WithTimeout(g.ctx(), 2*time.Second)
		defer cancel()
		return g.Ask(ctx, http.MethodGet, "compute", "/servers/"+id+"/diagnostics", nil, nil)
	}))
	return time.Since(began)
}

// reports is how many signs of life the node has given.
func (g *ground) reports() int64 {
	g.t.Helper()
	var n int64
	g.must(g.Cell.View(rpc.AdminContext(), func(tx *cell.Tx) error {
		rows, err := tx.Rows("Service", func(s *nova.Object) bool { return s.Str("host") == Host })
		for _, s := range rows {
			n = s.Int("report_count")
		}
		return err
	}))
	return n
}

// faults are the texts of the guest's faults. The API shows the last one, and only
// of guests in error.
func (g *ground) faults(id string) string {
	g.t.Helper()
	var texts []string
	g.must(g.Cell.View(rpc.AdminContext(), func(tx *cell.Tx) error {
		rows, err := tx.Rows("InstanceFault", func(f *nova.Object) bool { return f.Str("instance_uuid") == id })
		for _, f := range rows {
			texts = append(texts, f.Str("message"))
		}
		return err
	}))
	return strings.Join(texts, "\n")
}

// freshImage adds an image that the node has not cached.
func (g *ground) freshImage() string {
	g.t.Helper()
	img, err := g.Images.Add("fresh", "raw", filepath.Join(g.dir, "boot.raw"), "")
	g.must(err)
	return img.ID()
}

// patience is how long a fault lasts: longer than a call is waited for.
const patience = 75 * time.Second

func TestLibvirtKilled(t *testing.T) {
	g := newGround(t, "")
	id := g.boot()
	before := g.qemu(id)
	g.Virt.Kill()
	g.must(g.Virt.Launch())
	took := g.answers(id, backWithin)
	g.report("libvirtd killed, started again", took, "answers; the guest was not touched")
	if after := g.qemu(id); after != before || before == "" {
		t.Errorf("the guest's QEMU was %q and is %q", before, after)
	}
	g.drop(id)
}

// qemu identifies the guest's running QEMU.
func (g *ground) qemu(id string) string {
	g.t.Helper()
	out, err := g.virsh("domid", id)
	g.must(err)
	return strings.TrimSpace(out)
}

// TestLibvirtFrozen: signs of life go on, what was asked for ends with a fault that
// names libvirt, and when libvirt goes on everything is as ever.
func TestLibvirtFrozen(t *testing.T) {
	g := newLongGround(t, "[DEFAULT]\nreport_interval = 2\n")
	id := g.boot()
	g.must(g.Virt.Freeze())
	thawed := false
	defer func() {
		if !thawed {
			g.must(g.Virt.Thaw())
		}
	}()
	before := g.reports()
	g.must(g.Act(g.ctx(), id, "pause", nil))
	time.Sleep(patience) // the length of the fault
	if got := g.reports() - before; got < int64(patience/(4*time.Second)) {
		t.Errorf("%d signs of life in %s", got, patience)
	}
	v := g.await(id, "ACTIVE")
	if fault := g.faults(id); !strings.Contains(fault, "libvirt did not answer") {
		t.Errorf("after %s: %s, fault %q", patience, v.Status, fault)
	}
	thawed = true
	g.must(g.Virt.Thaw())
	g.report("libvirtd frozen", g.answers(id, backWithin), "signs of life went on meanwhile")
	g.drop(id)
}

// TestConductorAway: an operation that the conductor does not answer is done when it
// does, or ends with a fault that names it.
func TestConductorAway(t *testing.T) {
	g := newLongGround(t, "[DEFAULT]\nreport_interval = 2\n")
	id := g.boot()
	back := make(chan struct{})
	g.Disturb(func(ctx context.Context, service, _ string) error {
		if service != "conductor" {
			return nil
		}
		select {
		case <-back:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	g.must(g.Act(g.ctx(), id, "reboot", map[string]string{"type": "HARD"}))
	time.Sleep(patience) // the length of the fault
	close(back)
	g.Disturb(nil)
	before := g.reports()
	v := g.await(id, "ACTIVE")
	if fault := g.faults(id); fault != "" && !strings.Contains(fault, "nova-conductor did not answer") {
		t.Errorf("%s, fault %q", v.Status, fault)
	}
	g.must(Until(g.ctx(), 30*time.Second, func() error {
		if g.reports() == before {
			return errors.New("no sign of life")
		}
		return nil
	}))
	g.drop(id)
}

// TestServicesThatRefuse: what cannot be done without a service ends with a fault
// that names it, and leaves nothing.
func TestServicesThatRefuse(t *testing.T) {
	g := newLongGround(t, "")
	for _, c := range []struct{ service, request, name string }{
		{"network", "POST /v2.0/ports", "Neutron"},
		{"network", "", "Neutron"},
		{"image", "GET /v2/images/", "Glance"},
		{"placement", "DELETE /allocations/", ""},
	} {
		t.Run(c.service+" "+c.request, func(t *testing.T) {
			g := g.in(t)
			var refused atomic.Int64
			g.Disturb(func(_ context.Context, service, request string) error {
				if service != c.service || !strings.HasPrefix(request, c.request) {
					return nil
				}
				refused.Add(1)
				return fmt.Errorf("%s is being maintained", service)
			})
			fresh := map[string]any{}
			if c.service == "image" {
				fresh["imageRef"] = g.freshImage()
			}
			id, err := g.Request(g.ctx(), fresh)
			g.must(err)
			v := g.await(id, "ERROR", "ACTIVE")
			g.Disturb(nil)
			if c.name == "" {
				if v.Status != "ACTIVE" {
					t.Errorf("a guest that needs none of it is %s: %s", v.Status, v.Fault.Message)
				}
			} else if v.Status != "ERROR" || !strings.Contains(g.faults(id), c.name) || refused.Load() == 0 {
				t.Errorf("%s, fault %q, %d requests refused; want one that names %s", v.Status, g.faults(id), refused.Load(), c.name)
			}
			g.drop(id)
		})
	}
}
