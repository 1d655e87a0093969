package controller

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sirupsen/logrus"

	"bolide/test/controller/identity"
	"bolide/test/controller/network"
)

// newController makes a control plane whose HTTP services can be asked; nobody
// runs it.
func newController(t *testing.T) *Controller {
	t.Helper()
	log := logrus.New()
	log.SetOutput(io.Discard)
	c, err := New(Options{
		Dir: t.TempDir(), BrokerURL: "rabbit://guest:guest@127.0.0.1:1/", Wire: network.NewInstant(), Log: logrus.NewEntry(log),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.close() })
	return c
}

// exchange is a request that a compute node made of a real OpenStack, with the
// answer.
type exchange struct {
	Service string
	As      string
	Method  string
	Path    string
	Query   url.Values
	Header  map[string]string
	Body    any
	Status  int
	Answer  any
}

func readExchanges(t *testing.T, file string) []exchange {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var r struct{ Exchanges []exchange }
	if err := json.Unmarshal(raw, &r); err != nil {
		t.Fatal(err)
	}
	return r.Exchanges
}

// replay asks the services what was asked of the real ones. Identifiers that
// they made up are taken from the answers, to be asked for later.
type replay struct {
	t      *testing.T
	c      *Controller
	tokens map[string]string // by user
	ours   map[string]string // identifiers by those recorded
}

func newReplay(t *testing.T, c *Controller) *replay {
	return &replay{t: t, c: c, tokens: map[string]string{}, ours: map[string]string{}}
}

func (r *replay) token(user string) string {
	if r.tokens[user] == "" {
		project := identity.ServiceProject
		switch user {
		case identity.Admin:
			project = identity.AdminProject
		case "bolide-rec":
			project = user
		}
		who, err := r.c.Identity.Issue(user, project)
		if err != nil {
			r.t.Fatal(err)
		}
		r.tokens[user] = who.Token
	}
	return r.tokens[user]
}

// translate puts our identifiers in the place of those recorded.
func (r *replay) translate(s string) string {
	for recorded, ours := range r.ours {
		s = strings.ReplaceAll(s, recorded, ours)
	}
	return s
}

func (r *replay) ask(e exchange) (int, any) {
	r.t.Helper()
	target := r.translate(e.Path)
	if len(e.Query) > 0 {
		target += "?" + r.translate(e.Query.Encode())
	}
	var body io.Reader
	switch b := e.Body.(type) {
	case nil:
	case string:
		body = strings.NewReader(b)
	default:
		raw, err := json.Marshal(b)
		if err != nil {
			r.t.Fatal(err)
		}
		body = strings.NewReader(r.translate(string(raw)))
	}
	request := httptest.NewRequest(e.Method, target, body)
	for name, value := range e.Header {
		request.Header.Set(name, value)
	}
	request.Header.Set("X-Auth-Token", r.token(e.As))
	w := httptest.NewRecorder()
	r.c.handlers[e.Service].ServeHTTP(w, request)
	var answer any
	raw := w.Body.Bytes()
	if len(raw) > 0 && json.Unmarshal(raw, &answer) != nil {
		answer = string(raw)
	}
	r.learn(e.Answer, answer)
	return w.Code, answer
}

var identifier = regexp.MustCompile(`^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$|^10\.77\.0\.\d+$`)

// learn finds what we call that which the recording calls otherwise.
func (r *replay) learn(recorded, ours any) {
	switch v := recorded.(type) {
	case map[string]any:
		if o, ok := ours.(map[string]any); ok {
			for name := range v {
				r.learn(v[name], o[name])
			}
		}
	case []any:
		if o, ok := ours.([]any); ok {
			for i := range min(len(v), len(o)) {
				r.learn(v[i], o[i])
			}
		}
	case string:
		if o, ok := ours.(string); ok && v != o && identifier.MatchString(v) && identifier.MatchString(o) {
			r.ours[v] = o
		}
	}
}

// unlike are fields that have other values here, by their nature or because
// agents of Neutron's change them.
var unlike = []string{
	"created_at", "updated_at", "request_id", "mac_address", "revision_number", "url", "detail", "message", "availability_zones",
}

// normal is an answer without what must differ, and with our identifiers.
func (r *replay) normal(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for name, value := range v {
			switch {
			case slices.Contains(unlike, name):
				out[name] = "any"
			case name == "bound_drivers", name == "allocation_pools":
			default:
				out[r.translate(name)] = r.normal(value)
			}
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = r.normal(item)
		}
		return out
	case string:
		return r.translate(v)
	}
	return v
}

