package rpc

import (
	"context"
	"strings"
	"testing"

	"github.com/sirupsen/logrus"
)

func TestRefusals(t *testing.T) {
	n := run(t, nil)
	n.Serve("compute", Endpoint{Version: "6.1", Methods: map[string]Handler{
		"echo":    echo.Methods["echo"],
		"_secret": func(context.Context, *Request) (any, error) { return "leaked", nil },
		"panics":  func(context.Context, *Request) (any, error) { panic("oh") },
		"later": func(context.Context, *Request) (any, error) {
			return nil, &RemoteError{Failure{Class: "NotImplementedError", Module: "builtins"}}
		},
		"strange": func(context.Context, *Request) (any, error) { return func() {}, nil },
		"typed": func(_ context.Context, r *Request) (any, error) {
			var number int
			return number, r.OptionalArg("number", &number)
		},
	}}, Endpoint{Version: "5.13", Methods: map[string]Handler{
		"echo": func(context.Context, *Request) (any, error) { return "old", nil },
	}}).Start()
	p := n.up(t).peer(t)

	const dispatcher = "oslo_messaging.rpc.dispatcher"
	for _, c := range []struct {
		name           string
		fields         map[string]any
		class, module  string
		message, reply string
	}{
		{name: "served", fields: map[string]any{"method": "echo", "version": "6.1", "args": map[string]any{"value": 1}}, reply: "1"},
		{name: "older minor", fields: map[string]any{"method": "echo", "version": "6.0", "args": map[string]any{"value": 1}}, reply: "1"},
		{name: "older major", fields: map[string]any{"method": "echo", "version": "5.0"}, reply: `"old"`},
		{name: "null namespace", fields: map[string]any{"method": "echo", "version": "5.0", "namespace": nil}, reply: `"old"`},
		{name: "newer minor", fields: map[string]any{"method": "echo", "version": "6.99"}, class: "UnsupportedVersion", module: dispatcher,
			message: "Endpoint does not support RPC version 6.99. Attempted method: echo"},
		{name: "unknown major", fields: map[string]any{"method": "echo", "version": "7.0"}, class: "UnsupportedVersion", module: dispatcher,
			message: "Endpoint does not support RPC version 7.0. Attempted method: echo"},
		{name: "no version", fields: map[string]any{"method": "echo"}, class: "UnsupportedVersion", module: dispatcher,
			message: "Endpoint does not support RPC version 1.0. Attempted method: echo"},
		{name: "version is nonsense", fields: map[string]any{"method": "echo", "version": "six"}, class: "UnsupportedVersion", module: dispatcher,
			message: "Endpoint does not support RPC version six. Attempted method: echo"},
		{name: "unknown namespace", fields: map[string]any{"method": "echo", "version": "6.0", "namespace": "x"}, class: "UnsupportedVersion", module: dispatcher,
			message: "Endpoint does not support RPC version 6.0. Attempted method: echo"},
		{name: "unknown method", fields: map[string]any{"method": "fly", "version": "6.0"}, class: "NoSuchMethod", module: dispatcher,
			message: "Endpoint does not support RPC method fly"},
		{name: "private method", fields: map[string]any{"method": "_secret", "version": "6.0"}, class: "NoSuchMethod", module: dispatcher,
			message: "Endpoint does not support RPC method _secret"},
		{name: "missing argument", fields: map[string]any{"method": "echo", "version": "6.0"}, class: "TypeError", module: "builtins",
			message: "echo() missing 1 required positional argument: 'value'"},
		{name: "wrong argument type", fields: map[string]any{"method": "typed", "version": "6.0", "args": map[string]any{"number": "x"}}, class: "TypeError", module: "builtins",
			message: "typed() argument 'number': json: cannot unmarshal string into Go value of type int"},
		{name: "arguments are no object", fields: map[string]any{"method": "echo", "version": "6.0", "args": []int{1}}, class: "TypeError", module: "builtins",
			message: "request: json: cannot unmarshal array into Go struct field .args of type map[string]json.RawMessage"},
		{name: "method is no text", fields: map[string]any{"method": 1, "version": "6.0"}, class: "TypeError", module: "builtins",
			message: "request: json: cannot unmarshal number into Go struct field .method of type string"},
		{name: "no method", fields: map[string]any{"version": "6.0"}, class: "TypeError", module: "builtins", message: "request: no method"},
		{name: "not implemented", fields: map[string]any{"method": "later", "version": "6.0"}, class: "NotImplementedError", module: "builtins"},
		{name: "panic", fields: map[string]any{"method": "panics", "version": "6.0"}, class: "Exception", module: "builtins",
			message: "internal error in panics: oh"},
		{name: "result without JSON", fields: map[string]any{"method": "strange", "version": "6.0"}, class: "Exception", module: "builtins",
			message: "encode result: json: unsupported type: func()"},
		{name: "ping", fields: map[string]any{"method": "ping", "version": "1.0", "namespace": "baseapi", "args": map[string]any{"arg": []int{1}}},
			reply: `{"service":"compute","arg":[1]}`},
		{name: "backdoor port", fields: map[string]any{"method": "get_backdoor_port", "version": "1.1", "namespace": "baseapi"}, reply: "null"},
		{name: "oslo ping is off", fields: map[string]any{"method": "oslo_rpc_server_ping"}, class: "UnsupportedVersion", module: dispatcher,
			message: "Endpoint does not support RPC version 1.0. Attempted method: oslo_rpc_server_ping"},
	} {
		t.Run(c.name, func(t *testing.T) {
			id := p.call(c.fields)
			r := p.answer()
			if r.MsgID != id || !r.Ending {
				t.Fatalf("reply %+v", r)
			}
			if c.class == "" {
				if r.Failure != nil || string(r.Result) != c.reply {
					t.Errorf("result %s, failure %v", r.Result, r.Failure)
				}
				return
			}
			if r.Failure == nil {
				t.Fatalf("result %s", r.Result)
			}
			e := decodeFailure(*r.Failure)
			if e.Class != c.class || e.Module != c.module || e.Message != c.message {
				t.Errorf("failure %+v", e.Failure)
			}
			if len(e.Args) != 1 || e.Args[0] != c.message || e.Kwargs == nil || len(e.Trace) == 0 {
				t.Errorf("failure %+v", e.Failure)
			}
		})
	}
}

