// Package cloudtest plays a recorded cloud to tests: an HTTP server that answers
// each request as a real OpenStack once did, and fails the test at any request
// that the recording does not have.
//
// Recordings are JSON files in testdata. They are made by running the same test
// against a real cloud:
//
//	go test ./agent/network -run TestAllocate -record http://127.0.0.1:5000/v3 -password secret
//
// Tokens and passwords never reach a file: the server hands out its own tokens,
// named after their users.
package cloudtest

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/sirupsen/logrus"

	"bolide/agent/cloud"
)

var (
	recordFrom     = flag.String("record", "", "Keystone of a real cloud to record from instead of playing a recording")
	recordPassword = flag.String("password", "", "password of all users while recording")
)

// Services are the names under which the server offers what a cloud has, by
// service type.
var services = map[string]string{"image": "image", "network": "network", "placement": "placement", "block-storage": "volume", "key-manager": "key"}

// Exchange is one request and its answer.
type Exchange struct {
	// Service is image, network, placement or volume.
	Service string `json:"service"`
	// As is the user whose token the request had; Vouched the one of
	// X-Service-Token.
	As      string            `json:"as"`
	Vouched string            `json:"vouched,omitempty"`
	Method  string            `json:"method"`
	Path    string            `json:"path"`
	Query   url.Values        `json:"query,omitempty"`
	Header  map[string]string `json:"header,omitempty"`
	Body    any               `json:"body,omitempty"`

	Status       int               `json:"status"`
	AnswerHeader map[string]string `json:"answer_header,omitempty"`
	Answer       any               `json:"answer,omitempty"`
}

// headers that a request is recorded and compared with, and an answer is given.
var (
	requestHeaders = []string{"Content-Type", "Openstack-Api-Version", "Range", "X-Openstack-Request-Id"}
	answerHeaders  = []string{"Content-Type", "Content-Range", "X-Openstack-Request-Id"}
)

// Cloud is the server of one test.
type Cloud struct {
	tb   testing.TB
	file string
	url  string
	real *real // nil while playing
	live http.Handler

	mu     sync.Mutex
	rec    recording
	played []bool
}

// recording is a file in testdata.
type recording struct {
	// Projects are the ids of the users' projects, by user.
	Projects  map[string]string `json:"projects"`
	Exchanges []Exchange        `json:"exchanges"`
}

// New starts a server that plays testdata/<name>.json and stops it when the
// test ends. The test fails if a recorded request was never made.
func New(tb testing.TB, name string) *Cloud {
	tb.Helper()
	c := &Cloud{tb: tb, file: filepath.Join("testdata", name+".json"), rec: recording{Projects: map[string]string{}}}
	if *recordFrom != "" {
		c.real = newReal(tb, *recordFrom, *recordPassword)
	} else {
		raw, err := os.ReadFile(c.file)
		if err != nil {
			tb.Fatalf("no recording: %v", err)
		}
		if err := json.Unmarshal(raw, &c.rec); err != nil {
			tb.Fatalf("recording %s: %v", c.file, err)
		}
		c.played = make([]bool, len(c.rec.Exchanges))
	}
	c.start(c.finish)
	return c
}

// Serve starts a server whose services are the handler's: /network/v2.0/ports
// and so on. Keystone is as in a recording. User's project is "<name>-project".
func Serve(tb testing.TB, services http.Handler) *Cloud {
	tb.Helper()
	c := &Cloud{tb: tb, live: services}
	c.start(func() {})
	return c
}

func (c *Cloud) start(finish func()) {
	server := httptest.NewServer(http.HandlerFunc(c.serve))
	c.url = server.URL
	c.tb.Cleanup(func() {
		server.Close()
		finish()
	})
}

// Options are for cloud.New: every service with credentials of its own, found
// through the catalog, and Glance as an api_servers entry.
func (c *Cloud) Options() cloud.Options {
	log := logrus.New()
	log.SetOutput(io.Discard)
	service := func(user string) cloud.ServiceOptions {
		return cloud.ServiceOptions{Auth: c.auth(user), Retries: -1}
	}
	return cloud.Options{
		Image:       cloud.ServiceOptions{Endpoint: cloud.Endpoint{Servers: []string{c.url + "/image"}}, Retries: -1},
		Network:     service("neutron"),
		Placement:   service("placement"),
		Volume:      service("cinder"),
		Key:         cloud.ServiceOptions{Retries: -1},
		ServiceUser: cloud.ServiceUser{Auth: c.auth("nova"), SendToken: true},
		Log:         logrus.NewEntry(log),
	}
}

// Open returns the clients.
func (c *Cloud) Open() *cloud.Cloud {
	c.tb.Helper()
	clients, err := cloud.New(c.Options())
	if err != nil {
		c.tb.Fatal(err)
	}
	return clients
}

// RequestID is that of every user's request.
const RequestID = "req-6a0c2b1e-0000-4000-8000-000000000001"

// User is the identity of a user in the project of the same name.
func (c *Cloud) User(name string) cloud.Identity {
	switch {
	case c.real != nil:
		c.rec.Projects[name] = c.real.authenticate(name, name)
	case c.live != nil:
		return cloud.Identity{Token: "token-" + name, ProjectID: name + "-project", RequestID: RequestID}
	}
	return cloud.Identity{Token: "token-" + name, ProjectID: c.rec.Projects[name], RequestID: RequestID}
}

