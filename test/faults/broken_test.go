package faults

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"bolide/rpc"
	"bolide/rpc/nova"
	"bolide/test/controller/cell"
)

// TestBrokenGuests: whatever is wrong with some guests, the node starts, and the others
// can be used.
func TestBrokenGuests(t *testing.T) {
	g := newLongGround(t, "")
	sound := g.boot()
	breaks := []struct {
		name string
		do   func(id string) error
	}{
		{"without files, and starting", func(id string) error {
			_, err := g.virsh("destroy", id)
			g.must(err)
			g.must(os.RemoveAll(filepath.Join(g.instances(), id)))
			return g.spoil(id, map[string]any{"vm_state": string(nova.VMStopped), "task_state": string(nova.TaskPoweringOn)})
		}},
		{"without a domain", func(id string) error {
			_, err := g.virsh("destroy", id)
			g.must(err)
			_, err = g.virsh("undefine", id)
			return err
		}},
		{"in a task that there is not", func(id string) error { return g.spoil(id, map[string]any{"task_state": "dancing"}) }},
		{"with a journal of nonsense", func(id string) error {
			page := filepath.Join(g.dir, "state", "bolide", "journal", "20260101T000000.000000000-"+id+".json")
			return os.WriteFile(page, []byte(fmt.Sprintf(`{"operation": "attach_interface", "instance": %q, "ports": {"before": ["?"]}, "paths": ["/", "../.."]}`, id)), 0o600)
		}},
	}
	var broken []string
	for range breaks {
		broken = append(broken, g.boot())
	}
	g.node.Kill()
	for i, b := range breaks {
		g.must(b.do(broken[i]))
	}
	took := g.launch("")
	began := time.Now()
	g.must(g.Act(g.ctx(), sound, "pause", nil))
	g.await(sound, "PAUSED")
	g.report(fmt.Sprintf("started with %d broken guests", len(broken)), took+time.Since(began), "serves, and pauses another")
	for _, id := range append(broken, sound) {
		g.must(g.spoil(id, map[string]any{"task_state": nil}))
		g.drop(id)
	}
}

// spoil changes a guest's record.
func (g *ground) spoil(id string, fields map[string]any) error {
	return g.Cell.Update(rpc.AdminContext(), func(tx *cell.Tx) error {
		o, err := tx.Instance(id)
		if err != nil {
			return err
		}
		for name, value := range fields {
			o.Set(name, value)
		}
		return tx.SaveInstance(o, nil)
	})
}
