// Package compute is as much of Nova's API v2.1 as it takes to try a compute
// node: servers and what is done to them, flavors, instance actions, consoles,
// hypervisors and external events.
//
// It does what nova-api does, and what the conductor's task manager and the
// scheduler do after it: makes the records, sets the first task state, chooses
// the host, claims its resources, and casts to the node. In the place of a
// scheduler the first live node with enough left is taken.
//
// To add an action on servers, add a line to the table in actions.go.
//
// Service.Run owns one goroutine, which passes events on to the nodes. A Service
// may be used concurrently.
package compute

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/sirupsen/logrus"

	"bolide/rpc"
	"bolide/rpc/nova"
	"bolide/test/controller/cell"
	"bolide/test/controller/identity"
	"bolide/test/controller/image"
	"bolide/test/controller/network"
	"bolide/test/controller/placement"
	"bolide/test/controller/web"
)

// Options of a Service; all are required.
type Options struct {
	DB        *cell.DB
	Caller    nova.Caller
	Authority web.Authority
	Catalog   []identity.Entry
	Images    *image.Service
	Placement *placement.Service
	Log       *logrus.Entry
}

// Service is the compute service.
type Service struct {
	*web.Mux
	o       Options
	network *network.Service // set by Attach
	events  chan network.Event
}

// New makes the service. It serves once Attach has been called.
func New(o Options) *Service {
	s := &Service{Mux: web.NewMux(o.Authority, dialect), o: o, events: make(chan network.Event, 1024)}
	s.Handle("GET /v2.1/{$}", s.version)
	s.Handle("GET /v2.1/flavors", s.listFlavors)
	s.Handle("GET /v2.1/flavors/detail", s.listFlavors)
	s.Handle("GET /v2.1/flavors/{id}", s.showFlavor)
	s.Handle("POST /v2.1/flavors", s.createFlavor)
	s.Handle("DELETE /v2.1/flavors/{id}", s.deleteFlavor)

	s.Handle("GET /v2.1/servers", s.listServers)
	s.Handle("GET /v2.1/servers/detail", s.listServers)
	s.Handle("POST /v2.1/servers", s.createServer)
	s.Handle("GET /v2.1/servers/{id}", s.showServer)
	s.Handle("DELETE /v2.1/servers/{id}", s.deleteServer)
	s.Handle("POST /v2.1/servers/{id}/action", s.act)
	s.Handle("GET /v2.1/servers/{id}/diagnostics", s.diagnostics)
	s.Handle("POST /v2.1/servers/{id}/remote-consoles", s.remoteConsole)
	s.Handle("GET /v2.1/servers/{id}/os-interface", s.listInterfaces)
	s.Handle("POST /v2.1/servers/{id}/os-interface", s.attachInterface)
	s.Handle("DELETE /v2.1/servers/{id}/os-interface/{port}", s.detachInterface)
	s.Handle("GET /v2.1/servers/{id}/migrations", s.listMigrations)
	s.Handle("DELETE /v2.1/servers/{id}/migrations/{migration}", s.abortMigration)
	s.Handle("POST /v2.1/servers/{id}/migrations/{migration}/action", s.forceMigration)
	s.Handle("GET /v2.1/servers/{id}/os-instance-actions", s.listActions)
	s.Handle("GET /v2.1/servers/{id}/os-instance-actions/{request}", s.showAction)

	s.Handle("GET /v2.1/os-hypervisors/detail", s.listHypervisors)
	s.Handle("GET /v2.1/os-services", s.listServices)
	s.Handle("POST /v2.1/os-server-external-events", s.takeEvents)
	return s
}

// Attach names the network service, which in turn needs this one's Notify.
func (s *Service) Attach(n *network.Service) { s.network = n }

// faultNames are what Nova calls its refusals, by status.
var faultNames = map[int]string{
	http.StatusBadRequest: "badRequest", http.StatusUnauthorized: "unauthorized", http.StatusForbidden: "forbidden",
	http.StatusNotFound: "itemNotFound", http.StatusConflict: "conflictingRequest", http.StatusNotImplemented: "notImplemented",
}

func dialect(_ *web.Call, e *web.Error) any {
	name, ok := faultNames[e.Status]
	if !ok {
		name = "computeFault"
	}
	return map[string]any{name: map[string]any{"code": e.Status, "message": e.Message}}
}

