package cloud

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/tokens"
)

// renewEarly is how long before its end a token is replaced, so that it does
// not expire on its way through the services.
const renewEarly = time.Minute

// keystone is the Service of an Error in getting a token.
const keystone = "identity"

// defaultTimeout bounds one attempt of one HTTP call.
const defaultTimeout = 60 * time.Second

// session is one set of credentials with its token and catalog.
type session struct {
	opts     *tokens.AuthOptions
	identity *gophercloud.ServiceClient
	timeout  time.Duration
	now      func() time.Time

	// turn admits one request for a token at a time; whoever waited shares its
	// outcome. A channel, since a waiter must still obey its context.
	turn   chan struct{}
	grant  *grant       // guarded by turn
	failed error        // of the last request; guarded by turn
	rounds atomic.Int64 // requests that failed so far
}

// grant is what Keystone gave: a token, until when it is good, for which
// project, and where the services are.
type grant struct {
	token     string
	expires   time.Time
	projectID string
	catalog   []tokens.CatalogEntry
}

func newSession(a Auth, now func() time.Time) (*session, error) {
	opts, err := a.options()
	if err != nil {
		return nil, err
	}
	transport, err := newTransport(a)
	if err != nil {
		return nil, err
	}
	provider, err := openstack.NewClient(a.AuthURL)
	if err != nil {
		return nil, fmt.Errorf("auth_url %s: %w", a.AuthURL, err)
	}
	provider.HTTPClient = http.Client{Transport: transport}
	identity, err := openstack.NewIdentityV3(provider, gophercloud.EndpointOpts{})
	if err != nil {
		return nil, fmt.Errorf("auth_url %s: %w", a.AuthURL, err)
	}
	s := &session{opts: opts, identity: identity, timeout: a.Timeout, now: now, turn: make(chan struct{}, 1)}
	if s.timeout == 0 {
		s.timeout = defaultTimeout
	}
	return s, nil
}

// current returns a grant that is good for a while yet, asking Keystone when
// there is none.
func (s *session) current(ctx context.Context) (*grant, error) {
	return s.fresh(ctx, nil)
}

// fresh is current, but never returns the given grant, which a service has
// just refused.
func (s *session) fresh(ctx context.Context, refused *grant) (*grant, error) {
	arrived := s.rounds.Load()
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-s.turn }()
	if s.rounds.Load() != arrived {
		return nil, s.failed // while we waited
	}
	if g := s.grant; g != nil && g != refused && s.now().Add(renewEarly).Before(g.expires) {
		return g, nil
	}
	g, err := s.authenticate(ctx)
	if err != nil {
		if ctx.Err() == nil { // this caller's haste is not the others'
			s.failed = err
			s.rounds.Add(1)
		}
		return nil, err
	}
	s.grant = g
	return g, nil
}

func (s *session) authenticate(ctx context.Context) (*grant, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	result := tokens.Create(ctx, s.identity, s.opts)
	if result.Err != nil {
		return nil, newError(keystone, http.MethodPost, s.identity.ServiceURL("auth", "tokens"), result.Err)
	}
	token, err := result.ExtractToken()
	if err != nil {
		return nil, fmt.Errorf("read token: %w", err)
	}
	catalog, err := result.ExtractServiceCatalog()
	if err != nil {
		return nil, fmt.Errorf("read catalog: %w", err)
	}
	g := &grant{token: token.ID, expires: token.ExpiresAt, catalog: catalog.Entries}
	if project, err := result.ExtractProject(); err == nil && project != nil {
		g.projectID = project.ID
	}
	return g, nil
}

// newTransport is the connection pool of one section: its own TLS settings,
// and limits that keep a silent peer from holding a call for ever.
func newTransport(a Auth) (http.RoundTripper, error) {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost = 16                                      // a burst of boots keeps its connections
	t.TLSClientConfig = &tls.Config{InsecureSkipVerify: a.Insecure} // the operator's "insecure"
	if a.CAFile != "" {
		pem, err := os.ReadFile(a.CAFile)
		if err != nil {
			return nil, fmt.Errorf("cafile: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("cafile %s: no certificate in it", a.CAFile)
		}
		t.TLSClientConfig.RootCAs = pool
	}
	if a.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(a.CertFile, keyFile(a))
		if err != nil {
			return nil, fmt.Errorf("certfile: %w", err)
		}
		t.TLSClientConfig.Certificates = []tls.Certificate{pair}
	}
	return t, nil
}

// keyFile is the certificate's own file where keyfile is not given, as
// keystoneauth has it.
func keyFile(a Auth) string {
	if a.KeyFile == "" {
		return a.CertFile
	}
	return a.KeyFile
}
