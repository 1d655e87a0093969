package moves

import (
	"net/http"
	"os"
	"strings"
	"testing"

	"bolide/hypervisor"
)

// server is a guest as the API shows it.
type server struct {
	c  *cloud
	id string
}

type view struct {
	Status string
	Task   string `json:"OS-EXT-STS:task_state"`
	Host   string `json:"OS-EXT-SRV-ATTR:host"`
	Fault  struct{ Message string }
}

// boot starts a guest and returns it when it runs.
func (c *cloud) boot() *server {
	c.t.Helper()
	var out struct{ Server struct{ ID string } }
	c.must(http.MethodPost, c.URL("compute")+"/servers", map[string]any{"server": map[string]any{
		"name": "guest", "imageRef": c.image, "flavorRef": c.flavor, "networks": "none",
	}}, &out)
	s := &server{c: c, id: out.Server.ID}
	s.settles("ACTIVE", "")
	return s
}

func (s *server) show() view {
	s.c.t.Helper()
	var out struct{ Server view }
	s.c.must(http.MethodGet, s.c.URL("compute")+"/servers/"+s.id, nil, &out)
	return out.Server
}

// settles waits until the guest has a state and no task, on a host unless that is "".
func (s *server) settles(status, host string) view {
	s.c.t.Helper()
	var v view
	s.c.until("guest to be "+status+" on "+host, func() bool {
		v = s.show()
		if v.Status == "ERROR" && status != "ERROR" {
			s.c.t.Fatalf("guest in error: %s", v.Fault.Message)
		}
		return v.Status == status && v.Task == "" && (host == "" || v.Host == host)
	})
	return v
}

// leave asks for a live migration.
func (s *server) leave(to string) {
	s.c.t.Helper()
	s.c.must(http.MethodPost, s.c.URL("compute")+"/servers/"+s.id+"/action", map[string]any{
		"os-migrateLive": map[string]any{"host": to, "block_migration": "auto"}}, nil)
}

type migration struct {
	ID     int
	Status string
	UUID   string
}

// migrations are the guest's moves, oldest first.
func (s *server) last() migration {
	s.c.t.Helper()
	var out struct{ Migrations []migration }
	s.c.must(http.MethodGet, s.c.URL("compute")+"/servers/"+s.id+"/migrations", nil, &out)
	if len(out.Migrations) == 0 {
		return migration{}
	}
	return out.Migrations[len(out.Migrations)-1]
}

// ends waits until the guest's last move is in a state.
func (s *server) ends(status string) {
	s.c.t.Helper()
	s.c.until("migration to be "+status, func() bool { return s.last().Status == status })
}

// guestOn is the guest as a host's libvirtd has it.
func (h *host) guestOn(id string) (hypervisor.Guest, error) {
	h.c.t.Helper()
	v := hypervisor.New(hypervisor.Options{URI: h.daemon.URI(), Log: quiet()})
	stop := run(h.c.t, v)
	defer stop()
	return v.Guest(h.c.t.Context(), id)
}

// isAt checks that the guest is on this host alone: domain, files and allocation.
func (s *server) isAt(name string) {
	s.c.t.Helper()
	here, there := s.c.hosts[name], s.c.other(name)
	if g, err := here.guestOn(s.id); err != nil || g.State != hypervisor.Running || !g.Persistent {
		s.c.t.Errorf("guest on %s: %+v, %v", name, g, err)
	}
	if g, err := there.guestOn(s.id); err == nil {
		s.c.t.Errorf("guest on %s too: %+v", there.name, g)
	}
	s.c.until("files to be gone on "+there.name, func() bool {
		_, err := os.Stat(there.path("instances", s.id))
		return os.IsNotExist(err)
	})
	entries, err := os.ReadDir(here.path("instances", s.id))
	if err != nil {
		s.c.t.Error(err)
	}
	for _, e := range entries {
		if e.Name() == ".incoming" || e.Name() == "live-migration.json" {
			s.c.t.Errorf("%s is left on %s", e.Name(), name)
		}
	}
	if u := s.last().UUID; u != "" {
		if n := s.c.allocated(u); n != 0 {
			s.c.t.Errorf("the move still holds %d allocations", n)
		}
	}
	if n := s.c.allocated(s.id); n != 1 {
		s.c.t.Errorf("the guest holds %d allocations", n)
	}
}

// allocated is from how many providers a consumer takes.
func (c *cloud) allocated(consumer string) int {
	c.t.Helper()
	var out struct{ Allocations map[string]any }
	c.must(http.MethodGet, c.URL("placement")+"/allocations/"+consumer, nil, &out)
	return len(out.Allocations)
}

// console is what the guest has written on the host that it is on.
func (h *host) console(id string) string {
	b, err := os.ReadFile(h.path("instances", id, "console.log"))
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func TestGuestGoesAndComesBack(t *testing.T) {
	c := twoHosts(t, "")
	s := c.boot()
	from := s.show().Host
	to := c.other(from).name
	c.until("the guest to write", func() bool { return strings.Contains(c.hosts[from].console(s.id), "guest up") })
	s.leave(to)
	s.settles("ACTIVE", to)
	s.ends("completed")
	s.isAt(to)
	s.leave(from)
	s.settles("ACTIVE", from)
	s.ends("completed")
	s.isAt(from)
	c.must(http.MethodPost, c.URL("compute")+"/servers/"+s.id+"/action", map[string]any{"reboot": map[string]string{"type": "HARD"}}, nil)
	s.settles("ACTIVE", from)
	s.isAt(from)
}
