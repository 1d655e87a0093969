package moves

import (
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"bolide/hypervisor"
	"bolide/test/controller/compute"
)

// act asks for an action on the guest.
func (s *server) act(action string, arg any) {
	s.c.t.Helper()
	s.c.must(http.MethodPost, s.c.URL("compute")+"/servers/"+s.id+"/action", map[string]any{action: arg}, nil)
}

// migrate asks for a cold migration.
func (s *server) migrate(to string) { s.act("migrate", map[string]any{"host": to}) }

func TestColdMigration(t *testing.T) {
	traces := newCollector(t)
	c := twoHosts(t, "[bolide]\ntrace_endpoint = "+traces.URL+"\n", traces.Listener.Addr().String())
	s := c.boot()
	from := s.show().Host
	to := s.elsewhere(from)

	s.migrate(to)
	s.settles("VERIFY_RESIZE", to)
	c.until("one trace of what both hosts did", func() bool {
		return slices.Equal(traces.hostsOf("prep_resize", "resize_instance", "copy disks", "finish_resize"), []string{to, from, from, to})
	})
	s.act("confirmResize", nil)
	s.settles("ACTIVE", to)
	s.ends("confirmed")
	s.isAt(to)

	s.migrate(from)
	s.settles("VERIFY_RESIZE", from)
	s.act("revertResize", nil)
	s.settles("ACTIVE", to)
	s.ends("reverted")
	s.isAt(to)

	s.act("os-stop", nil)
	s.settles("SHUTOFF", to)
	s.migrate(from)
	s.settles("VERIFY_RESIZE", from)
	s.act("confirmResize", nil)
	s.settles("SHUTOFF", from)
	s.isOnlyAt(from)
	if g, err := c.hosts[from].guestOn(s.id); err == nil && g.State == hypervisor.Running {
		t.Errorf("a guest that was off runs: %+v", g)
	}
	s.act("os-start", nil)
	s.settles("ACTIVE", from)
	s.isAt(from)
}

// TestColdMigrationWithATPM: what the guest's TPM holds goes where the guest goes, and is on one host in the end.
func TestColdMigrationWithATPM(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	for _, tool := range []string{"swtpm", "swtpm_setup"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(err)
		}
	}
	c := twoHosts(t, "[DEFAULT]\nshutdown_timeout = 1\n[libvirt]\nswtpm_enabled = true\n")
	var err error
	c.flavor, err = c.Compute.AddFlavor(compute.FlavorOptions{
		Name: "sealed", MemoryMB: 64, VCPUs: 1, RootGB: 1, Extra: map[string]string{"hw:tpm_version": "2.0"},
	})
	if err != nil {
		t.Fatal(err)
	}
	s := c.boot()
	from := s.show().Host
	to := s.elsewhere(from)
	mark := func(host string) string { return filepath.Join(c.hosts[host].Root(), "swtpm", s.id, "mark") }
	if err := os.WriteFile(mark(from), nil, 0o600); err != nil {
		t.Fatal(err)
	}

	s.migrate(to)
	s.settles("VERIFY_RESIZE", to)
	s.act("confirmResize", nil)
	s.settles("ACTIVE", to)
	s.ends("confirmed")
	s.isAt(to)
	if _, err := os.Stat(mark(to)); err != nil {
		t.Errorf("what the TPM holds did not come along: %v", err)
	}
	if _, err := os.Stat(filepath.Dir(mark(from))); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what the TPM held is left on %s: %v", from, err)
	}
}

// TestKilledInColdMigration kills each host's agent in each of its parts of a cold migration, and of what its user decides.
// In the end the guest is whole and on one host, which the records name, and nothing is left on the other.
func TestKilledInColdMigration(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	c := twoHosts(t, "")
	s := c.boot()
	for _, k := range []struct {
		part, step string // step "": any
		atDest     bool
		decision   string
	}{
		{"prep_resize", "", true, "confirmResize"},
		{"resize_instance", "stop the guest", false, "confirmResize"},
		{"resize_instance", "copy disks", false, "confirmResize"},
		{"finish_resize", "", true, "confirmResize"},
		{"finish_resize", "start", true, "revertResize"},
		{"confirm_resize", "", false, "confirmResize"},
		{"revert_resize", "", true, "revertResize"},
		{"finish_revert_resize", "", false, "revertResize"},
	} {
		from := s.show().Host
		to := s.elsewhere(from)
		victim := c.hosts[from]
		if k.atDest {
			victim = c.hosts[to]
		}
		s.migrate(to)
		killed := s.killAt(victim, k.part, k.step)
		v := s.rests()
		stayed := v.Status == "ACTIVE"
		if !stayed {
			s.act(k.decision, nil)
			killed = killed || s.killAt(victim, k.part, k.step)
			v = s.rests()
		}
		t.Logf("%s killed at %s %q: %t; the guest is %s on %s, the move %s", victim.Name, k.part, k.step, killed, v.Status, v.Host, s.last().Status)
		want := to
		if stayed || k.decision == "revertResize" {
			want = from
		}
		if v.Status != "ACTIVE" || v.Host != want {
			t.Fatalf("the guest is %s on %s, want it on %s: %s", v.Status, v.Host, want, v.Fault.Message)
		}
		s.isAt(want)
	}
}

// killAt kills a node when its journal says that it is at a step of an operation, and starts it again. It reports false if
// the guest came to rest without the node having been seen there.
func (s *server) killAt(victim *host, operation, step string) bool {
	s.c.t.Helper()
	for seen := false; !seen; {
		seen = s.rested()
		for range 50 { // most steps are short
			if victim.at(operation, step) {
				victim.killAgent()
				return true
			}
			<-time.After(2 * time.Millisecond)
		}
	}
	return false
}

// at reports whether the node's journal tells of an operation at a step, or at any if that is "".
func (h *host) at(operation, step string) bool {
	files, err := filepath.Glob(h.Path("bolide", "journal", "*.json"))
	if err != nil {
		h.c.t.Fatal(err)
	}
	for _, f := range files {
		var page struct{ Operation, Step string }
		raw, err := os.ReadFile(f)
		if err != nil || json.Unmarshal(raw, &page) != nil {
			continue // it has ended
		}
		if page.Operation == operation && (step == "" || page.Step == step) {
			return true
		}
	}
	return false
}

// rests waits until nothing happens to the guest any more.
func (s *server) rests() view {
	s.c.t.Helper()
	s.c.until("the guest to rest", s.rested)
	return s.show()
}

// rested reports whether the guest has no task, and its last move waits for nobody but its user.
func (s *server) rested() bool {
	s.c.t.Helper()
	ended := []string{"error", "finished", "confirmed", "reverted", "failed"}
	move, v := s.last().Status, s.show()
	if v.Status == "VERIFY_RESIZE" && move != "finished" {
		return false // a move is confirmed on its own record first
	}
	return slices.Contains(ended, move) && v.Task == ""
}
