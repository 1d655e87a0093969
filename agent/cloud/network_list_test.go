package cloud

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"
)

func TestPagesAreFollowed(t *testing.T) {
	var s *site
	s = newSite(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("device_id") != "d" {
			t.Errorf("query %s", r.URL.RawQuery)
		}
		switch marker := r.URL.Query().Get("marker"); marker {
		case "":
			fmt.Fprintf(w, `{"ports": [{"id": "1"}, {"id": "2"}], "ports_links": [{"rel": "next", "href": "%s/v2.0/ports?device_id=d&marker=2"}]}`, s.URL)
		case "2":
			fmt.Fprintf(w, `{"ports": [{"id": "3"}], "ports_links": [{"rel": "previous", "href": "%s"}]}`, s.URL)
		default:
			http.Error(w, marker, http.StatusBadRequest)
		}
	})
	ports, err := open(t, s.options()).Network().ListPorts(t.Context(), Identity{}, Filter{"device_id": {"d"}})
	if err != nil || len(ports) != 3 || ports[2].ID != "3" {
		t.Errorf("%+v, %v", ports, err)
	}
}

func TestLongFilterIsSplit(t *testing.T) {
	ids := map[string]int{}
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
		if len(r.URL.RawQuery) > maxQuery || r.URL.Query().Get("status") != "ACTIVE" {
			t.Errorf("query of %d bytes", len(r.URL.RawQuery))
		}
		for _, id := range r.URL.Query()["id"] {
			ids[id]++
		}
		fmt.Fprintf(w, `{"ports": [{"id": %q}]}`, r.URL.Query()["id"][0])
	})
	f := url.Values{"status": {"ACTIVE"}}
	for n := range 500 {
		f.Add("id", fmt.Sprintf("0b01de00-0000-4000-8000-%012d", n))
	}
	ports, err := open(t, s.options()).Network().ListPorts(t.Context(), Identity{}, f)
	if err != nil || len(ports) != len(s.requests()) || len(ports) < 2 {
		t.Errorf("%d ports of %d requests, %v", len(ports), len(s.requests()), err)
	}
	for _, id := range f["id"] {
		if ids[id] != 1 {
			t.Errorf("%s was asked for %d times", id, ids[id])
		}
	}
}

func TestListIsNotThere(t *testing.T) {
	s := newSite(t, status(http.StatusNotFound))
	net := open(t, s.options()).Network()
	if ips, err := net.ListFloatingIPs(t.Context(), Identity{}, nil); err != nil || len(ips) > 0 {
		t.Errorf("floating: %v, %v", ips, err)
	}
	if groups, err := net.ListSecurityGroups(t.Context(), Identity{}, nil); err != nil || len(groups) > 0 {
		t.Errorf("groups: %v, %v", groups, err)
	}
	if _, err := net.ListPorts(t.Context(), Identity{}, nil); !IsNotFound(err) {
		t.Errorf("ports: %v", err)
	}
}

func TestStrangeAnswers(t *testing.T) {
	for _, body := range []string{"", "[]", `{"ports": {}}`, `{"port": []}`, `{"ports": [], "ports_links": 1}`, "<html>"} {
		o := newSite(t, says(body)).options()
		o.Network.Retries = -1
		if ports, err := open(t, o).Network().ListPorts(t.Context(), Identity{}, nil); err == nil {
			t.Errorf("%q gives %v", body, ports)
		}
	}
}
