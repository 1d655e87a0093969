package status

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"bolide/agent/config"
)

// openAPI describes the socket; a test holds it against routes.
//
//go:embed openapi.yaml
var openAPI []byte

// route is one thing that can be asked of the socket.
type route struct {
	method, path string
	acts         bool // changes something: only root may
	serve        http.HandlerFunc
}

// Bodies of answers that are no types of their own.
type (
	// OperationList is what GET /v1/operations answers.
	OperationList struct {
		Running  []Operation `json:"running"`  // oldest first
		Finished []Operation `json:"finished"` // newest first
	}
	// InstanceList is what GET /v1/instances answers.
	InstanceList struct {
		Instances []Instance `json:"instances"`
	}
	// ConfigList is what GET /v1/config answers.
	ConfigList struct {
		Settings []config.Setting `json:"settings"`
	}
	// Health is what GET /v1/health answers.
	Health struct {
		Status  State  `json:"status"`
		Serving bool   `json:"serving"`
		Links   []Link `json:"links"`
	}
	// Problem is the body of every error.
	Problem struct {
		Error string `json:"error"`
	}
)

func (s *Server) routes() []route {
	return []route{
		{method: "GET", path: "/v1/status", serve: s.getStatus},
		{method: "GET", path: "/v1/health", serve: s.getHealth},
		{method: "GET", path: "/v1/operations", serve: s.getOperations},
		{method: "GET", path: "/v1/events", serve: s.getEvents},
		{method: "GET", path: "/v1/instances", serve: s.getInstances},
		{method: "GET", path: "/v1/instances/{uuid}", serve: s.getInstance},
		{method: "GET", path: "/v1/images", serve: s.getImages},
		{method: "POST", path: "/v1/images/verify", acts: true, serve: s.postImagesVerify},
		{method: "POST", path: "/v1/images/prune", acts: true, serve: s.postImagesPrune},
		{method: "GET", path: "/v1/instances/{uuid}/domain.xml", serve: s.getDomainXML},
		{method: "GET", path: "/v1/instances/{uuid}/console", acts: true, serve: s.getConsole},
		{method: "PUT", path: "/v1/drain", acts: true, serve: s.putDrain},
		{method: "DELETE", path: "/v1/drain", acts: true, serve: s.deleteDrain},
		{method: "GET", path: "/v1/config", serve: s.getConfig},
		{method: "GET", path: "/v1/log-level", serve: s.getLogLevel},
		{method: "PUT", path: "/v1/log-level", acts: true, serve: s.putLogLevel},
		{method: "POST", path: "/v1/reload", acts: true, serve: s.postReload},
		{method: "GET", path: "/v1/audit", serve: s.audit},
		{method: "POST", path: "/v1/audit", acts: true, serve: s.audit},
		{method: "GET", path: "/v1/debug/goroutines", serve: s.getGoroutines},
		{method: "GET", path: "/v1/debug/profile/{kind}", acts: true, serve: s.getProfile},
		{method: "GET", path: "/v1/openapi.yaml", serve: s.getOpenAPI},
		{method: "GET", path: "/metrics", serve: s.metricsHandler().ServeHTTP},
	}
}

func (s *Server) metricsHandler() http.Handler {
	return promhttp.HandlerFor(s.metrics, promhttp.HandlerOpts{Timeout: s.opts.RequestTimeout, MaxRequestsInFlight: 4})
}

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	for _, r := range s.routes() {
		mux.HandleFunc(r.method+" "+r.path, s.guard(r))
	}
	return http.MaxBytesHandler(mux, 4<<10)
}

// guard lets only those through who may.
func (s *Server) guard(r route) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		p, ok := peerOf(req.Context())
		switch {
		case !ok || !s.rules.mayLook(p):
			problem(w, http.StatusForbidden, "only root and the socket's group may look")
		case r.acts && !s.rules.mayAct(p):
			problem(w, http.StatusForbidden, "only root may do that")
		default:
			r.serve(w, req)
		}
	}
}

// snapshot asks the source, with a bound, and fills in what the server knows.
func (s *Server) snapshot(ctx context.Context) Snapshot {
	ctx, cancel := context.WithTimeout(ctx, s.opts.RequestTimeout)
	defer cancel()
	snap := s.opts.Source.Snapshot(ctx)
	snap.Health = worst(snap.Links)
	snap.Operations, snap.Failures = s.opts.Board.Operations(), s.opts.Board.Failures()
	snap.Links, snap.Instances = notNil(snap.Links), notNil(snap.Instances)
	return snap
}

func (s *Server) getStatus(w http.ResponseWriter, r *http.Request) {
	reply(w, http.StatusOK, s.snapshot(r.Context()))
}

// getHealth answers 503 when the node is not well, for checks that look at
// nothing else.
func (s *Server) getHealth(w http.ResponseWriter, r *http.Request) {
	snap := s.snapshot(r.Context())
	code := http.StatusOK
	if snap.Health == Fail || !snap.Serving {
		code = http.StatusServiceUnavailable
	}
	reply(w, code, Health{snap.Health, snap.Serving, snap.Links})
}

func (s *Server) getOperations(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, OperationList{s.opts.Board.Operations(), s.opts.Board.Finished()})
}

func (s *Server) getConfig(w http.ResponseWriter, _ *http.Request) {
	list := ConfigList{Settings: []config.Setting{}}
	if s.opts.Config != nil {
		list.Settings = s.opts.Config.Settings()
	}
	reply(w, http.StatusOK, list)
}

func (s *Server) getOpenAPI(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/yaml")
	_, _ = w.Write(openAPI)
}

// getEvents sends what changes on the board, one JSON object a line, until the
// client goes. A client that does not read is dropped.
func (s *Server) getEvents(w http.ResponseWriter, r *http.Request) {
	events, stop := s.opts.Board.Watch()
	defer stop()
	ctl := http.NewResponseController(w)
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.WriteHeader(http.StatusOK)
	enc := json.NewEncoder(w)
	// An empty line now and then finds out clients that are gone.
	alive := time.NewTicker(s.opts.RequestTimeout)
	defer alive.Stop()
	for {
		if ctl.SetWriteDeadline(time.Now().Add(s.opts.RequestTimeout)) != nil || ctl.Flush() != nil {
			return
		}
		var err error
		select {
		case <-r.Context().Done():
			return
		case <-alive.C:
			_, err = w.Write([]byte("\n"))
		case e := <-events:
			err = enc.Encode(e)
		}
		if err != nil {
			return
		}
	}
}

func reply(w http.ResponseWriter, code int, body any) {
	var buf bytes.Buffer
	if err := json.NewEncoder(&buf).Encode(body); err != nil {
		problem(w, http.StatusInternalServerError, err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_, _ = w.Write(buf.Bytes()) // fails only when the client is gone
}

func problem(w http.ResponseWriter, code int, text string) {
	reply(w, code, Problem{text})
}

// notOffered answers where the node was made without what is asked for.
func notOffered(w http.ResponseWriter) {
	problem(w, http.StatusNotImplemented, "this daemon cannot do that")
}

func notNil[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

func (s *Server) postReload(w http.ResponseWriter, _ *http.Request) {
	if s.opts.Reload == nil {
		notOffered(w)
		return
	}
	if err := s.opts.Reload(); err != nil {
		problem(w, http.StatusConflict, err.Error())
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
