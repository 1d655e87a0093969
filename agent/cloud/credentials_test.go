package cloud

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestRefusedTokenIsRenewedOnce(t *testing.T) {
	// Tokens up to refused are no good.
	for _, c := range []struct {
		refused, tokens, requests int
		fails                     bool
	}{{0, 1, 1, false}, {1, 2, 2, false}, {9, 2, 2, true}} {
		s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("X-Auth-Token") <= fmt.Sprintf("token-%d", c.refused) {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			says(`{"port": {"id": "p"}}`)(w, r)
		})
		_, err := open(t, s.options()).Network().ShowPort(t.Context(), Identity{}, "p")
		if int(s.tokens.Load()) != c.tokens || len(s.requests()) != c.requests || (err != nil) != c.fails {
			t.Errorf("%d refused: %d tokens, %d requests, %v", c.refused, s.tokens.Load(), len(s.requests()), err)
		}
		if c.fails && !IsUnauthorized(err) {
			t.Errorf("%d refused: %v", c.refused, err)
		}
	}
}

func TestManyCallsShareOneRenewal(t *testing.T) {
	var expired atomic.Bool
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
		if expired.Load() && r.Header.Get("X-Auth-Token") == "token-1" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		says(`{"port": {"id": "p"}}`)(w, r)
	})
	net := open(t, s.options()).Network()
	if _, err := net.ShowPort(t.Context(), Identity{}, "p"); err != nil {
		t.Fatal(err)
	}
	expired.Store(true)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, err := net.ShowPort(t.Context(), Identity{}, "p"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := s.tokens.Load(); n != 2 {
		t.Errorf("%d tokens were asked for", n)
	}
}

func TestTokenIsReplacedBeforeItExpires(t *testing.T) {
	s := newSite(t, says(`{"port": {"id": "p"}}`))
	o := s.options()
	start := time.Now()
	clock := start
	o.now = func() time.Time { return clock }
	s.expires = start.Add(time.Hour)
	net := open(t, o).Network()
	for _, c := range []struct {
		after time.Duration
		token string
	}{{0, "token-1"}, {58 * time.Minute, "token-1"}, {59*time.Minute + time.Second, "token-2"}} {
		clock = start.Add(c.after)
		if _, err := net.ShowPort(t.Context(), Identity{}, "p"); err != nil {
			t.Fatal(err)
		}
		seen := s.requests()
		if token := seen[len(seen)-1].Header.Get("X-Auth-Token"); token != c.token {
			t.Errorf("after %s: %s, want %s", c.after, token, c.token)
		}
	}
}

func TestUserToken(t *testing.T) {
	user := Identity{Token: "user's", ProjectID: "users-project", RequestID: "req-1"}
	for _, c := range []struct {
		name     string
		vouched  bool
		refuse   string // the X-Service-Token that makes for a 401
		requests int
		fails    bool
	}{
		{"alone", false, "-", 1, false},
		{"expired", false, "", 1, true},
		{"with a service token", true, "-", 1, false},
		{"with an expired service token", true, "token-2", 2, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("X-Service-Token") == c.refuse {
					w.WriteHeader(http.StatusUnauthorized)
					return
				}
				says(`{"port": {"id": "p"}}`)(w, r)
			})
			o := s.options()
			o.ServiceUser = ServiceUser{Auth: s.auth("service"), SendToken: c.vouched}
			_, err := open(t, o).Network().ShowPort(t.Context(), user, "p")
			if len(s.requests()) != c.requests || (err != nil) != c.fails {
				t.Fatalf("%d requests, %v", len(s.requests()), err)
			}
			for _, r := range s.requests() {
				if r.Header.Get("X-Auth-Token") != "user's" || r.Header.Get("X-Openstack-Request-Id") != "req-1" {
					t.Errorf("headers %v", r.Header)
				}
				if (r.Header.Get("X-Service-Token") != "") != c.vouched {
					t.Errorf("service token %q", r.Header.Get("X-Service-Token"))
				}
			}
		})
	}
}

func TestRequestIDPrefersTheGlobalOne(t *testing.T) {
	id := Identity{RequestID: "req-1", GlobalRequestID: "req-2", Token: "t"}
	if id.header() != "req-2" || id.Node().header() != "req-2" || id.Node().Token != "" {
		t.Errorf("header %q, node %+v", id.header(), id.Node())
	}
}

func TestUnreachableKeystone(t *testing.T) {
	s := newSite(t, says(`{}`))
	s.Close()
	c := open(t, s.options())
	_, err := c.Network().ShowPort(t.Context(), Identity{}, "p")
	var e *Error
	if !errors.As(err, &e) || e.Service != "identity" || c.State()[1].Err == "" {
		t.Errorf("error %v, state %+v", err, c.State()[1])
	}
}

func TestKeystoneIsAskedAgain(t *testing.T) {
	for code, requests := range map[int]int32{503: 3, 429: 3, 401: 1, 500: 1} {
		s := newSite(t, says(`{"port": {"id": "p"}}`))
		s.keystone = func(w http.ResponseWriter) bool {
			if s.tokens.Load() > 2 {
				return false
			}
			w.WriteHeader(code)
			return true
		}
		_, err := open(t, s.options()).Network().CreatePort(t.Context(), Identity{}, nil)
		if (err == nil) != (requests == 3) || s.tokens.Load() != requests {
			t.Errorf("%d: %v after %d requests", code, err, s.tokens.Load())
		}
	}
}

func TestEmptySection(t *testing.T) {
	s := newSite(t, says(`{"id": "i"}`))
	o := s.options()
	o.Image = ServiceOptions{}
	images := open(t, o).Images()
	if _, err := images.Get(t.Context(), Identity{Token: "t"}, "i"); err != nil {
		t.Errorf("as a user, found in another section's catalog: %v", err)
	}
	if _, err := images.Get(t.Context(), Identity{}, "i"); err == nil || !strings.Contains(err.Error(), "no credentials in its section") {
		t.Errorf("as the node: %v", err)
	}
	o.Network, o.Placement = ServiceOptions{}, ServiceOptions{}
	if _, err := open(t, o).Images().Get(t.Context(), Identity{Token: "t"}, "i"); err == nil || !strings.Contains(err.Error(), "no endpoint") {
		t.Errorf("with nobody to ask: %v", err)
	}
	var names []string
	for _, l := range open(t, o).State() {
		names = append(names, l.Name)
	}
	if strings.Join(names, " ") != "volume" {
		t.Errorf("state of %v", names)
	}
}
