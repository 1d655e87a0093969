package moves

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"bolide/hypervisor"
)

// act asks for an action on the guest.
func (s *server) act(action string, arg any) {
	s.c.t.Helper()
	s.c.must(http.MethodPost, s.c.URL("compute")+"/servers/"+s.id+"/action", map[string]any{action: arg}, nil)
}

// migrate asks for a cold migration.
func (s *server) migrate(to string) { s.act("migrate", map[string]any{"host": to}) }

func TestColdMigration(t *testing.T) {
	c := twoHosts(t, "")
	s := c.boot()
	from := s.show().Host
	to := s.elsewhere(from)

	s.migrate(to)
	s.settles("VERIFY_RESIZE", to)
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

// TestKilledInColdMigration kills the agents at many moments of a cold migration and of what its user decides, source and
// destination by turns. In the end the guest is whole and on one host, which the records name, and nothing is left on the
// other.
func TestKilledInColdMigration(t *testing.T) {
	c := twoHosts(t, "")
	s := c.boot()
	for n := range 8 {
		from := s.show().Host
		to := s.elsewhere(from)
		victim := []string{from, to}[n%2]
		killAfter := func(moment time.Duration) {
			<-time.After(moment)
			c.hosts[victim].program.Kill()
			c.hosts[victim].start()
		}
		s.migrate(to)
		killAfter(time.Duration(n/2) * 500 * time.Millisecond)
		v := s.rests()
		t.Logf("%s killed on the way from %s to %s: %s on %s, the move %s", victim, from, to, v.Status, v.Host, s.last().Status)
		if v.Status == "VERIFY_RESIZE" {
			decision := []string{"confirmResize", "revertResize"}[n/2%2]
			s.act(decision, nil)
			killAfter(time.Duration(n/4) * 300 * time.Millisecond)
			v = s.rests()
			t.Logf("%s killed during %s: %s on %s, the move %s", victim, decision, v.Status, v.Host, s.last().Status)
			if want := map[string]string{"confirmResize": to, "revertResize": from}[decision]; v.Host != want {
				t.Errorf("the guest is on %s, want %s", v.Host, want)
			}
		}
		if v.Status != "ACTIVE" {
			t.Fatalf("the guest is %s on %s: %s", v.Status, v.Host, v.Fault.Message)
		}
		s.isAt(v.Host)
	}
}

// rests waits until nothing happens to the guest any more.
func (s *server) rests() (v view) {
	s.c.t.Helper()
	ended := []string{"error", "finished", "confirmed", "reverted", "failed"}
	s.c.until("the guest to rest", func() bool {
		v = s.show()
		return v.Task == "" && slices.Contains(ended, s.last().Status)
	})
	return v
}
