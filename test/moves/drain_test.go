package moves

import (
	"net/http"
	"syscall"
	"testing"

	"bolide/agent/status"
)

// socket asks a host's node.
func (h *host) socket() *status.Client { return status.NewClient(h.Path("bolide.sock")) }

// service is a compute service as the API shows it.
type service struct {
	Host, Status string
	Reason       string `json:"disabled_reason"`
}

func (c *cloud) service(host string) service {
	c.t.Helper()
	var out struct{ Services []service }
	c.must(http.MethodGet, c.URL("compute")+"/os-services?binary=nova-compute", nil, &out)
	for _, s := range out.Services {
		if s.Host == host {
			return s
		}
	}
	c.t.Fatalf("no service on %s", host)
	return service{}
}

// restart kills the node and starts it anew.
func (h *host) restart() {
	h.c.t.Helper()
	if err := h.program.Signal(syscall.SIGKILL); err != nil {
		h.c.t.Fatal(err)
	}
	<-h.program.Done()
	h.start()
	h.c.until(h.Name+" serves again", func() bool {
		var s status.Snapshot
		return h.socket().Get(h.c.t.Context(), "/v1/status", &s) == nil && s.Serving
	})
}

func TestADrainedHostGetsNoGuests(t *testing.T) {
	c := twoHosts(t, "")
	one := c.hosts["one"]
	var s status.DrainState
	if err := one.socket().Put(t.Context(), "/v1/drain", nil, &s); err != nil || !s.Draining || s.Problem != "" {
		t.Fatalf("drain: %+v, %v", s, err)
	}
	if v := c.service("one"); v.Status != "disabled" || v.Reason == "" {
		t.Errorf("the drained host's service: %+v", v)
	}
	for range 2 {
		if v := c.boot().show(); v.Host != "two" {
			t.Errorf("a guest is on %s", v.Host)
		}
	}
	one.restart()
	var snap status.Snapshot
	if err := one.socket().Get(t.Context(), "/v1/status", &snap); err != nil || snap.Drain == nil {
		t.Errorf("after a restart: %+v, %v", snap.Drain, err)
	}
	if err := one.socket().Delete(t.Context(), "/v1/drain", &s); err != nil || s.Draining || s.Problem != "" {
		t.Fatalf("undrain: %+v, %v", s, err)
	}
	if v := c.service("one"); v.Status != "enabled" || v.Reason != "" {
		t.Errorf("the service after the drain: %+v", v)
	}
	if err := c.hosts["two"].socket().Put(t.Context(), "/v1/drain", nil, &s); err != nil {
		t.Fatal(err)
	}
	if v := c.boot().show(); v.Host != "one" {
		t.Errorf("a guest is on %s", v.Host)
	}
}
