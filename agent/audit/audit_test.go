package audit

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	here    = "11111111-1111-4111-8111-111111111111"
	gone    = "22222222-2222-4222-8222-222222222222"
	away    = "33333333-3333-4333-8333-333333333333"
	nobodys = "44444444-4444-4444-8444-444444444444"
	move    = "55555555-5555-4555-8555-555555555555"
	tap     = "tap0a1b2c3d-4e"
)

var now = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// sound is a view without a difference.
func sound() View {
	return View{
		Host: "node1", Now: now,
		Instances: map[string]Instance{here: {VMState: "active", Power: "running", Updated: now.Add(-time.Hour)}},
		Others:    map[string]Other{gone: {Host: "node1", Deleted: true}, away: {Host: "node2"}},
		Guests:    []Guest{{here, "instance-00000001", "running"}},
		Files:     []string{here},
		Taps:      []string{tap},
		Ports:     map[string]bool{tap: true},
		Consumers: []string{here, move},
		Moves:     map[string]bool{move: true},
		Moving:    map[string]bool{},
		Busy:      map[string]bool{},
	}
}

// told is what matters of a difference.
type told struct {
	Kind     Kind
	Instance string
	Fixable  bool
}

func TestCompare(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*View)
		want   []told
	}{
		{"nothing", func(*View) {}, nil},
		{"a guest that Nova never knew", func(v *View) { v.Guests = append(v.Guests, Guest{nobodys, "mine", "running"}) },
			[]told{{UnknownGuest, nobodys, false}}},
		{"a guest of a deleted instance", func(v *View) { v.Guests = append(v.Guests, Guest{gone, "instance-00000002", "shutdown"}) },
			[]told{{DeletedGuest, gone, true}}},
		{"a guest that has left", func(v *View) { v.Guests = append(v.Guests, Guest{away, "instance-00000003", "running"}) },
			[]told{{GuestElsewhere, away, false}}},
		{"a guest that is leaving", func(v *View) {
			v.Guests = append(v.Guests, Guest{away, "instance-00000003", "running"})
			v.Moving[away] = true
		}, nil},
		{"no guest", func(v *View) { v.Guests = nil }, []told{{MissingGuest, here, false}}},
		{"no guest of a failed build", func(v *View) {
			v.Guests, v.Files = nil, nil
			v.Instances[here] = Instance{VMState: "error"}
		}, nil},
		{"a guest that went off", func(v *View) { v.Guests[0].Power = "shutdown" }, []told{{PowerState, here, true}}},
		{"the same while it is stopped", func(v *View) { v.Guests[0].Power, v.Busy[here] = "shutdown", true }, nil},
		{"files of a deleted instance", func(v *View) { v.Files = append(v.Files, gone+"_del", gone) },
			[]told{{LeftFiles, gone, true}, {LeftFiles, gone, true}}},
		{"files of one deleted elsewhere", func(v *View) {
			v.Files = append(v.Files, gone)
			v.Others[gone] = Other{Host: "node2", Deleted: true}
		}, nil},
		{"files of another host's, on shared storage", func(v *View) { v.Files = append(v.Files, away) }, nil},
		{"files that Nova knows nothing of", func(v *View) { v.Files = append(v.Files, nobodys) }, []told{{UnknownFiles, nobodys, false}}},
		{"no files", func(v *View) { v.Files = nil }, []told{{MissingFiles, here, false}}},
		{"disks set aside only", func(v *View) { v.Files = []string{here + "_resize"} }, []told{{MissingFiles, here, false}}},
		{"no files are needed", func(v *View) {
			v.Files = nil
			v.Instances[here] = Instance{VMState: "active", Power: "running", NoDisks: true}
		}, nil},
		{"a tap without a port", func(v *View) { v.Ports, v.Moves, v.Consumers = nil, nil, []string{here} }, []told{{LeftTap, "", true}}},
		{"a tap that may be being made", func(v *View) { v.Ports, v.Busy[away] = nil, true }, nil},
		{"an allocation of a deleted instance", func(v *View) { v.Consumers = append(v.Consumers, gone) }, []told{{LeftAllocation, gone, true}}},
		{"an allocation of one that has left", func(v *View) { v.Consumers = append(v.Consumers, away) }, []told{{LeftAllocation, away, true}}},
		{"an allocation of one that is coming", func(v *View) {
			v.Consumers, v.Others[away] = append(v.Consumers, away), Other{}
		}, nil},
		{"an allocation of somebody", func(v *View) { v.Consumers = append(v.Consumers, nobodys) }, []told{{LeftAllocation, nobodys, false}}},
		{"no allocation", func(v *View) { v.Consumers = nil }, []told{{MissingAllocation, here, false}}},
		{"a new task", func(v *View) {
			v.Instances[here] = Instance{VMState: "active", TaskState: "powering-off", Updated: now.Add(-time.Minute)}
		}, nil},
		{"an old task", func(v *View) {
			v.Instances[here] = Instance{VMState: "active", TaskState: "powering-off", Updated: now.Add(-time.Hour)}
		}, []told{{StuckTask, here, false}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := sound()
			c.change(&v)
			var got []told
			for _, d := range Compare(v) {
				got = append(got, told{d.Kind, d.Instance, d.Fixable})
				if d.Text == "" || d.Mend == "" || d.Fixable != (d.Mend == fix(d.Kind)) || d.Fixable && !slices.Contains(Fixable, d.Kind) {
					t.Errorf("%+v", d)
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
