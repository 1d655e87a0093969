package cloud

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/sirupsen/logrus"
)

// service is one HTTP API as seen from this node. Safe for concurrent use.
type service struct {
	name     string
	own      *session // nil: no credentials of its own
	vouching *session // nil: no X-Service-Token
	where    *locator
	client   http.Client
	timeout  time.Duration
	retries  int
	state    *tracker
	log      *logrus.Entry
	sleep    func(ctx context.Context, d time.Duration) error
	// configured is whether its section says anything.
	configured bool
}

// request is one call. The path follows the service's base address.
type request struct {
	method, path string
	inProject    string // if set, this and the project's id come before path
	query        url.Values
	header       map[string]string
	in, out      any       // JSON bodies; out may be nil
	body         io.Reader // a streamed body instead of in; never sent twice
	ok           []int     // the statuses that mean success
	stream       bool      // the caller reads and closes the answer's body
}

func newService(name, serviceType string, o ServiceOptions, own *session, all Options) (*service, error) {
	transport, err := newTransport(o.Auth)
	if err != nil {
		return nil, err
	}
	s := &service{
		name:    name,
		own:     own,
		where:   newLocator(o.Endpoint, serviceType),
		client:  http.Client{Transport: transport},
		timeout: o.Timeout,
		retries: o.Retries,
		state:   &tracker{now: all.now, state: LinkState{Name: name}},
		log:     all.Log.WithField("service", name),
		sleep:   all.sleep,
	}
	s.configured = !o.Auth.empty() || s.where.fixed()
	if s.timeout == 0 {
		s.timeout = defaultTimeout
	}
	if s.retries == 0 {
		s.retries = 3
	}
	return s, nil
}

// do makes the call, within a deadline per attempt and as often as is safe.
// Errors of the service are *Error. A stream request's answer must be closed by
// the caller; all others are read already.
func (s *service) do(ctx context.Context, id Identity, r request) (*http.Response, error) {
	renewed := false
	for failures := 0; ; {
		who, err := s.credentials(ctx, id)
		if err != nil {
			s.record(err, nil)
			return nil, err
		}
		resp, err := s.attempt(ctx, id, who, r)
		if err == nil || ctx.Err() == nil {
			s.record(err, who)
		}
		if err == nil || ctx.Err() != nil {
			return resp, err
		}
		if IsUnauthorized(err) && !renewed && r.body == nil && who.renewable() {
			renewed = true
			if err := who.renew(ctx); err != nil {
				return nil, err
			}
			continue
		}
		failures++
		pause, again := retryable(r, err, failures)
		if !again || failures > s.retries {
			return nil, err
		}
		s.log.WithError(err).WithField("attempt", failures).Warn("service call is tried again")
		if s.sleep(ctx, pause) != nil {
			return nil, err
		}
	}
}

// credentials are the tokens of one attempt.
type credentials struct {
	token    string
	own      *session // whose token it is, if the node's
	grant    *grant
	vouching *session
	vouch    *grant
	// catalog is where endpoints come from; nil if the endpoint is fixed and
	// the call is in a user's name.
	catalog *grant
}

