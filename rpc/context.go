package rpc

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
)

// Context is an oslo request context: who asks, and under which request id.
// It is an opaque map without the "_context_" prefix of the wire: unknown keys
// are kept and handed on. Numbers are json.Number. A Context is passed by
// reference; the methods that change something return a copy.
type Context map[string]any

// AdminContext is the context of work that nobody asked for, like start-up and
// periodic tasks: no user, no token, is_admin, and a fresh request id.
func AdminContext() Context {
	return Context{
		"auth_token": nil, "domain": nil, "global_request_id": nil,
		"is_admin": true, "is_admin_project": true,
		"project": nil, "project_domain": nil, "project_id": nil, "project_name": nil,
		"quota_class": nil, "read_deleted": "no", "read_only": false,
		"remote_address": nil, "request_id": newRequestID(), "resource_uuid": nil,
		"roles": []any{}, "service_catalog": []any{}, "show_deleted": false,
		"system_scope": nil, "timestamp": time.Now().UTC().Format("2006-01-02T15:04:05.000000"),
		"user": nil, "user_domain": nil, "user_id": nil, "user_identity": "- - - - -", "user_name": nil,
	}
}

func newRequestID() string { return "req-" + uuid.NewString() }

// RequestID is the id of the request, "" if unknown. Nova's conductor finds the
// instance action by it.
func (c Context) RequestID() string { return c.str("request_id") }

// GlobalRequestID is the id that spans services, "" if there is none.
func (c Context) GlobalRequestID() string { return c.str("global_request_id") }

// UserID is the user who asks, "" for the service itself.
func (c Context) UserID() string { return cmp.Or(c.str("user_id"), c.str("user")) }

// ProjectID is the project asked for, "" for the service itself.
func (c Context) ProjectID() string { return cmp.Or(c.str("project_id"), c.str("project")) }

// AuthToken is the user's token, "" for the service itself.
func (c Context) AuthToken() string { return c.str("auth_token") }

// IsAdmin says whether the request has the rights of an administrator.
func (c Context) IsAdmin() bool { b, _ := c["is_admin"].(bool); return b }

// Elevated is a copy with the rights of an administrator.
func (c Context) Elevated() Context {
	out := maps.Clone(c)
	out["is_admin"] = true
	roles, _ := c["roles"].([]any)
	if !slices.Contains(roles, any("admin")) {
		out["roles"] = append(slices.Clone(roles), "admin")
	}
	return out
}

// WithNewRequestID is a copy with a fresh request id.
func (c Context) WithNewRequestID() Context {
	out := maps.Clone(c)
	out["request_id"] = newRequestID()
	return out
}

// told are the keys of a context that whoever listens to notifications may see,
// as in oslo.messaging since it stopped handing out tokens.
var told = []string{
	"domain", "global_request_id", "is_admin", "project", "project_domain", "project_id", "project_name", "request_id",
	"roles", "system_scope", "user", "user_domain", "user_id", "user_identity", "user_name",
}

// withoutSecrets is the context of a notification: complete, with what is kept
// back empty.
func (c Context) withoutSecrets() Context {
	out := AdminContext()
	for _, key := range told {
		if v, ok := c[key]; ok {
			out[key] = v
		}
	}
	return out
}

func (c Context) str(key string) string {
	s, _ := c[key].(string)
	return s
}
