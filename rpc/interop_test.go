package rpc

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// python runs a script of testdata/interop against the real oslo.messaging.
func python(t *testing.T, script string, args ...string) *exec.Cmd {
	t.Helper()
	const interpreter = "/usr/bin/python3" // the one that distribution packages belong to
	if err := exec.Command(interpreter, "-c", "import oslo_messaging").Run(); err != nil {
		t.Skipf("oslo.messaging is not installed: %v", err)
	}
	cmd := exec.CommandContext(within(t, 2*time.Minute), interpreter, append([]string{script}, args...)...)
	cmd.Dir = "testdata/interop"
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1", "PYTHONWARNINGS=ignore")
	return cmd
}

// TestPythonClient is called by oslo.messaging.
func TestPythonClient(t *testing.T) {
	n := run(t, nil)
	heard := make(chan string, 2)
	fail := func(class, module string) Handler {
		return func(context.Context, *Request) (any, error) {
			return nil, &RemoteError{Failure{Class: class, Module: module, Message: "x is not there", Kwargs: map[string]any{"code": 404}}}
		}
	}
	n.Serve("compute", Endpoint{Version: "6.1", Methods: map[string]Handler{
		"echo":      echo.Methods["echo"],
		"context":   func(_ context.Context, r *Request) (any, error) { return r.Context, nil },
		"not_there": fail("NotThere", "peer_errors"),
		"foreign":   fail("InstanceNotFound", "nova.exception"),
		"not_implemented": func(context.Context, *Request) (any, error) {
			return nil, &RemoteError{Failure{Class: "NotImplementedError", Module: "builtins"}}
		},
		"slow": func(context.Context, *Request) (any, error) {
			time.Sleep(3500 * time.Millisecond) // longer than the caller bears silence
			return "done", nil
		},
		"hear": func(_ context.Context, r *Request) (any, error) { heard <- string(r.Args["n"]); return nil, nil },
	}}).Start()
	n.up(t)

	cmd := python(t, "client.py", rabbit.Get(t).URL(), n.o.Host)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	text, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var got map[string]any
	if err := dec.Decode(&got); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	type m = map[string]any
	remote := func(class, first string) m {
		return m{"class": "RemoteError", "module": "oslo_messaging.rpc.client", "exc_type": class, "first": "Remote error: " + class + " " + first, "kwargs": nil}
	}
	want := m{
		"echo":      m{"ü": []any{json.Number("1"), nil, "\"\\\n"}},
		"ping":      m{"service": "compute", "arg": "x"},
		"context":   m{"request_id": "req-1", "user_id": "u", "roles": []any{"admin"}, "odd": m{"n": json.Number("12345678901234567890")}},
		"known":     m{"class": "NotThere_Remote", "module": "peer_errors_Remote", "exc_type": nil, "first": "x is not there", "kwargs": m{"code": json.Number("404")}},
		"foreign":   remote("InstanceNotFound", "x is not there"),
		"builtin":   m{"class": "NotImplementedError", "module": "builtins", "exc_type": nil, "first": "", "kwargs": nil},
		"unknown":   remote("NoSuchMethod", "Endpoint does not support RPC method no_such_method"),
		"version":   remote("UnsupportedVersion", "Endpoint does not support RPC version 6.99. Attempted method: echo"),
		"argument":  m{"class": "TypeError", "module": "builtins", "exc_type": nil, "first": "echo() missing 1 required positional argument: 'value'", "kwargs": nil},
		"any":       "any",
		"monitored": "done", "monitored_long": true,
		"silent": m{"class": "MessagingTimeout", "module": "oslo_messaging.exceptions", "exc_type": nil, "kwargs": nil},
	}
	if silent, ok := got["silent"].(m); ok {
		delete(silent, "first") // holds a random id
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if one, two := receive(t, heard), receive(t, heard); one+two != "12" && one+two != "21" {
		t.Errorf("heard %s and %s", one, two)
	}
}

// TestPythonServer calls oslo.messaging.
func TestPythonServer(t *testing.T) {
	host := "host-" + newHexID()
	cmd := python(t, "server.py", rabbit.Get(t).URL(), host)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := make(chan string)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(stdout); s.Scan(); {
			lines <- s.Text()
		}
	}()
	t.Cleanup(func() {
		stdin.Close()
		for range lines {
		}
		if err := cmd.Wait(); err != nil && !errors.Is(err, io.EOF) {
			t.Errorf("server: %v: %s", err, stderr.String())
		}
	})
	if got := receive(t, lines); got != `{"ready": true}` {
		t.Fatalf("server says %q: %s", got, stderr.String())
	}

	n := run(t, func(o *Options) { o.ResponseTimeout = 2 * time.Second }).up(t)
	ctx := within(t, time.Minute)
	target := Target{Topic: "conductor", Server: host, Version: "3.0"}
	rc := AdminContext()
	call := func(method string, args map[string]any, opts ...CallOption) (string, error) {
		got, err := n.Call(ctx, rc, target, method, args, opts...)
		return string(got), err
	}

	if got, err := call("echo", map[string]any{"value": "<ü\u2028\n>"}); err != nil || got != `"<\u00fc\u2028\n>"` {
		t.Errorf("echo: %s, %v", got, err)
	}
	got, err := call("context", nil)
	var back map[string]any
	if json.Unmarshal([]byte(got), &back) != nil || back["request_id"] != rc.RequestID() || back["user_identity"] != "- - - - -" {
		t.Errorf("context: %s, %v", got, err)
	}
	for method, class := range map[string]string{"not_there": "NotThere", "no_such_method": "NoSuchMethod"} {
		_, err = call(method, nil)
		if remote, ok := errors.AsType[*RemoteError](err); !ok || remote.Class != class {
			t.Errorf("%s: %v", method, err)
		}
	}
	if _, err := call("slow", nil); !errors.Is(err, ErrTimeout) {
		t.Errorf("slow: %v", err)
	}
	if got, err := call("slow", nil, Monitored()); err != nil || got != `"done"` {
		t.Errorf("slow, monitored: %s, %v", got, err)
	}
	for _, target := range []Target{target, {Topic: "conductor", Version: "3.0", Fanout: true}} {
		if err := n.Cast(ctx, rc, target, "hear", map[string]any{"fanout": target.Fanout}); err != nil {
			t.Error(err)
		}
		want, _ := json.Marshal(map[string]any{"heard": map[string]any{"fanout": target.Fanout}})
		if got := receive(t, lines); got != `{"heard": {"fanout": `+map[bool]string{true: "true", false: "false"}[target.Fanout]+`}}` {
			t.Errorf("heard %s, want %s", got, want)
		}
	}
}
