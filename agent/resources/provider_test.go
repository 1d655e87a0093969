package resources

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sirupsen/logrus"
	logtest "github.com/sirupsen/logrus/hooks/test"

	"bolide/agent/cloud"
	"bolide/agent/cloud/cloudtest"
)

// placement is a Placement service with generations, for one provider tree.
type placement struct {
	mu        sync.Mutex
	providers map[string]*providerRow
	inUse     map[string]bool // providers that cannot be deleted
	requests  []string        // method and path of each
	meddle    func(*providerRow)
}

type providerRow struct {
	UUID        string                     `json:"uuid"`
	Name        string                     `json:"name"`
	Generation  int                        `json:"generation"`
	Inventories map[string]cloud.Inventory `json:"-"`
	Traits      []string                   `json:"-"`
}

func newPlacement() *placement {
	return &placement{providers: map[string]*providerRow{}, inUse: map[string]bool{}}
}

func (p *placement) add(uuid, name string) *providerRow {
	row := &providerRow{UUID: uuid, Name: name, Inventories: map[string]cloud.Inventory{}}
	p.providers[uuid] = row
	return row
}

func (p *placement) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	path := strings.TrimPrefix(r.URL.Path, "/placement")
	p.requests = append(p.requests, r.Method+" "+path)
	parts := strings.Split(strings.Trim(path, "/"), "/")
	switch {
	case path == "/resource_providers" && r.Method == http.MethodGet:
		var found []*providerRow
		for _, row := range p.providers {
			if row.UUID == r.URL.Query().Get("in_tree") || row.Name == r.URL.Query().Get("name") {
				found = append(found, row)
			}
		}
		answer(w, http.StatusOK, map[string]any{"resource_providers": found})
	case path == "/resource_providers":
		p.create(w, r)
	case len(parts) == 2 && r.Method == http.MethodDelete:
		if p.inUse[parts[1]] {
			refuse(w, http.StatusConflict, "placement.resource_provider.cannot_delete_parent")
			return
		}
		delete(p.providers, parts[1])
		w.WriteHeader(http.StatusNoContent)
	case len(parts) == 3 && p.providers[parts[1]] != nil:
		p.serveProvider(w, r, p.providers[parts[1]], parts[2])
	default:
		refuse(w, http.StatusNotFound, "placement.undefined_code")
	}
}

func (p *placement) create(w http.ResponseWriter, r *http.Request) {
	var row providerRow
	if err := json.NewDecoder(r.Body).Decode(&row); err != nil {
		refuse(w, http.StatusBadRequest, "")
		return
	}
	for _, other := range p.providers {
		if other.Name == row.Name {
			refuse(w, http.StatusConflict, "placement.duplicate_name")
			return
		}
	}
	answer(w, http.StatusOK, p.add(row.UUID, row.Name))
}

func (p *placement) serveProvider(w http.ResponseWriter, r *http.Request, row *providerRow, what string) {
	if r.Method == http.MethodPut {
		var in struct {
			Generation  int                        `json:"resource_provider_generation"`
			Inventories map[string]cloud.Inventory `json:"inventories"`
			Traits      []string                   `json:"traits"`
		}
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			refuse(w, http.StatusBadRequest, "")
			return
		}
		if p.meddle != nil {
			p.meddle(row)
			p.meddle = nil
		}
		if in.Generation != row.Generation {
			refuse(w, http.StatusConflict, "placement.concurrent_update")
			return
		}
		row.Generation++
		if what == "inventories" {
			row.Inventories = in.Inventories
		} else {
			row.Traits = in.Traits
		}
	}
	answer(w, http.StatusOK, map[string]any{
		"resource_provider_generation": row.Generation, "inventories": row.Inventories, "traits": row.Traits,
	})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func refuse(w http.ResponseWriter, status int, code string) {
	answer(w, status, map[string]any{"errors": []any{map[string]any{"status": status, "code": code, "detail": "no"}}})
}

