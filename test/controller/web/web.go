// Package web is what the HTTP services of the embedded control plane share:
// routes, JSON, tokens, request ids and the form of errors.
package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"

	"github.com/google/uuid"
)

// Who makes a request.
type Who struct {
	Token       string
	UserID      string
	UserName    string
	ProjectID   string
	ProjectName string
	Roles       []string
}

// IsAdmin says whether the request has an administrator's rights.
func (w Who) IsAdmin() bool { return slices.Contains(w.Roles, "admin") }

// Authority tells who a token belongs to.
type Authority interface {
	// Who is the owner of a token that is good; false for any other.
	Who(token string) (Who, bool)
}

// Error is a refusal.
type Error struct {
	Status int
	// Code is the service's own name for it, such as "PortNotFound".
	Code    string
	Message string
}

func (e *Error) Error() string { return e.Message }

// Refuse makes an Error.
func Refuse(status int, code, format string, args ...any) *Error {
	return &Error{status, code, fmt.Sprintf(format, args...)}
}

// Dialect is how a service writes the body of an error.
type Dialect func(c *Call, e *Error) any

// Call is one request with its answer.
type Call struct {
	*http.Request
	Answer http.ResponseWriter
	Who    Who
	// RequestID is the id of the request in this service, "req-<uuid>".
	RequestID string
}

// Handler answers a call, or returns an error for the mux to write: an *Error
// as it says, any other as an internal one.
type Handler func(c *Call) error

// Mux dispatches the requests to one service.
type Mux struct {
	routes    *http.ServeMux
	authority Authority
	dialect   Dialect
}

// NewMux makes a Mux. Every route needs a token that the authority knows,
// except with a nil authority.
func NewMux(a Authority, d Dialect) *Mux {
	m := &Mux{routes: http.NewServeMux(), authority: a, dialect: d}
	m.routes.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		m.fail(&Call{Request: r, Answer: w}, Refuse(http.StatusNotFound, "NotFound", "%s %s: no such resource", r.Method, r.URL.Path))
	})
	return m
}

// Handle serves a pattern of net/http, "METHOD /path/{name}".
func (m *Mux) Handle(pattern string, h Handler) {
	m.routes.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		c := &Call{Request: r, Answer: w, RequestID: "req-" + uuid.NewString()}
		w.Header().Set("X-Openstack-Request-Id", c.RequestID)
		if m.authority != nil {
			who, ok := m.authority.Who(r.Header.Get("X-Auth-Token"))
			if !ok {
				m.fail(c, Refuse(http.StatusUnauthorized, "Unauthorized", "The request you have made requires authentication."))
				return
			}
			c.Who = who
		}
		if err := h(c); err != nil {
			m.fail(c, err)
		}
	})
}

// ServeHTTP implements http.Handler.
func (m *Mux) ServeHTTP(w http.ResponseWriter, r *http.Request) { m.routes.ServeHTTP(w, r) }

func (m *Mux) fail(c *Call, err error) {
	var refused *Error
	if !errors.As(err, &refused) {
		refused = &Error{http.StatusInternalServerError, "InternalServerError", err.Error()}
	}
	_ = c.JSON(refused.Status, m.dialect(c, refused)) // whoever asked is gone
}

// JSON answers with v.
func (c *Call) JSON(status int, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	c.Answer.Header().Set("Content-Type", "application/json")
	c.Answer.WriteHeader(status)
	_, err = c.Answer.Write(raw)
	return err
}

// Done answers with a status and no body.
func (c *Call) Done(status int) error {
	c.Answer.WriteHeader(status)
	return nil
}

// maxBody bounds what is read as JSON.
const maxBody = 8 << 20

// Read decodes the request's JSON body into v.
func (c *Call) Read(v any) error {
	raw, err := io.ReadAll(io.LimitReader(c.Body, maxBody))
	if err != nil {
		return err
	}
	if len(raw) == 0 {
		return nil
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return Refuse(http.StatusBadRequest, "BadRequest", "malformed body: %s", err)
	}
	return nil
}
