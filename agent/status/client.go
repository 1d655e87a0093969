package status

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
)

// Client asks a running node through its socket.
type Client struct {
	path string
	http *http.Client
}

// NewClient makes a Client of the socket at path. It connects when asked.
func NewClient(path string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}
	return &Client{path: path, http: &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}
}

// APIError is an answer that is an error.
type APIError struct {
	Status int
	Text   string
}

func (e *APIError) Error() string { return e.Text }

// Get asks for path and decodes the JSON answer into out.
func (c *Client) Get(ctx context.Context, path string, out any) error {
	return c.Ask(ctx, http.MethodGet, path, out)
}

// Ask sends a request without a body and decodes the JSON answer into out.
func (c *Client) Ask(ctx context.Context, method, path string, out any) error {
	body, err := c.Open(ctx, method, path, nil)
	if err != nil {
		return err
	}
	defer body.Close()
	return decode(path, body, out)
}

// Put sends in as JSON and decodes the answer into out.
func (c *Client) Put(ctx context.Context, path string, in, out any) error {
	return c.send(ctx, http.MethodPut, path, in, out)
}

// Delete takes back what is at path and decodes the answer into out.
func (c *Client) Delete(ctx context.Context, path string, out any) error {
	return c.send(ctx, http.MethodDelete, path, nil, out)
}

func (c *Client) send(ctx context.Context, method, path string, in, out any) error {
	text, err := json.Marshal(in)
	if err != nil {
		return err
	}
	body, err := c.Open(ctx, method, path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	defer body.Close()
	return decode(path, body, out)
}

// Post asks for path to be done; there is nothing to send and nothing in the answer.
func (c *Client) Post(ctx context.Context, path string) error {
	body, err := c.Open(ctx, http.MethodPost, path, nil)
	if err != nil {
		return err
	}
	return body.Close()
}

func decode(path string, body io.Reader, out any) error {
	if err := json.NewDecoder(body).Decode(out); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// Open asks for path and returns the answer's body for the caller to close. An
// answer that is an error becomes an APIError, unless it is that of an
// unhealthy node, which has the same body as a healthy one's.
func (c *Client) Open(ctx context.Context, method, path string, in io.Reader) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://bolide"+path, in)
	if err != nil {
		return nil, err
	}
	return c.do(req)
}

// Console becomes the serial console of a guest. The end of ctx closes it.
func (c *Client) Console(ctx context.Context, guest string, o ConsoleOptions) (io.ReadWriteCloser, error) {
	path := "/v1/instances/" + url.PathEscape(guest) + "/console?force=" + strconv.FormatBool(o.Force)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://bolide"+path, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", ConsoleProtocol)
	body, err := c.do(req)
	if err != nil {
		return nil, err
	}
	console, ok := body.(io.ReadWriteCloser)
	if !ok {
		return nil, errors.Join(fmt.Errorf("%s: the daemon did not open a console", path), body.Close())
	}
	return console, nil
}

func (c *Client) do(req *http.Request) (io.ReadCloser, error) {
	path := req.URL.Path
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask bolide at %s: %w", c.path, cause(err))
	}
	if resp.StatusCode < 300 || resp.StatusCode == http.StatusServiceUnavailable && path == "/v1/health" {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	var p Problem
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if json.Unmarshal(text, &p) != nil || p.Error == "" {
		p.Error = resp.Status
	}
	return nil, &APIError{resp.StatusCode, p.Error}
}

// cause takes off what net/http and net put around an error, which repeats the
// address.
func cause(err error) error {
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(err) {
		err = inner
	}
	return err
}
