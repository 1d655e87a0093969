package api

import (
	"context"
	"encoding/base64"
	"fmt"
	"regexp"
	"time"
)

// Servers makes guests of one image, flavor and network, and asks after them.
type Servers struct {
	*Client
	Image, Flavor, Network string // IDs
}

// NewServers logs in and finds an image, a flavor and a network by their names.
func NewServers(ctx context.Context, image, flavor, network string) (*Servers, error) {
	c, err := Connect(ctx)
	if err != nil {
		return nil, err
	}
	s := &Servers{Client: c}
	for _, find := range []struct {
		url, kind, name string
		into            *string
	}{
		{Image + "/images", "images", image, &s.Image},
		{Compute + "/flavors", "flavors", flavor, &s.Flavor},
		{Network + "/networks", "networks", network, &s.Network},
	} {
		if *find.into, err = c.byName(ctx, find.url, find.kind, find.name); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (c *Client) byName(ctx context.Context, url, kind, name string) (string, error) {
	var found map[string]any
	if err := c.Get(ctx, url, &found); err != nil {
		return "", err
	}
	list, _ := found[kind].([]any)
	for _, item := range list {
		fields, _ := item.(map[string]any)
		if fields["name"] == name {
			id, _ := fields["id"].(string)
			return id, nil
		}
	}
	return "", fmt.Errorf("the cloud has no %s named %s", kind, name)
}

// Server is what Nova's API tells of a guest.
type Server struct {
	ID         string
	Name       string
	Status     string
	Host       string `json:"OS-EXT-SRV-ATTR:host"`
	Hypervisor string `json:"OS-EXT-SRV-ATTR:hypervisor_hostname"`
	Task       string `json:"OS-EXT-STS:task_state"`
	Power      int    `json:"OS-EXT-STS:power_state"`
	Flavor     struct{ RAM, VCPUs, Disk int }
	Image      struct{ ID string }
	Addresses  map[string][]struct{ Addr string }
	Metadata   map[string]string
	Tags       []string
	Fault      struct{ Message string }
}

// Address returns the first address of a guest that has one.
func (v Server) Address() string {
	for _, list := range v.Addresses {
		if len(list) > 0 {
			return list[0].Addr
		}
	}
	return ""
}

// Nova's power states.
const (
	Running  = 1
	Paused   = 3
	Shutdown = 4
)

// State is what a guest must come to, with no task under way.
type State struct {
	Status string
	Power  int // 0 for any
}

// Active returns the state of a guest that runs.
func Active() State { return State{Status: "ACTIVE", Power: Running} }

// ServerURL is the address of a guest in Nova's API.
func ServerURL(id string) string { return Compute + "/servers/" + id }

// Show asks after a guest.
func (c *Client) Show(ctx context.Context, id string) (Server, error) {
	var out struct{ Server Server }
	err := c.Get(ctx, ServerURL(id), &out)
	return out.Server, err
}

// Act asks Nova for an action on a guest; out may be nil.
func (c *Client) Act(ctx context.Context, id, action string, arg, out any) error {
	return c.Post(ctx, ServerURL(id)+"/action", map[string]any{action: arg}, out)
}

// Wait waits for a guest to come to a state, and gives up when it goes to ERROR
// instead.
func (c *Client) Wait(ctx context.Context, id string, want State) (Server, error) {
	var v Server
	err := Until(ctx, 150*time.Second, func(ctx context.Context) (bool, error) {
		var err error
		if v, err = c.Show(ctx, id); err != nil {
			return true, err
		}
		return v.Reached(want)
	})
	return v, err
}

// Reached says whether a guest is in a state, or has gone to ERROR instead; the
// error says what is missing.
func (v Server) Reached(want State) (bool, error) {
	if v.Status == "ERROR" && want.Status != "ERROR" {
		return true, fmt.Errorf("server went to ERROR: %s", v.Fault.Message)
	}
	if v.Status == want.Status && v.Task == "" && (want.Power == 0 || v.Power == want.Power) {
		return true, nil
	}
	return false, fmt.Errorf("server is %s, task %q, power %d; want %+v", v.Status, v.Task, v.Power, want)
}

// Options change the request for a guest; the keys are those of Nova's API.
type Options map[string]any

// Hints is the key of what the scheduler is told, which in Nova's API stands beside
// the other options.
const Hints = "os:scheduler_hints"

// UserData is text in the form in which Nova's API takes it.
func UserData(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

// Request asks Nova for a guest and returns its ID at once.
func (s *Servers) Request(ctx context.Context, name string, o Options) (string, error) {
	body := Options{
		"name": name, "imageRef": s.Image, "flavorRef": s.Flavor, "config_drive": true,
		"networks": []any{map[string]any{"uuid": s.Network}},
	}
	for k, v := range o {
		body[k] = v
	}
	request := map[string]any{"server": body}
	if hints, ok := body[Hints]; ok {
		delete(body, Hints)
		request[Hints] = hints
	}
	var out struct{ Server struct{ ID string } }
	err := s.Post(ctx, Compute+"/servers", request, &out)
	return out.Server.ID, err
}

// Boot asks Nova for a guest and waits until it runs.
func (s *Servers) Boot(ctx context.Context, name string, o Options) (Server, error) {
	id, err := s.Request(ctx, name, o)
	if err != nil {
		return Server{}, err
	}
	return s.Wait(ctx, id, Active())
}

// With boots a guest for use, and deletes it afterwards if that went well.
func (s *Servers) With(ctx context.Context, name string, o Options, use func(Server) error) error {
	v, err := s.Boot(ctx, name, o)
	if err != nil {
		return err
	}
	if err := use(v); err != nil {
		return err
	}
	return s.Drop(ctx, v.ID)
}

// patience bounds a wait for a guest: an emulated one boots in seconds on a quiet machine, and in minutes on a busy one.
const patience = 3 * time.Minute

// Drop deletes guests and waits until Nova has forgotten them.
func (c *Client) Drop(ctx context.Context, ids ...string) error {
	for _, id := range ids {
		if err := c.Delete(ctx, ServerURL(id)); err != nil && !IsNotFound(err) {
			return err
		}
	}
	for _, id := range ids {
		err := Until(ctx, patience, func(ctx context.Context) (bool, error) {
			v, err := c.Show(ctx, id)
			if IsNotFound(err) {
				return true, nil
			}
			if err != nil {
				return true, err
			}
			return false, fmt.Errorf("server %s is still there: %s, task %q", id, v.Status, v.Task)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// ConsoleText returns what a guest wrote on its console; the last lines of it,
// unless lines is 0.
func (c *Client) ConsoleText(ctx context.Context, id string, lines int) (string, error) {
	arg := map[string]any{}
	if lines > 0 {
		arg["length"] = lines
	}
	var out struct{ Output string }
	err := c.Act(ctx, id, "os-getConsoleOutput", arg, &out)
	return out.Output, err
}

// Console waits until a guest's console shows the pattern, and returns the last
// match's first group, or the whole match if it has none.
func (c *Client) Console(ctx context.Context, id, pattern string) (string, error) {
	re := regexp.MustCompile(pattern)
	var found string
	err := Until(ctx, patience, func(ctx context.Context) (bool, error) {
		text, err := c.ConsoleText(ctx, id, 0)
		if err != nil {
			return true, err
		}
		if all := re.FindAllStringSubmatch(text, -1); all != nil {
			last := all[len(all)-1]
			found = last[min(1, len(last)-1)]
			return true, nil
		}
		return false, fmt.Errorf("console never showed %q; its end: %q", pattern, text[max(0, len(text)-300):])
	})
	return found, err
}

// Sees waits for several patterns on a guest's console.
func (c *Client) Sees(ctx context.Context, id string, patterns ...string) error {
	for _, p := range patterns {
		if _, err := c.Console(ctx, id, p); err != nil {
			return err
		}
	}
	return nil
}
