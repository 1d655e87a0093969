// Package cloud holds the HTTP services a compute node talks to: Keystone for
// tokens and endpoints, Glance, Neutron, Placement, Cinder and Barbican.
//
// Every client is thin: typed requests and answers, no policy of its own. What
// they share lives here once: whose name a call is made in (Identity), tokens
// and their renewal (session), endpoints from the catalog (Endpoint), deadlines
// and safe retries (service), errors that name the service and its request id
// (Error), and the state shown on the status page (LinkState).
//
// The package starts no goroutine. All clients may be used concurrently.
package cloud

import (
	"context"
	"fmt"
	"time"

	"github.com/sirupsen/logrus"
)

// Options describes the services of one cloud. Only Log is required; a service
// left out answers every call with an error that says its section is empty.
type Options struct {
	// Image is Glance, section [glance] of nova.conf.
	Image ServiceOptions
	// Network is Neutron, section [neutron].
	Network ServiceOptions
	// Placement is section [placement].
	Placement ServiceOptions
	// Volume is Cinder, section [cinder].
	Volume ServiceOptions
	// Key is Barbican, section [barbican].
	Key ServiceOptions
	// ServiceUser is section [service_user].
	ServiceUser ServiceUser
	// ExtensionSync is how long Neutron's list of extensions is kept,
	// [neutron] extension_sync_interval. Default 10 minutes.
	ExtensionSync time.Duration
	// Log receives one line per retried call. Required.
	Log *logrus.Entry

	// now and sleep are replaced by tests.
	now   func() time.Time
	sleep func(ctx context.Context, d time.Duration) error
}

// ServiceOptions is how one service is found and called.
type ServiceOptions struct {
	// Auth are the node's own credentials for this service. A section without
	// any (usual for [glance]) borrows those of ServiceUser.
	Auth Auth
	// Endpoint says where the service is.
	Endpoint Endpoint
	// Timeout bounds one attempt of one call; for image data it bounds the
	// silence between two reads. Default 60 seconds.
	Timeout time.Duration
	// Retries is how often a call is tried again after its first attempt, when
	// that is safe. Nova's num_retries (Glance) and http_retries. Default 3;
	// negative means none.
	Retries int
}

// ServiceUser is who vouches for a user's request. Its token travels beside the
// user's as X-Service-Token, so that services accept the user's token even after
// it expired during a long operation.
type ServiceUser struct {
	Auth Auth
	// SendToken is send_service_user_token.
	SendToken bool
}

// Cloud holds one client per service.
type Cloud struct {
	images    *Images
	network   *Network
	placement *Placement
	volumes   *Volumes
	keys      *Keys
	services  []*service
}

// New checks the options and builds the clients. It connects to nothing:
// tokens are fetched at the first call and again when they expire.
func New(o Options) (*Cloud, error) {
	if o.now == nil {
		o.now = time.Now
	}
	if o.sleep == nil {
		o.sleep = sleep
	}
	if o.ExtensionSync == 0 {
		o.ExtensionSync = 10 * time.Minute
	}
	b := builder{opts: o, sessions: map[Auth]*session{}}
	vouching, err := b.session(o.ServiceUser.Auth)
	if err != nil {
		return nil, fmt.Errorf("service user: %w", err)
	}
	if o.ServiceUser.SendToken && vouching == nil {
		return nil, fmt.Errorf("service user: send_service_user_token is set, yet the section has no credentials")
	}
	b.serviceUser = vouching

	image := b.service("image", "image", o.Image)
	network := b.service("network", "network", o.Network)
	placement := b.service("placement", "placement", o.Placement)
	volume := b.service("volume", "block-storage", o.Volume)
	key := b.service("key", "key-manager", o.Key)
	if b.err != nil {
		return nil, b.err
	}
	services := []*service{image, network, placement, volume, key}
	for _, s := range services {
		s.guide = firstOf(s.own, network.own, placement.own)
	}
	return &Cloud{
		images:    &Images{svc: image},
		network:   newNetwork(network, o.ExtensionSync, o.now),
		placement: &Placement{svc: placement},
		volumes:   &Volumes{svc: volume},
		keys:      &Keys{svc: key},
		services:  services,
	}, nil
}

// firstOf finds whose catalog to use. Every catalog of a region is the same,
// and a section without credentials, such as [glance], needs one too.
func firstOf(sessions ...*session) *session {
	for _, s := range sessions {
		if s != nil {
			return s
		}
	}
	return nil
}

// Images is the Glance client.
func (c *Cloud) Images() *Images { return c.images }

// Network is the Neutron client.
func (c *Cloud) Network() *Network { return c.network }

// Placement is the Placement client.
func (c *Cloud) Placement() *Placement { return c.placement }

// Volumes is the Cinder client.
func (c *Cloud) Volumes() *Volumes { return c.volumes }

// Keys is the Barbican client.
func (c *Cloud) Keys() *Keys { return c.keys }

// State tells how the last calls to each service went, in a fixed order.
// Services with nothing in their section are left out until they are called.
func (c *Cloud) State() []LinkState {
	var states []LinkState
	for _, s := range c.services {
		if state := s.state.snapshot(); s.configured || !state.Since.IsZero() {
			states = append(states, state)
		}
	}
	return states
}

// builder makes sessions and services; sections with equal credentials share a
// session, and with it the token. The first error sticks.
type builder struct {
	opts        Options
	sessions    map[Auth]*session
	serviceUser *session
	err         error
}

// session returns nil for an empty section.
func (b *builder) session(a Auth) (*session, error) {
	if a.empty() {
		return nil, nil
	}
	if s, ok := b.sessions[a]; ok {
		return s, nil
	}
	s, err := newSession(a, b.opts.now)
	if err != nil {
		return nil, err
	}
	b.sessions[a] = s
	return s, nil
}

func (b *builder) service(name, serviceType string, o ServiceOptions) *service {
	own, err := b.session(o.Auth)
	if err != nil && b.err == nil {
		b.err = fmt.Errorf("%s service: %w", name, err)
		return nil
	}
	if own == nil {
		own = b.serviceUser
	}
	s, err := newService(name, serviceType, o, own, b.opts)
	if err != nil && b.err == nil {
		b.err = fmt.Errorf("%s service: %w", name, err)
		return nil
	}
	if b.opts.ServiceUser.SendToken {
		s.vouching = b.serviceUser
	}
	return s
}
