package cloud

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/sirupsen/logrus"
)

// service is one HTTP API as seen from this node. Safe for concurrent use.
type service struct {
	name     string
	own      *session // whose credentials the node has here; nil: none
	guide    *session // whose catalog says where the service is; nil: nobody's
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

// answer is what came back. The body of a stream request is open and the
// caller's to close; any other is read already.
type answer struct {
	status int
	body   io.ReadCloser
}

// do makes the call, within a deadline per attempt and as often as is safe.
// Errors of the service are *Error.
func (s *service) do(ctx context.Context, id Identity, r request) error {
	_, err := s.open(ctx, id, r)
	return err
}

// open is do for a caller that wants the answer.
func (s *service) open(ctx context.Context, id Identity, r request) (answer, error) {
	renewed := false
	for failures := 0; ; {
		who, err := s.credentials(ctx, id)
		var got answer
		if err == nil {
			got, err = s.attempt(ctx, id, who, r)
		}
		if err == nil || ctx.Err() == nil { // a caller that gave up says nothing of the service
			s.record(err, who)
		}
		if err == nil || ctx.Err() != nil {
			return got, err
		}
		if who != nil && IsUnauthorized(err) && !renewed && r.body == nil && who.renewable() {
			renewed = true
			if err := who.renew(ctx); err != nil {
				return answer{}, err
			}
			continue
		}
		failures++
		pause, again := retryable(r, err, failures)
		if !again || failures > s.retries {
			return answer{}, err
		}
		s.log.WithError(err).WithField("attempt", failures).Warn("service call is tried again")
		if s.sleep(ctx, pause) != nil {
			return answer{}, err
		}
	}
}

func (s *service) attempt(ctx context.Context, id Identity, who *credentials, r request) (answer, error) {
	base, err := s.where.next(who.catalog)
	if err != nil {
		return answer{}, s.unconfigured(err.Error())
	}
	if r.inProject != "" {
		base += r.inProject + "/" + url.PathEscape(who.project(id))
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
		return answer{}, s.failure(ctx, r.method, address, err)
	}
	return answer{resp.StatusCode, resp.Body}, nil
}

// stream returns once the answer's body begins; an alarm watches it from then
// on.
func (s *service) stream(ctx context.Context, p *gophercloud.ProviderClient, method, address string, opts *gophercloud.RequestOpts) (answer, error) {
	ctx, alarm := newAlarm(ctx, s.timeout)
	resp, err := p.Request(ctx, method, address, opts)
	if err != nil {
		err = s.failure(ctx, method, address, err)
		alarm.stop()
		return answer{}, err
	}
	alarm.pause()
	return answer{resp.StatusCode, &download{ReadCloser: resp.Body, alarm: alarm}}, nil
}

func (s *service) failure(ctx context.Context, method, address string, err error) error {
	e := newError(s.name, method, address, err)
	if e.Status == 0 && ctx.Err() != nil {
		e.Err = context.Cause(ctx)
	}
	return e
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