func (c *Cloud) auth(user string) cloud.Auth {
	return cloud.Auth{
		AuthURL: c.url + "/v3", Username: user, Password: "password of " + user,
		UserDomainName: "Default", ProjectName: "service", ProjectDomainName: "Default",
	}
}

func (c *Cloud) serve(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/v3/auth/tokens" {
		c.authenticate(w, r)
		return
	}
	if c.live != nil {
		c.live.ServeHTTP(w, r)
		return
	}
	asked, err := read(r)
	if err != nil {
		c.refuse(w, "unreadable request: %v", err)
		return
	}
	if c.real != nil {
		if asked, err = c.real.ask(asked); err != nil {
			c.refuse(w, "real cloud: %v", err)
			return
		}
		c.mu.Lock()
		c.rec.Exchanges = append(c.rec.Exchanges, asked)
		c.mu.Unlock()
	} else if asked, err = c.play(asked); err != nil {
		c.refuse(w, "%v", err)
		return
	}
	for name, value := range asked.AnswerHeader {
		w.Header().Set(name, value)
	}
	w.WriteHeader(asked.Status)
	_, _ = w.Write(text(asked.Answer)) // a client that went away is the test's matter
}

// play finds the first recorded request that equals this one and was not played
// yet.
func (c *Cloud) play(asked Exchange) (Exchange, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, e := range c.rec.Exchanges {
		if !c.played[i] && same(e, asked) {
			c.played[i] = true
			return e, nil
		}
	}
	raw, err := json.MarshalIndent(asked, "", "  ")
	return asked, fmt.Errorf("request is not in %s: %s (%w)", c.file, raw, err)
}

func same(a, b Exchange) bool {
	a.Status, a.AnswerHeader, a.Answer = 0, nil, nil
	return reflect.DeepEqual(a, b)
}

func (c *Cloud) refuse(w http.ResponseWriter, format string, args ...any) {
	c.tb.Errorf(format, args...)
	http.Error(w, "see the test's log", http.StatusTeapot)
}

// authenticate plays Keystone: the token is named after the user.
func (c *Cloud) authenticate(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Auth struct {
			Identity struct {
				Password struct {
					User struct{ Name, Password string }
				}
			}
			Scope struct{ Project struct{ Name string } }
		}
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		c.refuse(w, "unreadable authentication: %v", err)
		return
	}
	user := in.Auth.Identity.Password.User
	if user.Password != "password of "+user.Name {
		c.refuse(w, "wrong password of %s", user.Name)
		return
	}
	if c.real != nil {
		c.real.authenticate(user.Name, in.Auth.Scope.Project.Name)
	}
	var catalog []map[string]any
	for serviceType, name := range services {
		catalog = append(catalog, map[string]any{"type": serviceType, "name": name, "endpoints": []map[string]string{
			{"interface": "internal", "region": "RegionOne", "region_id": "RegionOne", "url": c.url + "/" + name},
		}})
	}
	w.Header().Set("X-Subject-Token", "token-"+user.Name)
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(map[string]any{"token": map[string]any{
		"expires_at": "2099-01-01T00:00:00.000000Z", "catalog": catalog, "project": map[string]string{"id": "service-project"},
	}})
}

// finish writes a new recording or checks that the old one was played whole.
func (c *Cloud) finish() {
	if c.real == nil {
		for i, e := range c.rec.Exchanges {
			if !c.played[i] && !c.tb.Failed() {
				c.tb.Errorf("recorded request was not made: %s %s/%s?%s", e.Method, e.Service, e.Path, e.Query.Encode())
			}
		}
		return
	}
	raw, err := json.MarshalIndent(c.rec, "", " ")
	if err == nil {
		err = os.WriteFile(c.file, append(raw, '\n'), 0o644)
	}
	if err != nil {
		c.tb.Errorf("write recording: %v", err)
	}
}

// read makes an exchange of a request.
func read(r *http.Request) (Exchange, error) {
	service, path, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	e := Exchange{
		Service: service, Method: r.Method, Path: "/" + path, Header: pick(r.Header, requestHeaders),
		As:      strings.TrimPrefix(r.Header.Get("X-Auth-Token"), "token-"),
		Vouched: strings.TrimPrefix(r.Header.Get("X-Service-Token"), "token-"),
	}
	if query := r.URL.Query(); len(query) > 0 {
		e.Query = query
	}
	raw, err := io.ReadAll(r.Body)
	e.Body = value(raw)
	return e, err
}

func pick(h http.Header, names []string) map[string]string {
	var picked map[string]string
	for _, name := range names {
		if v := h.Get(name); v != "" {
			if picked == nil {
				picked = map[string]string{}
			}
			picked[name] = v
		}
	}
	return picked
}

// value is a body as it is kept: JSON as it is, anything else as a string.
func value(raw []byte) any {
	if len(raw) == 0 {
		return nil
	}
	var v any
	if json.Unmarshal(raw, &v) == nil {
		return v
	}
	return string(raw)
}

// text is a kept body as it is sent.
func text(v any) []byte {
	switch v := v.(type) {
	case nil:
		return nil
	case string:
		return []byte(v)
	}
	var b bytes.Buffer
	_ = json.NewEncoder(&b).Encode(v) // came out of JSON
	return b.Bytes()
}
