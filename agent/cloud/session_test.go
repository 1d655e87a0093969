package cloud

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"
)

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestWaitersShareKeystonesFailure asks Keystone once for all who want a token
// while it is failing, and again for those who come later.
func TestWaitersShareKeystonesFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := newSession(Auth{AuthURL: "http://keystone", UserID: "u", Password: "p"}, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		asked, answer := 0, make(chan int)
		s.identity.HTTPClient.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
			asked++
			w := httptest.NewRecorder()
			w.Header().Set("X-Subject-Token", "token")
			w.WriteHeader(<-answer)
			_, _ = w.WriteString(`{"token": {"expires_at": "2099-01-01T00:00:00.000000Z"}}`)
			return w.Result(), nil
		})
		outcomes := make(chan error, 10)
		ask := func(ctx context.Context) {
			_, err := s.current(ctx)
			outcomes <- err
		}
		hasty, cancel := context.WithCancel(t.Context())
		go ask(t.Context())
		synctest.Wait()
		go ask(hasty)
		for range 5 {
			go ask(t.Context())
		}
		synctest.Wait()
		cancel()
		if err := <-outcomes; !errors.Is(err, context.Canceled) {
			t.Errorf("who gives up while waiting: %v", err)
		}
		answer <- http.StatusServiceUnavailable
		for range 6 {
			if err := <-outcomes; !IsStatus(err, http.StatusServiceUnavailable) {
				t.Errorf("who waited: %v", err)
			}
		}
		go ask(t.Context())
		answer <- http.StatusCreated
		if err := <-outcomes; err != nil || asked != 2 {
			t.Errorf("who came later: %v, after %d requests", err, asked)
		}
	})
}
