package moves

import (
	"errors"
	"flag"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

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
	s := c.request([]any{map[string]string{"uuid": c.network}})
	s.settles("ACTIVE", "")
	return s
}

// request asks for a guest with a choice of networks.
func (c *cloud) request(networks any) *server {
	c.t.Helper()
	var out struct{ Server struct{ ID string } }
	c.must(http.MethodPost, c.URL("compute")+"/servers", map[string]any{"server": map[string]any{
		"name": "guest", "imageRef": c.image, "flavorRef": c.flavor, "networks": networks, "config_drive": true,
	}}, &out)
	return &server{c: c, id: out.Server.ID}
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
	v := hypervisor.New(hypervisor.Options{URI: h.URI(), Log: quiet()})
	stop := run(h.c.t, v)
	defer stop()
	return v.Guest(h.c.t.Context(), id)
}

// isAt checks that the guest runs on this host, and is on this host alone.
func (s *server) isAt(name string) {
	s.c.t.Helper()
	if g, err := s.c.hosts[name].guestOn(s.id); err != nil || g.State != hypervisor.Running || !g.Persistent {
		s.c.t.Errorf("guest on %s: %+v, %v", name, g, err)
	}
	s.isOnlyAt(name)
}

// isOnlyAt checks that all there is of the guest is this host's: domain, files, tap, binding and allocation.
func (s *server) isOnlyAt(name string) {
	s.c.t.Helper()
	here, there := s.c.hosts[name], s.c.other(name)
	s.c.until("the guest to be gone on "+there.Name, func() bool {
		_, err := there.guestOn(s.id)
		return errors.Is(err, hypervisor.ErrNotFound)
	})
	s.c.until("files to be gone on "+there.Name, func() bool { return len(there.files(s.id)) == 0 })
	entries, err := os.ReadDir(here.Path("instances", s.id))
	if err != nil {
		s.c.t.Error(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	slices.Sort(names)
	if want := []string{"console.log", "disk", "disk.config", "disk.info"}; !slices.Equal(names, want) {
		s.c.t.Errorf("files on %s: %q, want %q", name, names, want)
	}
	if dirs := here.files(s.id); len(dirs) != 1 {
		s.c.t.Errorf("directories of the guest on %s: %q", name, dirs)
	}
	s.c.until("the tap to be gone on "+there.Name, func() bool { return len(there.taps()) == 0 })
	s.c.until("the port to be bound to "+name+" alone", func() bool {
		hosts := s.bindings()
		return len(hosts) == 1 && hosts[0] == name
	})
	if u := s.last().UUID; u != "" {
		if n := s.c.allocated(u); n != 0 {
			s.c.t.Errorf("the move still holds %d allocations", n)
		}
	}
	if n := s.c.allocated(s.id); n != 1 {
		s.c.t.Errorf("the guest holds %d allocations", n)
	}
}

// files are the guest's directories on a host: its own, and what moves set aside.
func (h *host) files(id string) []string {
	h.c.t.Helper()
	all, err := filepath.Glob(h.Path("instances", id+"*"))
	if err != nil {
		h.c.t.Fatal(err)
	}
	return all
}

// bindings are the hosts that the guest's port is bound to.
func (s *server) bindings() (hosts []string) {
	s.c.t.Helper()
	var ports struct{ Ports []struct{ ID string } }
	s.c.must(http.MethodGet, s.c.URL("network")+"/v2.0/ports?device_id="+s.id, nil, &ports)
	for _, p := range ports.Ports {
		var out struct{ Bindings []struct{ Host string } }
		s.c.must(http.MethodGet, s.c.URL("network")+"/v2.0/ports/"+p.ID+"/bindings", nil, &out)
		for _, b := range out.Bindings {
			hosts = append(hosts, b.Host)
		}
	}
	return hosts
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
	b, err := os.ReadFile(h.Path("instances", id, "console.log"))
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func TestGuestGoesAndComesBack(t *testing.T) {
	c := twoHosts(t, "")
	s := c.boot()
	from := s.show().Host
	to := c.other(from).Name
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

// slow makes the memory of a guest take its time, so that tests can meet it on its way.
const slow = "live_migration_bandwidth = 1\n"

// abort asks for the end of the guest's last move.
func (s *server) abort() {
	s.c.t.Helper()
	url := s.c.URL("compute") + "/servers/" + s.id + "/migrations/" + strconv.Itoa(s.last().ID)
	s.c.must(http.MethodDelete, url, nil, nil)
}

// elsewhere is the name of the host that the guest is not on.
func (s *server) elsewhere(from string) string { return s.c.other(from).Name }

func TestAbortedGuestStays(t *testing.T) {
	c := twoHosts(t, slow)
	s := c.boot()
	from := s.show().Host
	s.leave(s.elsewhere(from))
	s.ends("running")
	s.abort()
	s.settles("ACTIVE", from)
	s.ends("cancelled")
	s.isAt(from)
}

// migrations is how many moves TestBlows makes; the moments of those beyond the first eight are random.
var migrations = flag.Int("migrations", 8, "moves that are disturbed")

// blow is what may happen to a move.
type blow struct {
	name   string
	strike func(from, to *host)
}

func (h *host) killAgent() {
	h.program.Kill()
	h.start()
}

func (h *host) killLibvirt() {
	h.c.t.Helper()
	h.Kill()
	if err := h.Launch(); err != nil {
		h.c.t.Fatal(err)
	}
}

// blows that leave libvirt's part to go on or to fail as a whole.
var blows = []blow{
	{"agent of the source killed", func(from, _ *host) { from.killAgent() }},
	{"agent of the destination killed", func(_, to *host) { to.killAgent() }},
	{"libvirtd of the source killed", func(from, _ *host) { from.killLibvirt() }},
	{"libvirtd of the destination killed", func(_, to *host) { to.killLibvirt() }},
	{"link cut for a while", func(from, _ *host) { from.cutLink(time.Second) }},
}

// TestBlows kills agents and libvirtds and cuts the link at many moments of a live migration. In the end the guest runs on
// one host, the records name it, and nothing is left on the other.
func TestBlows(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	c := twoHosts(t, slow)
	s := c.boot()
	for n := range *migrations {
		from := s.show().Host
		to := s.elsewhere(from)
		before := s.last().ID
		b, moment := blows[n%len(blows)], time.Duration(n)*250*time.Millisecond
		if n >= 8 {
			b, moment = blows[rand.IntN(len(blows))], rand.N(4*time.Second)
		}
		s.leave(to)
		<-time.After(moment)
		met := s.last().Status
		b.strike(c.hosts[from], c.hosts[to])
		c.until("the move to be over", func() bool {
			m := s.last()
			return m.ID > before && (m.Status == "completed" || m.Status == "failed" || m.Status == "cancelled")
		})
		where := s.settles("ACTIVE", "").Host
		t.Logf("%s after %v on the way from %s to %s, %s: the move %s, the guest is on %s", b.name, moment, from, to, met, s.last().Status, where)
		s.isAt(where)
	}
}

// TestStoppedSourceGoesOnLater stops the source's agent as a service manager would: the guest's move is not aborted for it.
func TestStoppedSourceGoesOnLater(t *testing.T) {
	c := twoHosts(t, slow+"[DEFAULT]\ngraceful_shutdown_timeout = 1\n")
	s := c.boot()
	from := s.show().Host
	to := s.elsewhere(from)
	s.leave(to)
	s.ends("running")
	if err := c.hosts[from].program.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-c.hosts[from].program.Done()
	c.hosts[from].start()
	s.ends("completed")
	s.settles("ACTIVE", to)
	s.isAt(to)
}

// TestGuestDiesOnTheWay ends a guest that is moving: it stays where it was, switched off, and can be started there.
func TestGuestDiesOnTheWay(t *testing.T) {
	c := twoHosts(t, slow)
	s := c.boot()
	from := s.show().Host
	s.leave(s.elsewhere(from))
	s.ends("running")
	v := hypervisor.New(hypervisor.Options{URI: c.hosts[from].URI(), Log: quiet()})
	stop := run(t, v)
	defer stop()
	if err := v.Destroy(t.Context(), s.id); err != nil {
		t.Fatal(err)
	}
	s.ends("failed")
	s.settles("ACTIVE", from)
	s.isOnlyAt(from)
	c.must(http.MethodPost, c.URL("compute")+"/servers/"+s.id+"/action", map[string]any{"reboot": map[string]any{"type": "HARD"}}, nil)
	s.settles("ACTIVE", from)
	s.isAt(from)
}

// TestDeletedOnTheWay deletes a guest that is moving: nothing of it is left on either host.
func TestDeletedOnTheWay(t *testing.T) {
	c := twoHosts(t, slow)
	s := c.boot()
	s.leave(s.elsewhere(s.show().Host))
	s.ends("running")
	c.must(http.MethodDelete, c.URL("compute")+"/servers/"+s.id, nil, nil)
	c.until("the guest to be gone", func() bool {
		return c.ask(http.MethodGet, c.URL("compute")+"/servers/"+s.id, nil, nil) == http.StatusNotFound
	})
	for name, h := range c.hosts {
		c.until("nothing to be left on "+name, func() bool {
			_, derr := h.guestOn(s.id)
			_, ferr := os.Stat(h.Path("instances", s.id))
			return derr != nil && os.IsNotExist(ferr)
		})
	}
	if n := c.allocated(s.id); n != 0 {
		t.Errorf("the guest holds %d allocations", n)
	}
}

// TestDirectoryInTheWay: a directory that the destination did not make for the guest is not touched, and the guest stays.
func TestDirectoryInTheWay(t *testing.T) {
	c := twoHosts(t, "")
	s := c.boot()
	from := s.show().Host
	there := c.other(from)
	kept := there.Path("instances", s.id, "disk")
	if err := os.Mkdir(there.Path("instances", s.id), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(kept, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.leave(there.Name)
	s.ends("failed")
	s.settles("ACTIVE", from)
	if b, err := os.ReadFile(kept); err != nil || string(b) != "precious" {
		t.Errorf("the directory's content: %q, %v", b, err)
	}
	if err := os.RemoveAll(there.Path("instances", s.id)); err != nil {
		t.Fatal(err)
	}
	s.isAt(from)
}
