// Package network is as much of Neutron's API v2.0 as compute nodes use:
// networks, subnets and ports, bindings of ports to hosts, and the events that
// tell Nova what became of a port.
//
// What a layer-2 agent does on each host is left to a Wire: it says when a tap
// appears, which makes its port ACTIVE, and when it goes.
//
// Service.Run has one goroutine, that of the wire. A Service may be used
// concurrently.
package network

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"bolide/test/controller/store"
	"bolide/test/controller/web"
)

// Event is what happened to a port of an instance.
type Event struct {
	Name     string // network-changed, network-vif-plugged, -unplugged or -deleted
	Instance string
	Port     string
}

// Wire is what the hosts' layer-2 agents do.
type Wire interface {
	// Run reports taps that appear and go, until ctx ends.
	Run(ctx context.Context, report func(tap string, up bool)) error
	// Bound is told of a port's tap when the port was bound to a host.
	Bound(tap string)
	// Prepare makes ready for the ports of a network with this gateway
	// ("10.0.0.1/24", or none).
	Prepare(networkID, gateway string) error
}

// Options of a Service.
type Options struct {
	Store     *store.Store  // required
	Authority web.Authority // required
	// Wire is required; see Instant, Bridges, Switch and Wires.
	Wire Wire
	// Notify takes the events; it must not block for long. Required.
	Notify func(Event)
}

// Service is the network service.
type Service struct {
	*web.Mux
	o Options
}

// New makes the service.
func New(o Options) *Service {
	s := &Service{Mux: web.NewMux(o.Authority, dialect), o: o}
	s.Handle("GET /v2.0/extensions", s.extensions)
	for _, k := range []kind{networks, subnets, ports, securityGroups} {
		s.Handle("GET /v2.0/"+k.path, func(c *web.Call) error { return s.list(c, k) })
		s.Handle("GET /v2.0/"+k.path+"/{id}", func(c *web.Call) error { return s.show(c, k) })
	}
	s.Handle("POST /v2.0/networks", s.createNetwork)
	s.Handle("DELETE /v2.0/networks/{id}", s.deleteNetwork)
	s.Handle("POST /v2.0/subnets", s.createSubnet)
	s.Handle("POST /v2.0/ports", s.createPort)
	s.Handle("PUT /v2.0/ports/{id}", s.updatePort)
	s.Handle("DELETE /v2.0/ports/{id}", s.deletePort)
	s.Handle("GET /v2.0/ports/{id}/bindings", s.listBindings)
	s.Handle("POST /v2.0/ports/{id}/bindings", s.createBinding)
	s.Handle("GET /v2.0/ports/{id}/bindings/{host}", s.showBinding)
	s.Handle("PUT /v2.0/ports/{id}/bindings/{host}/activate", s.activateBinding)
	s.Handle("DELETE /v2.0/ports/{id}/bindings/{host}", s.deleteBinding)
	return s
}

// Run prepares the networks there are and follows the taps until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	all, err := s.find(networks, nil)
	if err != nil {
		return err
	}
	for _, n := range all {
		if err := s.prepare(n.text("id")); err != nil {
			return err
		}
	}
	return s.o.Wire.Run(ctx, s.report)
}

func dialect(_ *web.Call, e *web.Error) any {
	return map[string]any{"NeutronError": map[string]string{"type": e.Code, "message": e.Message, "detail": ""}}
}

// kind of record.
type kind struct {
	path string // and bucket
	one  string // the key of a single record
	name string // in messages
}

var (
	networks       = kind{"networks", "network", "Network"}
	subnets        = kind{"subnets", "subnet", "Subnet"}
	ports          = kind{"ports", "port", "Port"}
	securityGroups = kind{"security-groups", "security_group", "SecurityGroup"}
)

// loaded are the extensions there are.
var loaded = []string{"binding", "binding-extended", "external-net", "net-mtu", "port-security", "provider", "quotas"}

func (s *Service) extensions(c *web.Call) error {
	var list []any
	for _, alias := range loaded {
		list = append(list, map[string]any{"alias": alias, "name": alias, "description": "", "links": []any{}, "updated": "2016-01-01T10:00:00-00:00"})
	}
	return c.JSON(http.StatusOK, map[string]any{"extensions": list})
}

