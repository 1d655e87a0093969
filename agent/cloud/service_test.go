package cloud

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
)

// site is Keystone and one service for all types, with an answer per request.
type site struct {
	*httptest.Server
	answer  http.HandlerFunc
	tokens  atomic.Int32 // handed out so far
	expires time.Time    // of each token
	mu      sync.Mutex
	seen    []*http.Request
}

func newSite(t *testing.T, answer http.HandlerFunc) *site {
	s := &site{answer: answer, expires: time.Now().Add(time.Hour)}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/v3/auth/tokens" {
		w.Header().Set("X-Subject-Token", fmt.Sprintf("token-%d", s.tokens.Add(1)))
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, `{"token": {"expires_at": %q, "project": {"id": "own-project"}, "catalog": [
			{"type": "network", "endpoints": [{"interface": "internal", "url": "%[2]s"}]},
			{"type": "image", "endpoints": [{"interface": "internal", "url": "%[2]s"}]},
			{"type": "placement", "endpoints": [{"interface": "internal", "url": "%[2]s"}]},
			{"type": "volumev3", "endpoints": [{"interface": "internal", "url": "%[2]s/v3/0123456789abcdef0123456789abcdef"}]}]}}`,
			s.expires.UTC().Format("2006-01-02T15:04:05.000000Z"), s.URL)
		return
	}
	s.mu.Lock()
	s.seen = append(s.seen, r)
	s.mu.Unlock()
	s.answer(w, r)
}

func (s *site) requests() []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen
}

// options are for a cloud on this site whose retries do not wait.
func (s *site) options() Options {
	log := logrus.New()
	log.SetOutput(io.Discard)
	section := ServiceOptions{Auth: s.auth("node")}
	return Options{
		Image: section, Network: section, Placement: section, Volume: section,
		Log: logrus.NewEntry(log), sleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() },
	}
}

func (s *site) auth(user string) Auth {
	return Auth{AuthURL: s.URL, Username: user, Password: "secret", UserDomainName: "d", ProjectName: "p", ProjectDomainName: "d"}
}

func open(t *testing.T, o Options) *Cloud {
	t.Helper()
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// sequence answers one after the other and repeats the last.
func sequence(answers ...http.HandlerFunc) http.HandlerFunc {
	var n atomic.Int32
	return func(w http.ResponseWriter, r *http.Request) {
		i := min(int(n.Add(1)), len(answers)) - 1
		answers[i](w, r)
	}
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

func says(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }
}

// hangUp closes the connection without an answer.
func hangUp(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	conn, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		_ = conn.Close()
	}
}

func TestRetries(t *testing.T) {
	get := func(c *Cloud, ctx context.Context) error {
		_, err := c.Network().ShowPort(ctx, Identity{}, "p")
		return err
	}
	post := func(c *Cloud, ctx context.Context) error {
		_, err := c.Network().CreatePort(ctx, Identity{}, Attributes{})
		return err
	}
	put := func(c *Cloud, ctx context.Context) error {
		_, err := c.Network().UpdatePort(ctx, Identity{}, "p", Attributes{})
		return err
	}
	fine := says(`{"port": {}}`)
	for _, c := range []struct {
		name     string
		answer   http.HandlerFunc
		call     func(*Cloud, context.Context) error
		requests int
		fails    bool
	}{
		{"a read after 503", sequence(status(503), status(503), fine), get, 3, false},
		{"a read after 502", sequence(status(502), fine), get, 2, false},
		{"a read after 504", sequence(status(504), fine), get, 2, false},
		{"a read after a broken connection", sequence(hangUp, fine), get, 2, false},
		{"a read that never works", status(503), get, 4, true},
		{"a read after 500", sequence(status(500), fine), get, 1, true},
		{"a read after 404", sequence(status(404), fine), get, 1, true},
		{"an update after a broken connection", sequence(hangUp, fine), put, 2, false},
		{"a create after 503", sequence(status(503), fine), post, 2, false},
		{"a create after 429", sequence(status(429), fine), post, 2, false},
		{"a create after 502", sequence(status(502), fine), post, 1, true},
		{"a create after a broken connection", sequence(hangUp, fine), post, 1, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t, c.answer)
			err := c.call(open(t, s.options()), t.Context())
			if n := len(s.requests()); n != c.requests || (err != nil) != c.fails {
				t.Errorf("%d requests, error %v; want %d, %v", n, err, c.requests, c.fails)
			}
		})
	}
}

