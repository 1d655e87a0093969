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
	answer   http.HandlerFunc
	keystone func(w http.ResponseWriter) bool // answers in Keystone's place if it likes
	tokens   atomic.Int32                     // asked for so far
	expires  time.Time                        // of each token
	mu       sync.Mutex
	seen     []*http.Request
}

func newSite(t *testing.T, answer http.HandlerFunc) *site {
	s := &site{answer: answer, expires: time.Now().Add(time.Hour)}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

// newStalledSite is a site whose services begin to answer and then say no more until the test is over.
func newStalledSite(t *testing.T, begin func(http.ResponseWriter)) *site {
	over := make(chan struct{})
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
		begin(w)
		select {
		case <-over:
		case <-r.Context().Done():
		}
	})
	t.Cleanup(func() { close(over) }) // before the site closes, which waits for what it serves
	return s
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/v3/auth/tokens" {
		n := s.tokens.Add(1)
		if s.keystone != nil && s.keystone(w) {
			return
		}
		w.Header().Set("X-Subject-Token", fmt.Sprintf("token-%d", n))
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
	s := newStalledSite(t, func(http.ResponseWriter) {})
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
