package faults

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"bolide/test/controller"
)

// Server is what the API tells of a guest.
type Server struct {
	ID     string
	Status string
	Task   string `json:"OS-EXT-STS:task_state"`
	Power  int    `json:"OS-EXT-STS:power_state"`
	Host   string `json:"OS-EXT-SRV-ATTR:host"`
	Fault  struct{ Message string }
}

// Ask makes a request of a service, by its type in the catalog, and reads the
// answer into out, unless that is nil.
func (c *Cloud) Ask(ctx context.Context, method, service, path string, in, out any) error {
	return controller.Client{Token: c.token, HTTP: &c.http}.Ask(ctx, method, c.URL(service)+path, in, out)
}

// Request asks for a guest and returns its id.
func (c *Cloud) Request(ctx context.Context, more map[string]any) (string, error) {
	server := map[string]any{
		"name": "guest", "imageRef": c.image, "flavorRef": c.flavor, "config_drive": true,
		"networks": []any{map[string]string{"uuid": c.net}},
	}
	for k, v := range more {
		server[k] = v
	}
	var out struct{ Server struct{ ID string } }
	err := c.Ask(ctx, http.MethodPost, "compute", "/servers", map[string]any{"server": server}, &out)
	return out.Server.ID, err
}

// Act asks for an action on a guest.
func (c *Cloud) Act(ctx context.Context, id, action string, arg any) error {
	return c.Ask(ctx, http.MethodPost, "compute", "/servers/"+id+"/action", map[string]any{action: arg}, nil)
}

// Delete asks for a guest's end.
func (c *Cloud) Delete(ctx context.Context, id string) error {
	return c.Ask(ctx, http.MethodDelete, "compute", "/servers/"+id, nil, nil)
}

// Show asks after a guest.
func (c *Cloud) Show(ctx context.Context, id string) (Server, error) {
	var out struct{ Server Server }
	err := c.Ask(ctx, http.MethodGet, "compute", "/servers/"+id, nil, &out)
	return out.Server, err
}

// Placeable is nil when guests can be placed on the node.
func (c *Cloud) Placeable(ctx context.Context) error {
	var found struct{ Hypervisors []struct{ State string } }
	if err := c.Ask(ctx, http.MethodGet, "compute", "/os-hypervisors/detail", nil, &found); err != nil {
		return err
	}
	if len(found.Hypervisors) != 1 || found.Hypervisors[0].State != "up" {
		return fmt.Errorf("the node does not report: %+v", found)
	}
	return nil
}

// poll is how often a wait asks again.
const poll = 50 * time.Millisecond

// Until asks check again and again until it has nothing to object, or limit has
// passed: then its last objection is the error.
func Until(ctx context.Context, limit time.Duration, check func() error) error {
	deadline := time.Now().Add(limit)
	for {
		err := check()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			return fmt.Errorf("still after %s: %w", limit, err)
		}
		time.Sleep(poll)
	}
}
