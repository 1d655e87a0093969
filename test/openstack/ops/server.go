package ops

import (
	"context"
	"encoding/base64"
	"fmt"
	"regexp"
	"time"

	"bolide/test/openstack/api"
)

// server is what Nova's API tells of a guest.
type server struct {
	ID         string
	Status     string
	Host       string `json:"OS-EXT-SRV-ATTR:host"`
	Hypervisor string `json:"OS-EXT-SRV-ATTR:hypervisor_hostname"`
	Instance   string `json:"OS-EXT-SRV-ATTR:instance_name"`
	Task       string `json:"OS-EXT-STS:task_state"`
	Power      int    `json:"OS-EXT-STS:power_state"`
	Addresses  map[string][]struct{ Addr string }
	Fault      struct{ Message string }
}

// Nova's power states.
const (
	running   = 1
	paused    = 3
	shutdown  = 4
	suspended = 4 // saved to disk and off
)

// poll is how often a wait asks again.
const poll = 200 * time.Millisecond

// until asks check every poll until it is done or fails, or ctx ends; then the
// error is what check said last.
func until(ctx context.Context, limit time.Duration, check func(context.Context) (done bool, still error)) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var still error
	for {
		done, err := check(ctx)
		if done {
			return err
		}
		if ctx.Err() == nil {
			still = err // not that the deadline cut the last question short
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("gave up after %s: %w", limit, still)
		case <-time.After(poll):
		}
	}
}

func serverURL(id string) string { return api.Compute + "/servers/" + id }

func (s *Session) show(ctx context.Context, id string) (server, error) {
	var out struct{ Server server }
	err := s.api.Get(ctx, serverURL(id), &out)
	return out.Server, err
}

// act asks Nova for an action on a guest; out may be nil.
func (s *Session) act(ctx context.Context, id, action string, arg, out any) error {
	return s.api.Post(ctx, serverURL(id)+"/action", map[string]any{action: arg}, out)
}

// state is what a guest must come to. No task may be under way.
type state struct {
	status string
	power  int // 0 for any
}

var active = state{"ACTIVE", running}

// wait waits for a guest to come to a state.
func (s *Session) wait(ctx context.Context, id string, want state) (server, error) {
	var v server
	err := until(ctx, 150*time.Second, func(ctx context.Context) (bool, error) {
		var err error
		if v, err = s.show(ctx, id); err != nil {
			return true, err
		}
		if v.Status == "ERROR" && want.status != "ERROR" {
			return true, fmt.Errorf("server went to ERROR: %s", v.Fault.Message)
		}
		done := v.Status == want.status && v.Task == "" && (want.power == 0 || v.Power == want.power)
		if done {
			return true, nil
		}
		return false, fmt.Errorf("server is %s, task %q, power %d; want %+v", v.Status, v.Task, v.Power, want)
	})
	return v, err
}

// change asks for an action on the guest and waits for the state it leads to.
func (s *Session) change(ctx context.Context, action string, arg any, want state) error {
	id, err := s.guest(ctx)
	if err != nil {
		return err
	}
	if err := s.act(ctx, id, action, arg, nil); err != nil {
		return err
	}
	_, err = s.wait(ctx, id, want)
	return err
}

// options change a boot's request, as Nova's API names its fields.
type options map[string]any

func userData(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

// request asks Nova for a guest and returns its ID at once.
func (s *Session) request(ctx context.Context, name string, o options) (string, error) {
	body := options{
		"name": name, "imageRef": s.image, "flavorRef": s.flavor, "config_drive": true,
		"networks": []any{map[string]any{"uuid": s.network}},
	}
	for k, v := range o {
		body[k] = v
	}
	var out struct{ Server struct{ ID string } }
	err := s.api.Post(ctx, api.Compute+"/servers", map[string]any{"server": body}, &out)
	return out.Server.ID, err
}

// boot asks Nova for a guest and waits until it runs.
func (s *Session) boot(ctx context.Context, name string, o options) (server, error) {
	id, err := s.request(ctx, name, o)
	if err != nil {
		return server{}, err
	}
	return s.wait(ctx, id, active)
}

// guest returns the guest that most operations act on, and boots it if there is
// none.
func (s *Session) guest(ctx context.Context) (string, error) {
	if s.server != "" {
		return s.server, nil
	}
	v, err := s.boot(ctx, "ops", options{"user_data": userData("#!/bin/sh\necho hi\n"), "metadata": map[string]any{"k": "v"}})
	if err != nil {
		return "", err
	}
	s.server = v.ID
	return v.ID, nil
}

// drop deletes guests and waits until Nova has forgotten them.
func (s *Session) drop(ctx context.Context, ids ...string) error {
	for _, id := range ids {
		if err := s.api.Delete(ctx, serverURL(id)); err != nil && !api.IsNotFound(err) {
			return err
		}
	}
	for _, id := range ids {
		err := until(ctx, 90*time.Second, func(ctx context.Context) (bool, error) {
			v, err := s.show(ctx, id)
			if api.IsNotFound(err) {
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

// withGuest boots a guest for one operation, and deletes it afterwards.
func (s *Session) withGuest(ctx context.Context, name string, o options, use func(server) error) error {
	v, err := s.boot(ctx, name, o)
	if err != nil {
		return err
	}
	if err := use(v); err != nil {
		return err
	}
	return s.drop(ctx, v.ID)
}

// console waits until the guest's console shows the pattern, and returns the
// last match's first group, or the whole match if it has none.
func (s *Session) console(ctx context.Context, id, pattern string) (string, error) {
	re := regexp.MustCompile(pattern)
	var found string
	err := until(ctx, 90*time.Second, func(ctx context.Context) (bool, error) {
		text, err := s.consoleText(ctx, id, nil)
		if err != nil {
			return true, err
		}
		if m := re.FindAllStringSubmatch(text, -1); m != nil {
			last := m[len(m)-1]
			found = last[min(1, len(last)-1)]
			return true, nil
		}
		return false, fmt.Errorf("console never showed %q; its end: %q", pattern, text[max(0, len(text)-300):])
	})
	return found, err
}

// sees waits for several patterns on the guest's console.
func (s *Session) sees(ctx context.Context, id string, patterns ...string) error {
	for _, p := range patterns {
		if _, err := s.console(ctx, id, p); err != nil {
			return err
		}
	}
	return nil
}

func (s *Session) consoleText(ctx context.Context, id string, arg map[string]any) (string, error) {
	if arg == nil {
		arg = map[string]any{}
	}
	var out struct{ Output string }
	err := s.act(ctx, id, "os-getConsoleOutput", arg, &out)
	return out.Output, err
}