func (r *replay) compare(e exchange) {
	r.t.Helper()
	status, answer := r.ask(e)
	name := e.As + ": " + e.Method + " " + e.Path + " " + e.Query.Encode()
	if status != e.Status {
		r.t.Errorf("%s: %d, recorded %d: %v", name, status, e.Status, answer)
		return
	}
	if _, text := e.Answer.(string); text && status >= 400 {
		return // Glance says it in text
	}
	if diff := cmp.Diff(r.normal(e.Answer), r.normal(answer)); diff != "" {
		r.t.Errorf("%s (-recorded +ours):\n%s", name, diff)
	}
}

func TestImageServiceAsRecorded(t *testing.T) {
	r := newReplay(t, newController(t))
	for _, e := range readExchanges(t, "../../agent/cloud/testdata/image_life.json") {
		r.compare(e)
	}
}

func TestPlacementServiceAsRecorded(t *testing.T) {
	r := newReplay(t, newController(t))
	for _, e := range readExchanges(t, "../../agent/cloud/testdata/provider_life.json") {
		if strings.HasPrefix(e.Path, "/traits/") {
			r.ask(e) // there, the trait was left from an earlier recording
		}
		r.compare(e)
	}
}

// TestNetworkServiceAsRecorded replays what nodes did with ports. The network
// they did it on is made as it was.
func TestNetworkServiceAsRecorded(t *testing.T) {
	for _, file := range []string{"boot_user", "attach"} {
		t.Run(file, func(t *testing.T) {
			c := newController(t)
			r := newReplay(t, c)
			admin, err := c.Identity.Issue(identity.Admin, identity.AdminProject)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.Network.AddNetwork(network.NetworkOptions{Name: "net1", Project: admin.ProjectID, CIDR: "10.77.0.0/24"}); err != nil {
				t.Fatal(err)
			}
			compared := 0
			for _, e := range readExchanges(t, filepath.Join("../../agent/network/testdata", file+".json")) {
				if e.Service != "network" || strings.Contains(e.Query.Encode(), "dhcp") || strings.Contains(e.Path, "extensions") {
					continue // there is no DHCP here, and not as many extensions
				}
				if strings.Contains(e.Path, "subnets") {
					r.ask(e) // which has DHCP
					continue
				}
				compared++
				r.compare(e)
			}
			if compared < 10 {
				t.Errorf("only %d requests were compared", compared)
			}
		})
	}
}

func TestPlainUsersMayNotBind(t *testing.T) {
	c := newController(t)
	r := newReplay(t, c)
	id, err := c.Network.AddNetwork(network.NetworkOptions{Name: "n", CIDR: "10.77.0.0/24"})
	if err != nil {
		t.Fatal(err)
	}
	body := map[string]any{"network_id": id, "binding:host_id": "h"}
	status, _ := r.ask(exchange{Service: "network", As: "bolide-rec", Method: "POST", Path: "/v2.0/ports", Body: map[string]any{"port": body}})
	if status != http.StatusForbidden {
		t.Errorf("status %d", status)
	}
}

// TestTokens: services trust only tokens that were issued.
func TestTokens(t *testing.T) {
	c := newController(t)
	login := func(password string) *httptest.ResponseRecorder {
		body := map[string]any{"auth": map[string]any{
			"identity": map[string]any{"methods": []string{"password"}, "password": map[string]any{"user": map[string]any{
				"name": "admin", "password": password, "domain": map[string]string{"name": "Default"},
			}}},
			"scope": map[string]any{"project": map[string]any{"name": "admin", "domain": map[string]string{"name": "Default"}}},
		}}
		raw, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		c.Identity.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v3/auth/tokens", bytes.NewReader(raw)))
		return w
	}
	if w := login("wrong"); w.Code != http.StatusUnauthorized {
		t.Errorf("wrong password: %d", w.Code)
	}
	w := login(c.Password())
	if w.Code != http.StatusCreated {
		t.Fatalf("login: %d %s", w.Code, w.Body)
	}
	for token, want := range map[string]int{w.Header().Get("X-Subject-Token"): http.StatusOK, "made-up": http.StatusUnauthorized, "": http.StatusUnauthorized} {
		request := httptest.NewRequest(http.MethodGet, "/v2/images", nil)
		request.Header.Set("X-Auth-Token", token)
		w := httptest.NewRecorder()
		c.Images.ServeHTTP(w, request)
		if w.Code != want {
			t.Errorf("token %q: %d, want %d", token, w.Code, want)
		}
	}
	var granted struct {
		Token struct{ Catalog []struct{ Type string } }
	}
	if err := json.Unmarshal(w.Body.Bytes(), &granted); err != nil {
		t.Fatal(err)
	}
	kinds := map[string]bool{}
	for _, e := range granted.Token.Catalog {
		kinds[e.Type] = true
	}
	want := []string{"compute", "identity", "image", "key-manager", "network", "placement"}
	if got := slices.Sorted(maps.Keys(kinds)); !slices.Equal(got, want) {
		t.Errorf("catalog %v, want %v", got, want)
	}
}