// open returns a provider of the service, and moves its clock.
func open(t *testing.T, p *placement) (*provider, *time.Time) {
	t.Helper()
	logger, _ := logtest.NewNullLogger()
	now := time.Now()
	client := cloudtest.Serve(t, p).Open().Placement()
	return &provider{client: client, refresh: 5 * time.Minute, now: func() time.Time { return now }, log: logrus.NewEntry(logger)}, &now
}

var hostWant = want{
	uuid: "node-1", name: "c1",
	inventories: map[string]cloud.Inventory{"VCPU": {Total: 2, MinUnit: 1, MaxUnit: 2, StepSize: 1, AllocationRatio: 16}},
	ours:        map[string]bool{"COMPUTE_NODE": true, "COMPUTE_STATUS_DISABLED": false},
}

func TestProviderIsCreatedOnceAndThenLeftInPeace(t *testing.T) {
	service := newPlacement()
	p, now := open(t, service)
	if err := p.ensure(t.Context(), cloud.Identity{}, hostWant); err != nil {
		t.Fatal(err)
	}
	row := service.providers["node-1"]
	if row == nil || row.Name != "c1" || !slices.Equal(row.Traits, []string{"COMPUTE_NODE"}) {
		t.Fatalf("provider: %+v", row)
	}
	if diff := cmp.Diff(hostWant.inventories, row.Inventories); diff != "" {
		t.Error(diff)
	}
	service.requests = nil
	if err := p.ensure(t.Context(), cloud.Identity{}, hostWant); err != nil {
		t.Fatal(err)
	}
	if len(service.requests) != 0 {
		t.Errorf("requests without need: %v", service.requests)
	}
	*now = now.Add(6 * time.Minute)
	if err := p.ensure(t.Context(), cloud.Identity{}, hostWant); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"GET /resource_providers", "GET /resource_providers/node-1/inventories", "GET /resource_providers/node-1/traits"}, service.requests); diff != "" {
		t.Error(diff)
	}
}

func TestProviderKeepsWhatOthersPutThere(t *testing.T) {
	service := newPlacement()
	row := service.add("node-1", "c1")
	row.Traits = []string{"CUSTOM_GOLD", "COMPUTE_STATUS_DISABLED"}
	p, _ := open(t, service)
	if err := p.ensure(t.Context(), cloud.Identity{}, hostWant); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"COMPUTE_NODE", "CUSTOM_GOLD"}, row.Traits); diff != "" {
		t.Error(diff)
	}
}

func TestProviderTriesAgainWhenAnotherWasQuicker(t *testing.T) {
	service := newPlacement()
	row := service.add("node-1", "c1")
	service.meddle = func(r *providerRow) { r.Generation++; r.Traits = []string{"CUSTOM_NEW"} }
	p, _ := open(t, service)
	if err := p.ensure(t.Context(), cloud.Identity{}, hostWant); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"COMPUTE_NODE", "CUSTOM_NEW"}, row.Traits); diff != "" {
		t.Error(diff)
	}
}

func TestProviderLeftBehindByADeletedService(t *testing.T) {
	service := newPlacement()
	service.add("node-0", "c1")
	p, _ := open(t, service)
	if err := p.ensure(t.Context(), cloud.Identity{}, hostWant); err != nil {
		t.Fatal(err)
	}
	if service.providers["node-0"] != nil || service.providers["node-1"] == nil {
		t.Errorf("providers: %v", service.providers)
	}
}

func TestProviderLeftBehindInUse(t *testing.T) {
	service := newPlacement()
	service.add("node-0", "c1")
	service.inUse["node-0"] = true
	p, _ := open(t, service)
	err := p.ensure(t.Context(), cloud.Identity{}, hostWant)
	if err == nil || !strings.Contains(err.Error(), "node-0") {
		t.Errorf("err = %v", err)
	}
}
