// Package identity is as much of Keystone's API v3 as services need to find and
// trust each other: tokens for a password, and the catalog that comes with them.
//
// It starts no goroutines; a Service may be used concurrently.
package identity

import (
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"

	"bolide/test/controller/store"
	"bolide/test/controller/web"
)

// Region, Domain and the administrator's names of this cloud, which has one of
// each. Services log in under their own names, into ServiceProject.
const (
	Region         = "RegionOne"
	Domain         = "Default"
	Admin          = "admin"
	AdminProject   = "admin"
	ServiceProject = "service"
)

// tokenLife is how long a token is good.
const tokenLife = time.Hour

// Entry is a service in the catalog.
type Entry struct{ Type, Name, URL string }

// Options of a Service.
type Options struct {
	Store    *store.Store // required
	Password string       // of all users; required
	Catalog  []Entry
	Now      func() time.Time // default time.Now
}

// Service is the identity service.
type Service struct {
	*web.Mux
	o Options
}

var _ web.Authority = (*Service)(nil)

// New makes the service.
func New(o Options) *Service {
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Service{Mux: web.NewMux(nil, dialect), o: o}
	for _, path := range []string{"GET /{$}", "GET /v3", "GET /v3/{$}"} {
		s.Handle(path, s.versions)
	}
	s.Handle("POST /v3/auth/tokens", s.login)
	s.Handle("GET /v3/auth/tokens", s.validate)
	return s
}

func dialect(_ *web.Call, e *web.Error) any {
	return map[string]any{"error": map[string]any{"code": e.Status, "title": http.StatusText(e.Status), "message": e.Message}}
}

func (s *Service) versions(c *web.Call) error {
	v := map[string]any{"id": "v3.14", "status": "stable", "links": []any{map[string]string{"rel": "self", "href": "http://" + c.Host + "/v3/"}}}
	if c.URL.Path == "/" {
		return c.JSON(http.StatusMultipleChoices, map[string]any{"versions": map[string]any{"values": []any{v}}})
	}
	return c.JSON(http.StatusOK, map[string]any{"version": v})
}

// token is what is kept of one.
type token struct {
	web.Who
	Expires time.Time
}

const tokens = "tokens"

// Who implements web.Authority.
func (s *Service) Who(id string) (web.Who, bool) {
	t, err := s.token(id)
	return t.Who, err == nil
}

func (s *Service) token(id string) (token, error) {
	var t token
	err := s.o.Store.View(func(tx *store.Tx) error {
		found, err := tx.Get(tokens, id, &t)
		if err == nil && !found {
			err = web.Refuse(http.StatusNotFound, "", "Failed to validate token")
		}
		return err
	})
	if err == nil && s.o.Now().After(t.Expires) {
		err = web.Refuse(http.StatusNotFound, "", "The token has expired")
	}
	return t, err
}

// Issue makes a token for a user of a project. The administrator and the services
// have an administrator's rights; anybody else is a plain user.
func (s *Service) Issue(user, project string) (web.Who, error) {
	who := web.Who{
		Token:  uuid.NewString(),
		UserID: idOf(user), UserName: user,
		ProjectID: idOf(project), ProjectName: project,
		Roles: []string{"member", "reader"},
	}
	if user == Admin || project == ServiceProject {
		who.Roles = append(who.Roles, "admin")
	}
	if project == ServiceProject {
		who.Roles = append(who.Roles, "service")
	}
	err := s.o.Store.Update(func(tx *store.Tx) error {
		return tx.Put(tokens, who.Token, token{who, s.o.Now().Add(tokenLife)})
	})
	return who, err
}

// idOf gives a user or project the same id for ever, in Keystone's form.
func idOf(name string) string {
	id := uuid.NewSHA1(uuid.NameSpaceOID, []byte("bolide:"+name))
	return fmt.Sprintf("%x", id[:])
}

// loginRequest is the body of a request for a token.
type loginRequest struct {
	Auth struct {
		Identity struct {
			Methods  []string
			Password struct {
				User struct{ ID, Name, Password string }
			}
			Token struct{ ID string }
		}
		Scope struct {
			Project struct{ ID, Name string }
		}
	}
}

func (s *Service) login(c *web.Call) error {
	var r loginRequest
	if err := c.Read(&r); err != nil {
		return err
	}
	user := r.Auth.Identity.Password.User
	switch {
	case r.Auth.Identity.Token.ID != "":
		t, err := s.token(r.Auth.Identity.Token.ID)
		if err != nil {
			return web.Refuse(http.StatusUnauthorized, "", "%s", err)
		}
		user.Name = t.UserName
	case user.Name == "" || user.Password != s.o.Password:
		return web.Refuse(http.StatusUnauthorized, "", "The request you have made requires authentication.")
	}
	project := r.Auth.Scope.Project.Name
	if project == "" {
		project = AdminProject
		if r.Auth.Scope.Project.ID == idOf(ServiceProject) {
			project = ServiceProject
		}
	}
	who, err := s.Issue(user.Name, project)
	if err != nil {
		return err
	}
	c.Answer.Header().Set("X-Subject-Token", who.Token)
	return c.JSON(http.StatusCreated, s.describe(token{who, s.o.Now().Add(tokenLife)}))
}

func (s *Service) validate(c *web.Call) error {
	id := c.Request.Header.Get("X-Subject-Token")
	t, err := s.token(id)
	if err != nil {
		return err
	}
	c.Answer.Header().Set("X-Subject-Token", id)
	return c.JSON(http.StatusOK, s.describe(t))
}

func (s *Service) describe(t token) any {
	domain := map[string]string{"id": "default", "name": Domain}
	roles := make([]any, len(t.Roles))
	for i, name := range t.Roles {
		roles[i] = map[string]string{"id": idOf(name), "name": name}
	}
	return map[string]any{"token": map[string]any{
		"methods":    []string{"password"},
		"expires_at": t.Expires.UTC().Format("2006-01-02T15:04:05.000000Z"),
		"issued_at":  t.Expires.Add(-tokenLife).UTC().Format("2006-01-02T15:04:05.000000Z"),
		"user":       map[string]any{"id": t.UserID, "name": t.UserName, "domain": domain},
		"project":    map[string]any{"id": t.ProjectID, "name": t.ProjectName, "domain": domain},
		"is_domain":  false,
		"roles":      roles,
		"catalog":    s.catalog(),
	}}
}

func (s *Service) catalog() []any {
	var out []any
	for _, e := range s.o.Catalog {
		var endpoints []any
		for _, face := range []string{"public", "internal", "admin"} {
			endpoints = append(endpoints, map[string]string{
				"id": idOf(e.Type + face), "interface": face, "url": e.URL, "region": Region, "region_id": Region,
			})
		}
		out = append(out, map[string]any{"id": idOf(e.Type), "type": e.Type, "name": e.Name, "endpoints": endpoints})
	}
	return out
}
