package controller

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// Client makes requests of the services in the name of a token's owner. It is safe for concurrent use.
type Client struct {
	Token string
	HTTP  *http.Client
}

// Refusal is an answer that is no success.
type Refusal struct {
	Status int
	Text   string
}

func (e *Refusal) Error() string { return fmt.Sprintf("status %d: %s", e.Status, e.Text) }

// Ask makes a request and reads the JSON answer into out, unless that is nil. An answer with a status from 300 on is a
// [*Refusal].
func (c Client) Ask(ctx context.Context, method, url string, in, out any) error {
	var body io.Reader
	if in != nil {
		raw, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(raw)
	}
	r, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return err
	}
	r.Header.Set("X-Auth-Token", c.Token)
	r.Header.Set("OpenStack-API-Version", "placement 1.30")
	resp, err := c.HTTP.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %w", method, url, &Refusal{resp.StatusCode, string(raw)})
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(raw, out); err != nil {
		return fmt.Errorf("%s %s: %w: %s", method, url, err, raw)
	}
	return nil
}
