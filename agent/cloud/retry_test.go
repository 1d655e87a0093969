package cloud

import (
	"context"
	"net/http"
	"testing"
	"time"
)

func TestRetries(t *testing.T) {
	get := func(ctx context.Context, c *Cloud) error {
		_, err := c.Network().ShowPort(ctx, Identity{}, "p")
		return err
	}
	post := func(ctx context.Context, c *Cloud) error {
		_, err := c.Network().CreatePort(ctx, Identity{}, Attributes{})
		return err
	}
	put := func(ctx context.Context, c *Cloud) error {
		_, err := c.Network().UpdatePort(ctx, Identity{}, "p", Attributes{})
		return err
	}
	fine := says(`{"port": {}}`)
	for _, c := range []struct {
		name     string
		answer   http.HandlerFunc
		call     func(context.Context, *Cloud) error
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
			err := c.call(t.Context(), open(t, s.options()))
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