// TestMalformed sends what is no request: each is one log line, and the server
// goes on.
func TestMalformed(t *testing.T) {
	n := run(t, nil)
	n.Serve("compute", echo).Start()
	p := n.up(t).peer(t)
	for _, body := range []string{
		"", "\x00\xff", "[]", "7", "null", `"text"`, `{`, `{}`,
		`{"oslo.version": "3.0", "oslo.message": "{}"}`,
		`{"oslo.version": 2, "oslo.message": "{}"}`,
		`{"oslo.version": "2.0", "oslo.message": {}}`,
		`{"oslo.version": "2.0", "oslo.message": "not JSON"}`,
		`{"oslo.version": "2.0", "oslo.message": "[]"}`,
		`{"oslo.version": "2.0", "oslo.message": "{\"method\": 1}"}`,
		`{"oslo.version": "2.0", "oslo.message": "{\"method\": \"\"}"}`,
		`{"oslo.version": "2.0", "oslo.message": "{\"method\": \"echo\", \"args\": []}"}`,
		`{"oslo.version": "2.0", "oslo.message": "{\"method\": \"echo\", \"_reply_q\": {}}"}`,
		strings.Repeat("[", 100000),
	} {
		n.logs.Reset()
		p.publish("nova", p.key, []byte(body))
		p.nothing()
		if got := n.logged(logrus.WarnLevel); len(got) != 1 || !strings.HasPrefix(got[0], "Dropped a message that is not a request") {
			t.Errorf("%.60q: logged %q", body, got)
		}
	}
	t.Run("too large", func(t *testing.T) {
		n.logs.Reset()
		p.publish("nova", p.key, make([]byte, maxMessage+1))
		p.nothing()
		if got := n.logged(logrus.WarnLevel); len(got) != 1 || !strings.Contains(got[0], "is larger than") {
			t.Errorf("logged %q", got)
		}
	})
}