func (s *Service) version(c *web.Call) error {
	return c.JSON(http.StatusOK, map[string]any{"version": map[string]any{
		"id": "v2.1", "status": "CURRENT", "version": "2.93", "min_version": "2.1",
		"links": []any{map[string]string{"rel": "self", "href": "http://" + c.Host + "/v2.1/"}},
	}})
}

// context is what goes with everything that is done for a call.
func (s *Service) context(c *web.Call) rpc.Context {
	w := c.Who
	rc := rpc.AdminContext()
	for name, value := range map[string]any{
		"auth_token": w.Token, "request_id": c.RequestID, "remote_address": "127.0.0.1",
		"user": w.UserID, "user_id": w.UserID, "user_name": w.UserName, "user_domain": "default",
		"project": w.ProjectID, "project_id": w.ProjectID, "project_name": w.ProjectName, "project_domain": "default",
		"user_identity": fmt.Sprintf("%s %s - default default", w.UserID, w.ProjectID),
		"roles":         anyList(w.Roles), "service_catalog": s.catalog(),
	} {
		rc[name] = value
	}
	return rc
}

func anyList(list []string) []any {
	out := make([]any, len(list))
	for i, v := range list {
		out[i] = v
	}
	return out
}

// catalog is the part of the catalog that nodes may need for a user.
func (s *Service) catalog() []any {
	var out []any
	for _, e := range s.o.Catalog {
		if e.Type == "compute" {
			continue
		}
		out = append(out, map[string]any{"type": e.Type, "name": e.Name, "endpoints": []any{
			map[string]string{"region": identity.Region, "publicURL": e.URL, "internalURL": e.URL, "adminURL": e.URL},
		}})
	}
	return out
}

// node is where requests to a compute service go.
func node(host string) rpc.Target {
	return rpc.Target{Topic: "compute", Server: host, Version: "6.0"}
}

// castLimit bounds the wait for the broker.
const castLimit = 30 * time.Second

// cast sends a request to a node, whether or not the caller still waits.
func (s *Service) cast(rc rpc.Context, host, method string, args map[string]any) error {
	ctx, cancel := context.WithTimeout(context.Background(), castLimit)
	defer cancel()
	target := node(host)
	if method == "rebuild_instance" {
		target.Version = "6.1"
	}
	if err := s.o.Caller.Cast(ctx, rc, target, method, args); err != nil {
		return fmt.Errorf("cast %s to %s: %w", method, host, err)
	}
	s.o.Log.WithFields(logrus.Fields{"op": method, "host": host, "request_id": rc.RequestID()}).Debug("cast")
	return nil
}

// refusals are the statuses in which Nova's API gives a node's exceptions on.
var refusals = []struct {
	class  string
	status int
}{
	{"InstanceNotFound", http.StatusNotFound}, {"PortNotFound", http.StatusBadRequest}, {"NetworkNotFound", http.StatusBadRequest},
	{"InstanceInvalidState", http.StatusConflict}, {"UnexpectedTaskStateError", http.StatusConflict}, {"InstanceNotReady", http.StatusConflict},
	{"ConsoleNotAvailable", http.StatusNotFound}, {"ConsoleTypeUnavailable", http.StatusBadRequest}, {"ConsoleTypeInvalid", http.StatusBadRequest},
	{"InstancePasswordSetFailed", http.StatusConflict}, {"SetAdminPasswdNotSupported", http.StatusConflict},
	{"InstanceAgentNotEnabled", http.StatusConflict}, {"QemuGuestAgentNotEnabled", http.StatusConflict},
	{"NotImplementedError", http.StatusNotImplemented}, {"Invalid", http.StatusBadRequest},
}

// refuse makes of a node's or the cell's exception what the API answers.
func refuse(err error) error {
	if err == nil {
		return nil
	}
	for _, r := range refusals {
		if nova.Is(err, r.class) || nova.ClassOf(err) == r.class {
			return web.Refuse(r.status, "", "%s", nova.FaultMessage(err))
		}
	}
	if errors.Is(err, rpc.ErrTimeout) {
		return web.Refuse(http.StatusInternalServerError, "", "The compute node does not answer.")
	}
	return err
}