func TestRetryWaits(t *testing.T) {
	for _, c := range []struct {
		header   string
		min, max time.Duration
	}{
		{"", 350 * time.Millisecond, 650 * time.Millisecond},
		{"7", 7 * time.Second, 7 * time.Second},
		{"86400", 30 * time.Second, 30 * time.Second},
		{"soon", 350 * time.Millisecond, 650 * time.Millisecond},
	} {
		wait, again := retryable(request{method: http.MethodGet}, &Error{Status: 503, RetryAfter: c.header}, 1)
		if !again || wait < c.min || wait > c.max {
			t.Errorf("Retry-After %q: %s, %v", c.header, wait, again)
		}
	}
	if d := backoff(100); d > 10*time.Second || d < 6*time.Second {
		t.Errorf("backoff grows to %s", d)
	}
}

func TestRefusedTokenIsRenewedOnce(t *testing.T) {
	// Tokens up to refused are no good.
	for _, c := range []struct {
		refused, tokens, requests int
		fails                     bool
	}{{0, 1, 1, false}, {1, 2, 2, false}, {9, 2, 2, true}} {
		s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
			var n int
			fmt.Sscanf(r.Header.Get("X-Auth-Token"), "token-%d", &n)
			if n <= c.refused {
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

func TestServersAreUsedInTurn(t *testing.T) {
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			_, _ = io.Copy(io.Discard, r.Body)
			w.WriteHeader(http.StatusNoContent)
			return
		}
		says(`{"id": "i"}`)(w, r)
	})
	dead := httptest.NewServer(http.NotFoundHandler())
	dead.Close()
	o := s.options()
	o.Image = ServiceOptions{Endpoint: Endpoint{Servers: []string{dead.URL, strings.TrimPrefix(s.URL, "http://")}}}
	images := open(t, o).Images()
	for range 4 {
		if _, err := images.Get(t.Context(), Identity{Token: "t"}, "i"); err != nil {
			t.Fatal(err)
		}
		if err := images.Upload(t.Context(), Identity{Token: "t"}, "i", Upload{Body: strings.NewReader("x")}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDeadline(t *testing.T) {
	release := make(chan struct{})
	s := newSite(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	defer close(release)
	o := s.options()
	o.Network.Timeout, o.Network.Retries = 30*time.Millisecond, -1
	c := open(t, o)
	_, err := c.Network().ShowPort(t.Context(), Identity{}, "p")
	if !IsUnreachable(err) || !strings.Contains(err.Error(), "no answer within 30ms") {
		t.Errorf("error %v", err)
	}
	if state := c.State()[1]; state.Up || state.Err == "" || state.Name != "network" {
		t.Errorf("state %+v", state)
	}
}

func TestCallerGivesUp(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := newSite(t, func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	c := open(t, s.options())
	_, err := c.Network().ShowPort(ctx, Identity{}, "p")
	if !errors.Is(err, context.Canceled) || len(s.requests()) != 1 {
		t.Errorf("error %v after %d requests", err, len(s.requests()))
	}
	if state := c.State()[1]; !state.LastFailure.IsZero() {
		t.Errorf("state %+v", state)
	}
}

func TestLinkState(t *testing.T) {
	s := newSite(t, sequence(status(404), says(`{"port": {}}`), status(502)))
	o := s.options()
	clock := time.Unix(1000, 0)
	o.now = func() time.Time { return clock }
	s.expires = clock.Add(time.Hour)
	o.Network.Retries = -1
	c := open(t, o)
	var got []string
	for range 3 {
		clock = clock.Add(time.Second)
		_, _ = c.Network().ShowPort(t.Context(), Identity{}, "p") // the state tells
		l := c.State()[1]
		got = append(got, fmt.Sprintf("%v %d %d %s", l.Up, l.Since.Unix(), l.LastSuccess.Unix(), l.Err))
	}
	want := []string{"true 1001 1001 ", "true 1001 1002 ", "false 1003 1002 network: GET /v2.0/ports/p: 502 Bad Gateway"}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("states:\n%s", strings.Join(got, "\n"))
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

func TestEmptySection(t *testing.T) {
	s := newSite(t, says(`{}`))
	o := s.options()
	o.Volume = ServiceOptions{}
	c := open(t, o)
	_, err := c.Volumes().Get(t.Context(), Identity{Token: "t"}, "v")
	if err == nil || !strings.Contains(err.Error(), "no credentials") {
		t.Errorf("error %v", err)
	}
}
