package cloud

import "context"

// credentials are the tokens of one attempt.
type credentials struct {
	token    string
	own      *session // whose token it is, if the node's
	grant    *grant
	vouching *session
	vouch    *grant
	catalog  *grant // nil if the endpoint is fixed
}

func (s *service) credentials(ctx context.Context, id Identity) (*credentials, error) {
	c := &credentials{token: id.Token, vouching: s.vouching}
	var err error
	if id.Token == "" {
		if s.own == nil {
			return nil, s.unconfigured("no credentials in its section of the configuration")
		}
		if c.grant, err = s.own.current(ctx); err != nil {
			return nil, err
		}
		c.own, c.token = s.own, c.grant.token
	}
	if !s.where.fixed() {
		if s.guide == nil {
			return nil, s.unconfigured("no endpoint in the configuration, and no credentials to ask Keystone for one")
		}
		if c.catalog, err = s.guide.current(ctx); err != nil {
			return nil, err
		}
	}
	if s.vouching != nil {
		if c.vouch, err = s.vouching.current(ctx); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// setupError is a fault of the configuration, which does not heal by itself.
type setupError string

func (e setupError) Error() string { return string(e) }

func (s *service) unconfigured(why string) error {
	return &Error{Service: s.name, Method: "find", Path: s.where.ServiceType, Err: setupError(why)}
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

// project is the one that the token belongs to.
func (c *credentials) project(id Identity) string {
	if c.own != nil {
		return c.grant.projectID
	}
	return id.ProjectID
}
