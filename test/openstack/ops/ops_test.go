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
	all, err := Select(nova, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, op := range all {
		if op.only == "bolide" {
			t.Errorf("%s is for bolide only, and yet expected of nova", op.Name)
		}
	}
	expected, err := Select(bolide, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 40 || len(expected) < 16 {
		t.Errorf("%d operations for nova, %d for bolide", len(all), len(expected))
	}
	for _, op := range expected {
		if op.awaited {
			t.Errorf("%s is awaited, and yet expected of bolide", op.Name)
		}
	}
	named, err := Select(bolide, []string{"delete", "build"})
	if err != nil || len(named) != 2 || named[0].Name != "build" {
		t.Errorf("by name: %v, %v; want build, delete", named, err)
	}
	if _, err := Select(bolide, []string{"build", "fly"}); err == nil {
		t.Error("unknown name: no error")
	}
}
