package rpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/sirupsen/logrus/hooks/test"
	"go.uber.org/goleak"

	"bolide/test/broker"
)

// rabbit is the broker of this package's tests.
var rabbit = broker.Shared{Options: broker.Options{TLS: true}}

func TestMain(m *testing.M) {
	code := m.Run()
	rabbit.Close()
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// node is a link that runs until its test ends.
type node struct {
	*Link
	logs *test.Hook
	stop func() // ends Run and waits for it
}

// run starts a link to the shared broker, as the host named like the test.
func run(t testing.TB, change func(*Options)) *node {
	t.Helper()
	logger, hook := test.NewNullLogger()
	logger.SetLevel(logrus.DebugLevel)
	o := DefaultOptions()
	o.Host = "host-" + newHexID()
	o.Log = logrus.NewEntry(logger)
	o.ResponseTimeout = 10 * time.Second
	if change != nil {
		change(&o)
	}
	if o.TransportURL == "" {
		o.TransportURL = rabbit.Get(t).URL()
	}
	l, err := NewLink(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("run: %v", err)
			}
		case <-time.After(20 * time.Second):
			t.Error("run does not end")
		}
	})
	t.Cleanup(stop)
	return &node{Link: l, logs: hook, stop: stop}
}

// up waits until the link is up.
func (n *node) up(t testing.TB) *node {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := n.WaitUp(ctx); err != nil {
		t.Fatal(err)
	}
	return n
}

// echo answers its argument "value".
var echo = Endpoint{Version: "6.1", Methods: map[string]Handler{
	"echo": func(_ context.Context, r *Request) (any, error) {
		var v json.RawMessage
		if err := r.Arg("value", &v); err != nil {
			return nil, err
		}
		return v, nil
	},
}}

func within(t testing.TB, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// receive takes from a channel that must not stay empty.
func receive[T any](t testing.TB, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(20 * time.Second):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

func (n *node) target() Target { return Target{Topic: "compute", Server: n.o.Host, Version: "6.0"} }

func TestCallAndCast(t *testing.T) {
	n := run(t, nil)
	heard := make(chan *Request, 1)
	n.Serve("compute", echo, Endpoint{Version: "6.1", Methods: map[string]Handler{
		"hear": func(_ context.Context, r *Request) (any, error) { heard <- r; return nil, nil },
		"fail": func(context.Context, *Request) (any, error) { return nil, errors.New("no such luck") },
	}}).Start()
	n.up(t)
	ctx := within(t, 30*time.Second)
	rc := AdminContext()

	got, err := n.Call(ctx, rc, n.target(), "echo", map[string]any{"value": []string{"<ü>\n", `"\`}})
	if err != nil || string(got) != `["<ü>\n", "\"\\"]` && string(got) != `["<ü>\n","\"\\"]` {
		t.Fatalf("echo: %s, %v", got, err)
	}

	for _, target := range []Target{n.target(), {Topic: "compute", Version: "6.0", Fanout: true}} {
		if err := n.Cast(ctx, rc, target, "hear", map[string]any{"n": 1}); err != nil {
			t.Fatal(err)
		}
		r := receive(t, heard)
		if r.IsCall || string(r.Args["n"]) != "1" || r.Context.RequestID() != rc.RequestID() {
			t.Errorf("heard %+v", r)
		}
	}

	_, err = n.Call(ctx, rc, n.target(), "fail", nil)
	var remote *RemoteError
	if !errors.As(err, &remote) || remote.Class != "Exception" || remote.Message != "no such luck" {
		t.Errorf("fail: %v", err)
	}
}
