// Package api talks to the services of the cloud of package ground, in the
// administrator's name. It is thin on purpose: a call is a method, an address
// and JSON, as the services' references describe them.
package api

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
)

// Where the services answer; they are alone on this loopback.
const (
	Identity  = "http://127.0.0.1:5000/v3"
	Image     = "http://127.0.0.1:9292/v2"
	Compute   = "http://127.0.0.1:8774/v2.1"
	Network   = "http://127.0.0.1:9696/v2.0"
	Placement = "http://127.0.0.1:8778"

	// Keeping is Compute, but for what deleting a guest means: the guest is kept
	// for a while, and its user may have it back.
	Keeping = "http://127.0.0.1:8784/v2.1"
)

// The administrator, and the one region.
const (
	User     = "admin"
	Password = "cloud"
	Project  = "admin"
	Domain   = "Default"
	Region   = "RegionOne"
)

// Zed's newest versions.
const (
	computeVersion   = "2.93"
	placementVersion = "1.39"
)

// Client makes calls. It is safe for concurrent use.
type Client struct {
	provider *gophercloud.ProviderClient
	compute  string // microversion of the compute API
}

// Connect logs in.
func Connect(ctx context.Context) (*Client, error) {
	p, err := openstack.AuthenticatedClient(ctx, gophercloud.AuthOptions{
		IdentityEndpoint: Identity,
		Username:         User,
		Password:         Password,
		TenantName:       Project,
		DomainName:       Domain,
		AllowReauth:      true,
	})
	if err != nil {
		return nil, fmt.Errorf("log in at %s: %w", Identity, err)
	}
	p.HTTPClient = http.Client{Timeout: 2 * time.Minute}
	return &Client{provider: p, compute: computeVersion}, nil
}

// At returns a client that asks for another microversion of the compute API, for
// what newer ones have no longer.
func (c *Client) At(microversion string) *Client {
	return &Client{provider: c.provider, compute: microversion}
}

// Get reads the resource at url into out.
func (c *Client) Get(ctx context.Context, url string, out any) error {
	return c.call(ctx, http.MethodGet, url, nil, out)
}

// Post sends body to url and reads the answer into out, unless that is nil.
func (c *Client) Post(ctx context.Context, url string, body, out any) error {
	return c.call(ctx, http.MethodPost, url, body, out)
}

// Put is Post with the method PUT.
func (c *Client) Put(ctx context.Context, url string, body, out any) error {
	return c.call(ctx, http.MethodPut, url, body, out)
}

// Delete removes the resource at url.
func (c *Client) Delete(ctx context.Context, url string) error {
	return c.call(ctx, http.MethodDelete, url, nil, nil)
}

// Upload sends r as the data of an image.
func (c *Client) Upload(ctx context.Context, imageID string, r io.Reader) error {
	url := Image + "/images/" + imageID + "/file"
	resp, err := c.provider.Request(ctx, http.MethodPut, url, &gophercloud.RequestOpts{
		RawBody:     r,
		MoreHeaders: map[string]string{"Content-Type": "application/octet-stream"},
		OkCodes:     []int{http.StatusNoContent},
	})
	if err != nil {
		return fmt.Errorf("PUT %s: %w", url, err)
	}
	return resp.Body.Close()
}

// Patch changes an image's record. Each change is a JSON Patch operation.
func (c *Client) Patch(ctx context.Context, imageID string, changes ...map[string]any) error {
	url := Image + "/images/" + imageID
	resp, err := c.provider.Request(ctx, http.MethodPatch, url, &gophercloud.RequestOpts{
		JSONBody:         changes,
		MoreHeaders:      map[string]string{"Content-Type": "application/openstack-images-v2.1-json-patch"},
		OkCodes:          []int{http.StatusOK},
		KeepResponseBody: true,
	})
	if err != nil {
		return fmt.Errorf("PATCH %s: %w", url, err)
	}
	return resp.Body.Close()
}

func (c *Client) call(ctx context.Context, method, url string, body, out any) error {
	opts := &gophercloud.RequestOpts{
		JSONBody:     body,
		JSONResponse: out,
		OkCodes:      []int{200, 201, 202, 203, 204},
		MoreHeaders: map[string]string{
			"OpenStack-API-Version": fmt.Sprintf("compute %s, placement %s", c.compute, placementVersion),
		},
	}
	if out == nil {
		opts.KeepResponseBody = true
	}
	resp, err := c.provider.Request(ctx, method, url, opts)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, url, err)
	}
	if out == nil {
		return resp.Body.Close()
	}
	return nil
}

// IsNotFound says whether a call failed because its resource is not there.
func IsNotFound(err error) bool {
	return gophercloud.ResponseCodeIs(err, http.StatusNotFound)
}
