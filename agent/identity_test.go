package agent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestGuardIdentity(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	first := hostIdentity{Host: "c1", Node: "c1.example"}
	for range 2 { // the first start and the next
		if err := guardIdentity(dir, first); err != nil {
			t.Fatal(err)
		}
	}
	err := guardIdentity(dir, hostIdentity{Host: "c2", Node: "c1.example"})
	if err == nil || !strings.Contains(err.Error(), `"c1"`) || !strings.Contains(err.Error(), `"c2"`) {
		t.Errorf("a renamed host: %v", err)
	}
	known := first
	known.Machine = "11111111-aaaa"
	for _, now := range []hostIdentity{known, known, first} { // learned, known, and not to be read for once
		if err := guardIdentity(dir, now); err != nil {
			t.Errorf("%+v: %v", now, err)
		}
	}
	copied := known
	copied.Machine = "22222222-bbbb"
	err = guardIdentity(dir, copied)
	if err == nil || !strings.Contains(err.Error(), known.Machine) || !strings.Contains(err.Error(), copied.Machine) {
		t.Errorf("a copied disk: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, identityFile), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := guardIdentity(dir, first); err == nil {
		t.Error("a damaged identity was taken for none")
	}
}