// record is a network, subnet or port as the API shows it.
type record map[string]any

func (r record) text(name string) string {
	s, _ := r[name].(string)
	return s
}

func (r record) number(name string) float64 {
	n, _ := r[name].(float64)
	return n
}

// hidden are fields that are kept in records but not shown.
var hidden = []string{"bindings", "serial", "connection"}

// forAdmins are fields that plain users neither see nor set.
var forAdmins = []string{
	"binding:host_id", "binding:profile", "binding:vif_type", "binding:vif_details",
	"provider:network_type", "provider:physical_network", "provider:segmentation_id",
}

// view is the record as it is shown, with these fields only if any are named.
func (r record) view(who web.Who, fields []string) record {
	out := record{}
	for name, value := range r {
		wanted := len(fields) == 0 || slices.Contains(fields, name)
		if wanted && !slices.Contains(hidden, name) && (who.IsAdmin() || !slices.Contains(forAdmins, name)) {
			out[name] = value
		}
	}
	return out
}

// allowed refuses fields that the caller may not set.
func allowed(who web.Who, wanted record, verb string, k kind) error {
	for _, name := range forAdmins {
		if _, given := wanted[name]; given && !who.IsAdmin() {
			return web.Refuse(http.StatusForbidden, "PolicyNotAuthorized", "(rule:%s_%s and rule:%s_%s:%s) is disallowed by policy", verb, k.one, verb, k.one, name)
		}
	}
	return nil
}

func now() string { return time.Now().UTC().Format("2006-01-02T15:04:05Z") }

// stamped is a new record of a project with what all kinds have.
func stamped(project string) record {
	return record{
		"id": uuid.NewString(), "name": "", "description": "", "project_id": project, "tenant_id": project, "tags": []string{},
		"created_at": now(), "updated_at": now(), "revision_number": 1,
	}
}

// merge takes over what the caller asks for.
func (r record) merge(from record) {
	for name, value := range from {
		r[name] = value
		if name == "tenant_id" || name == "project_id" {
			r["tenant_id"], r["project_id"] = value, value
		}
	}
}

// changed notes a change.
func (r record) changed() {
	r["revision_number"], r["updated_at"] = r.number("revision_number")+1, now()
}

func get(tx *store.Tx, k kind, id string) (record, error) {
	var r record
	found, err := tx.Get(k.path, id, &r)
	if err == nil && !found {
		err = web.Refuse(http.StatusNotFound, k.name+"NotFound", "%s %s could not be found.", k.name, id)
	}
	return r, err
}

func put(tx *store.Tx, k kind, r record) error { return tx.Put(k.path, r.text("id"), r) }

// insert keeps a new record, behind those there are.
func insert(tx *store.Tx, k kind, r record) error {
	serial, err := tx.NextID(k.path)
	if err != nil {
		return err
	}
	r["serial"] = serial
	return put(tx, k, r)
}

// find lists the records that match, oldest first.
func (s *Service) find(k kind, query url.Values) ([]record, error) {
	var all []record
	err := s.o.Store.View(func(tx *store.Tx) (err error) {
		all, err = store.All(tx, k.path, func(r record) bool { return r.matches(query) })
		return err
	})
	slices.SortFunc(all, func(a, b record) int { return int(a.number("serial") - b.number("serial")) })
	return all, err
}

func (s *Service) list(c *web.Call, k kind) error {
	query := c.URL.Query()
	all, err := s.find(k, query)
	if err != nil {
		return err
	}
	shown := []record{}
	for _, r := range all {
		shown = append(shown, r.view(c.Who, query["fields"]))
	}
	return c.JSON(http.StatusOK, map[string]any{strings.ReplaceAll(k.path, "-", "_"): shown})
}

func (s *Service) show(c *web.Call, k kind) error {
	var r record
	err := s.o.Store.View(func(tx *store.Tx) (err error) {
		r, err = get(tx, k, c.PathValue("id"))
		return err
	})
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, k, r)
}

// answer shows one record.
func answer(c *web.Call, status int, k kind, r record) error {
	return c.JSON(status, map[string]any{k.one: r.view(c.Who, nil)})
}
