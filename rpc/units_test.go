package rpc

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestCompatible(t *testing.T) {
	for _, c := range []struct {
		ours, asked string
		want        bool
	}{
		{"6.1", "6.1", true}, {"6.1", "6.0", true}, {"6.1", "6.2", false}, {"6.1", "5.0", false}, {"6.1", "7.0", false},
		{"6.10", "6.9", true}, {"1.2.3", "1.2.3", true}, {"1.2.3", "1.2.4", false}, {"1.2.3", "1.1.9", true}, {"1.2", "1.2.1", false},
		{"6.1", "", false}, {"6.1", "6", false}, {"6.1", "6.x", false}, {"6.1", "6.-1", false}, {"6.1", "6.0.0.0", false}, {"6.1", " 6.0", false},
	} {
		if got := compatible(c.ours, c.asked); got != c.want {
			t.Errorf("compatible(%q, %q) = %v", c.ours, c.asked, got)
		}
	}
}

func TestMonitorInterval(t *testing.T) {
	for in, want := range map[string]time.Duration{
		"": 0, "null": 0, "60": 30 * time.Second, `"60"`: 30 * time.Second, "2": time.Second, "3": 1500 * time.Millisecond, "60.9": 30 * time.Second,
		"1": 0, "0": 0, "-5": 0, "1e99": 0, `"x"`: 0, "[]": 0, "true": 0, `"NaN"`: 0,
	} {
		if got := monitorInterval(json.RawMessage(in)); got != want {
			t.Errorf("monitorInterval(%s) = %s, want %s", in, got, want)
		}
	}
}

func TestContext(t *testing.T) {
	c := Context{"user_id": "u", "project": "p", "roles": []any{"member"}, "is_admin": false, "new_key": json.Number("12345678901234567890"), "request_id": "req-1", "global_request_id": nil}
	if c.UserID() != "u" || c.ProjectID() != "p" || c.RequestID() != "req-1" || c.GlobalRequestID() != "" || c.AuthToken() != "" || c.IsAdmin() {
		t.Errorf("accessors of %v", c)
	}
	before := maps.Clone(c)
	e := c.Elevated().WithNewRequestID()
	if !e.IsAdmin() || e.RequestID() == "req-1" || len(e.RequestID()) != len("req-")+36 || e["new_key"] != c["new_key"] {
		t.Errorf("elevated %v", e)
	}
	if got := e["roles"].([]any); !slices.Equal(got, []any{"member", "admin"}) {
		t.Errorf("roles %v", got)
	}
	if got := e.Elevated()["roles"].([]any); len(got) != 2 {
		t.Errorf("roles after elevating twice: %v", got)
	}
	if diff := cmp.Diff(before, c); diff != "" {
		t.Errorf("the original changed:\n%s", diff)
	}
	if got := (Context{}).Elevated()["roles"].([]any); !slices.Equal(got, []any{"admin"}) {
		t.Errorf("roles %v", got)
	}
}

type oddError struct{ Failure }

func (e oddError) Error() string       { return "odd" }
func (e oddError) RPCFailure() Failure { return e.Failure }

func TestFailureOf(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error
		want Failure
	}{
		{"plain", errors.New("boom"), Failure{Class: "Exception", Module: "builtins", Message: "boom", Args: []any{"boom"}, Kwargs: map[string]any{}, Trace: []string{"builtins.Exception: boom\n"}}},
		{"wrapped", fmt.Errorf("step: %w", noSuchMethod("x")), Failure{Class: "NoSuchMethod", Module: "oslo_messaging.rpc.dispatcher", Message: "Endpoint does not support RPC method x",
			Args: []any{"Endpoint does not support RPC method x"}, Kwargs: map[string]any{}, Trace: []string{"oslo_messaging.rpc.dispatcher.NoSuchMethod: step: Endpoint does not support RPC method x\n"}}},
		{"remote", &RemoteError{Failure{Class: "A", Module: "nova.exception", Message: "m", Args: []any{"a"}, Kwargs: map[string]any{"code": 404}, Trace: []string{"t"}}},
			Failure{Class: "A", Module: "nova.exception", Message: "m", Args: []any{"a"}, Kwargs: map[string]any{"code": 404}, Trace: []string{"t"}}},
	} {
		if diff := cmp.Diff(c.want, failureOf(c.err)); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", c.name, diff)
		}
	}
	odd := failureOf(oddError{Failure{Class: "Odd", Module: "nova.exception", Message: "m", Kwargs: map[string]any{"f": func() {}}}})
	if got := decodeFailure(string(odd.encode())); got.Class != "Odd" || got.Message != "m" || len(got.Kwargs) != 0 {
		t.Errorf("a failure with values that have no JSON: %+v", got.Failure)
	}
}

// TestBackoff looks at the waits of many agents that lost one broker together,
// after a connection of a certain age.
func TestBackoff(t *testing.T) {
	const agents = 2000
	for _, age := range []time.Duration{5 * time.Second, time.Hour} {
		for _, outage := range []time.Duration{3 * time.Second, 8 * time.Second, 20 * time.Second, time.Minute} {
			back := map[int]int{} // second after the broker's return: agents that come back in it
			for range agents {
				b := backoff{first: time.Second, max: 10 * time.Second, hosts: 1, failures: 5}
				b.lost(age)
				at := time.Duration(0)
				for at < outage {
					wait := b.next()
					if wait > b.max {
						t.Fatalf("waits %s", wait)
					}
					at += wait
				}
				back[int((at-outage)/time.Second)]++
			}
			for second, n := range back {
				if second > 9 || n > agents*14/100 {
					t.Errorf("age %s, outage %s: %d of %d agents come back in second %d: %v", age, outage, n, agents, second, back)
				}
			}
		}
	}

	b := backoff{first: time.Second, max: 10 * time.Second, hosts: 3}
	for range 3 {
		if wait := b.next(); wait > time.Second {
			t.Errorf("waits %s before another host is tried", wait)
		}
	}
}

func TestMissingQueuesAreForgotten(t *testing.T) {
	m := missingQueues{}
	for i := range 2 * missingMax {
		m.add(fmt.Sprint(i))
	}
	if len(m) > missingMax || !m.has(fmt.Sprint(2*missingMax-1)) {
		t.Errorf("%d queues remembered", len(m))
	}
	m["old"] = time.Now().Add(-time.Second)
	if m.has("old") || m.has("never heard of") {
		t.Error("believes in a queue that is not missing")
	}
}