func (s *service) credentials(ctx context.Context, id Identity) (*credentials, error) {
	c := &credentials{token: id.Token, vouching: s.vouching}
	var err error
	if s.own == nil && (id.Token == "" || !s.where.fixed()) {
		return nil, &Error{Service: s.name, Method: "authenticate", Err: errors.New("no credentials in its section of the configuration")}
	}
	if id.Token == "" || !s.where.fixed() {
		if c.catalog, err = s.own.current(ctx); err != nil {
			return nil, err
		}
	}
	if id.Token == "" {
		c.own, c.grant, c.token = s.own, c.catalog, c.catalog.token
	}
	if s.vouching != nil {
		if c.vouch, err = s.vouching.current(ctx); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// renewable is whether new tokens could make a difference to a 401: the user's
// own cannot be had again, but the node's and the one vouching can.
func (c *credentials) renewable() bool { return c.own != nil || c.vouching != nil }

func (c *credentials) renew(ctx context.Context) error {
	if c.own != nil {
		if _, err := c.own.fresh(ctx, c.grant); err != nil {
			return err
		}
	}
	if c.vouching != nil && c.vouching != c.own {
		if _, err := c.vouching.fresh(ctx, c.vouch); err != nil {
			return err
		}
	}
	return nil
}

func (s *service) attempt(ctx context.Context, id Identity, who *credentials, r request) (*http.Response, error) {
	base, err := s.where.next(who.catalog)
	if err != nil {
		return nil, &Error{Service: s.name, Method: r.method, Path: r.path, Err: err}
	}
	if r.inProject != "" {
		base += r.inProject + "/" + url.PathEscape(projectOf(id, who))
	}
	address := base + r.path
	if len(r.query) > 0 {
		address += "?" + r.query.Encode()
	}
	opts := &gophercloud.RequestOpts{
		JSONBody: r.in, RawBody: r.body, JSONResponse: r.out, OkCodes: r.ok,
		KeepResponseBody: r.stream, MoreHeaders: s.headers(id, who, r),
	}
	provider := &gophercloud.ProviderClient{HTTPClient: s.client, TokenID: who.token}
	provider.UserAgent.Prepend("bolide")
	switch {
	case r.stream:
		return s.stream(ctx, provider, r.method, address, opts)
	case r.body == nil:
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, s.timeout, fmt.Errorf("no answer within %s", s.timeout))
		defer cancel()
	}
	resp, err := provider.Request(ctx, r.method, address, opts)
	if err != nil {
		return nil, s.failure(ctx, r.method, address, err)
	}
	return resp, nil
}

// stream returns once the answer's body begins; an alarm watches it from then
// on.
func (s *service) stream(ctx context.Context, p *gophercloud.ProviderClient, method, address string, opts *gophercloud.RequestOpts) (*http.Response, error) {
	ctx, alarm := newAlarm(ctx, s.timeout)
	resp, err := p.Request(ctx, method, address, opts)
	if err != nil {
		err = s.failure(ctx, method, address, err)
		alarm.stop()
		return nil, err
	}
	alarm.pause()
	resp.Body = &download{ReadCloser: resp.Body, alarm: alarm}
	return resp, nil
}

func (s *service) failure(ctx context.Context, method, address string, err error) error {
	e := newError(s.name, method, address, err)
	if e.Status == 0 && ctx.Err() != nil {
		e.Err = context.Cause(ctx)
	}
	return e
}

// projectOf is the project that the token of a call belongs to.
func projectOf(id Identity, who *credentials) string {
	if who.own != nil {
		return who.grant.projectID
	}
	return id.ProjectID
}

func (s *service) headers(id Identity, who *credentials, r request) map[string]string {
	h := map[string]string{}
	if request := id.header(); request != "" {
		h["X-Openstack-Request-Id"] = request
	}
	if who.vouch != nil {
		h["X-Service-Token"] = who.vouch.token
	}
	for k, v := range r.header {
		h[k] = v
	}
	return h
}

// record notes for the status page whether the service answered. A refusal is an
// answer, unless it says that the node's own credentials are no good.
func (s *service) record(err error, who *credentials) {
	var e *Error
	switch {
	case err == nil:
		s.state.succeeded()
	case !errors.As(err, &e):
		// The caller gave up while it waited for a token.
	case e.Service != s.name || e.Status == 0 || e.Status >= http.StatusInternalServerError,
		e.Status == http.StatusUnauthorized && who != nil && who.own != nil:
		s.state.failed(err)
	default:
		s.state.succeeded()
	}
}

// retryable tells whether and after how long a call may be made again. Only
// what surely had no effect, or has the same effect twice, may.
func retryable(r request, err error, failures int) (time.Duration, bool) {
	var e *Error
	if !errors.As(err, &e) || r.body != nil && !notSent(e.Err) {
		return 0, false
	}
	pause := backoff(failures)
	switch {
	case e.Status == http.StatusTooManyRequests, e.Status == http.StatusServiceUnavailable:
		// Neither reached the service's own code.
		if after, err := strconv.Atoi(e.RetryAfter); err == nil && after >= 0 {
			pause = min(time.Duration(after)*time.Second, 30*time.Second)
		}
		return pause, true
	case e.Status == 0 && notSent(e.Err):
		return pause, true
	case e.Status == 0 || unavailable(e.Status):
		return pause, slices.Contains([]string{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete}, r.method)
	}
	return 0, false
}

// notSent is whether a transport error came before any byte left this node.
func notSent(err error) bool {
	var op *net.OpError
	var dns *net.DNSError
	return errors.As(err, &op) && op.Op == "dial" || errors.As(err, &dns)
}

// backoff grows from half a second to eight, give or take a quarter, so that
// many nodes do not return at the same moment.
func backoff(failures int) time.Duration {
	d := 500 * time.Millisecond << min(failures-1, 4)
	return d + time.Duration((rand.Float64()-0.5)*float64(d)/2)
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
