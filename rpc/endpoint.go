package rpc

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
)

// Handler does what a request asks. The result becomes the JSON of the answer;
// an error becomes a Failure. ctx ends when the Link stops, not when the broker
// goes away. Handlers run concurrently.
type Handler func(ctx context.Context, r *Request) (any, error)

// Endpoint is a set of methods under one namespace and version. Two endpoints
// of a server may share a namespace with different versions.
type Endpoint struct {
	Namespace string
	// Version is the newest minor of one major that the methods understand, like "6.1".
	Version string
	Methods map[string]Handler
}

// match finds the handler of a request as oslo.messaging's dispatcher does.
func match(endpoints []Endpoint, r *Request) (Handler, error) {
	served := false
	for _, e := range endpoints {
		if e.Namespace != r.Namespace || !compatible(e.Version, r.Version) {
			continue
		}
		served = true
		if strings.HasPrefix(r.Method, "_") {
			continue // private in Python
		}
		if h := e.Methods[r.Method]; h != nil {
			return h, nil
		}
	}
	if served {
		return nil, noSuchMethod(r.Method)
	}
	return nil, unsupportedVersion(r.Version, r.Method)
}

// compatible says whether an implementation of version ours serves a request
// for version asked: same major, and no newer minor; revisions count between
// equal minors only.
func compatible(ours, asked string) bool {
	a, ok1 := parseVersion(asked)
	o, ok2 := parseVersion(ours)
	switch {
	case !ok1 || !ok2 || a[0] != o[0]:
		return false
	case a[1] != o[1]:
		return a[1] < o[1]
	default:
		return a[2] <= o[2]
	}
}

// parseVersion reads MAJOR.MINOR or MAJOR.MINOR.REVISION.
func parseVersion(s string) (v [3]uint64, ok bool) {
	parts := strings.Split(s, ".")
	if len(parts) < 2 || len(parts) > 3 {
		return v, false
	}
	for i, p := range parts {
		n, err := strconv.ParseUint(p, 10, 32)
		if err != nil {
			return v, false
		}
		v[i] = n
	}
	return v, true
}

// pong is the answer to baseAPI's ping.
type pong struct {
	Service string          `json:"service"`
	Arg     json.RawMessage `json:"arg"`
}

// baseAPI is the endpoint that every Nova service has.
func baseAPI(service string) Endpoint {
	return Endpoint{Namespace: "baseapi", Version: "1.1", Methods: map[string]Handler{
		"ping": func(_ context.Context, r *Request) (any, error) {
			var arg json.RawMessage
			if err := r.Arg("arg", &arg); err != nil {
				return nil, err
			}
			return pong{service, arg}, nil
		},
		"get_backdoor_port": func(context.Context, *Request) (any, error) { return nil, nil },
	}}
}

// oslo's own ping, for monitoring tools (rpc_ping_enabled).
func osloPing() Endpoint {
	return Endpoint{Version: "1.0", Methods: map[string]Handler{
		"oslo_rpc_server_ping": func(context.Context, *Request) (any, error) { return "pong", nil },
	}}
}
