package ops

import (
	"testing"

	"bolide/test/openstack/ground"
)

func TestNamesAreUnique(t *testing.T) {
	seen := map[string]bool{}
	for _, op := range All() {
		if seen[op.Name] {
			t.Errorf("two operations are named %s", op.Name)
		}
		seen[op.Name] = true
	}
}

func TestSelect(t *testing.T) {
	bolide, nova := ground.Node{Kind: "bolide"}, ground.Node{Kind: "nova"}
	forBoth, err := Select(All(), nova, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, op := range forBoth {
		if op.only == "bolide" {
			t.Errorf("%s is for bolide only, and yet expected of nova", op.Name)
		}
	}
	expected, err := Select(All(), bolide, nil)
	if err != nil || len(expected) != len(All()) {
		t.Errorf("%d operations are expected of bolide, want all %d: %v", len(expected), len(All()), err)
	}
	named, err := Select(All(), bolide, []string{"delete", "build"})
	if err != nil || len(named) != 2 || named[0].Name != "build" {
		t.Errorf("by name: %v, %v; want build, delete", named, err)
	}
	for _, unknown := range []string{"fly", "burst_of_20"} {
		if _, err := Select(Basic(), bolide, []string{"build", unknown}); err == nil {
			t.Errorf("%s: no error", unknown)
		}
	}
}
