package rpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/sirupsen/logrus"
)

// peer asks over raw AMQP, field by field, as a foreign client.
type peer struct {
	*tap
	replyQ  string
	replies <-chan amqp.Delivery
	key     string
}

func (n *node) peer(t testing.TB) *peer {
	p := &peer{tap: newTap(t), key: n.target().routingKey()}
	p.replyQ, p.replies = p.listen(exchange{}, "")
	return p
}

// call publishes a call with these inner fields and returns its _msg_id.
func (p *peer) call(fields map[string]any) string {
	id := newHexID()
	all := map[string]any{"args": map[string]any{}, "_msg_id": id, "_reply_q": p.replyQ, "_timeout": nil, "_unique_id": newHexID()}
	maps.Copy(all, fields)
	p.send(all)
	return id
}

func (p *peer) send(fields map[string]any) {
	p.t.Helper()
	inner, err := json.Marshal(fields)
	if err != nil {
		p.t.Fatal(err)
	}
	p.publish("nova", p.key, sealEnvelope(inner))
}

// answer is the next reply.
func (p *peer) answer() *reply {
	p.t.Helper()
	d := receive(p.t, p.replies)
	r, err := readReply(&d)
	if err != nil {
		p.t.Fatal(err)
	}
	return r
}

// nothing says that no reply is there after all that was sent before is
// handled, which a ping at the end of the same queue proves.
func (p *peer) nothing() {
	p.t.Helper()
	id := p.call(map[string]any{"method": "ping", "namespace": "baseapi", "args": map[string]any{"arg": 1}})
	if r := p.answer(); r.MsgID != id {
		p.t.Errorf("unexpected reply %s", r.Result)
	}
}

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

func TestOsloPing(t *testing.T) {
	n := run(t, func(o *Options) { o.PingEnabled = true })
	n.Serve("compute").Start()
	p := n.up(t).peer(t)
	p.call(map[string]any{"method": "oslo_rpc_server_ping"})
	if r := p.answer(); string(r.Result) != `"pong"` {
		t.Errorf("reply %s", r.Result)
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

// logged are the lines at or above a level.
func (n *node) logged(level logrus.Level) []string {
	var lines []string
	for _, e := range n.logs.AllEntries() {
		if e.Level <= level {
			lines = append(lines, fmt.Sprint(e.Message, " ", e.Data[logrus.ErrorKey]))
		}
	}
	return lines
}

func TestCastGetsNoAnswer(t *testing.T) {
	n := run(t, nil)
	n.Serve("compute", echo, Endpoint{Version: "6.0", Methods: map[string]Handler{
		"fail": func(context.Context, *Request) (any, error) { return nil, errors.New("no") },
	}}).Start()
	p := n.up(t).peer(t)
	for _, method := range []string{"echo", "fail", "unknown"} {
		n.logs.Reset()
		p.send(map[string]any{"method": method, "version": "6.0", "args": map[string]any{}, "_unique_id": newHexID(), "_reply_q": p.replyQ})
		p.nothing()
		eventually(t, "a log line", func() bool { return len(n.logged(logrus.WarnLevel)) == 1 })
	}
}

// eventually waits for something that has no event to wait for.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func TestDuplicatesAreDropped(t *testing.T) {
	n := run(t, nil)
	var calls atomic.Int32
	n.Serve("compute", Endpoint{Version: "6.0", Methods: map[string]Handler{
		"count": func(context.Context, *Request) (any, error) { return calls.Add(1), nil },
	}}).Start()
	p := n.up(t).peer(t)
	first := newHexID()
	count := func(id string) { p.call(map[string]any{"method": "count", "version": "6.0", "_unique_id": id}) }
	count(first)
	p.answer()
	count(first)
	p.nothing()
	if got := calls.Load(); got != 1 {
		t.Errorf("handled %d times", got)
	}
	for range 15 { // the ping was one of 16
		count(newHexID())
		p.answer()
	}
	count(first) // forgotten by now
	p.answer()
	if got := calls.Load(); got != 17 {
		t.Errorf("handled %d times, want 17", got)
	}
}

// TestAcknowledgedFirst has a handler that never ends: its message must not be
// there any more for anybody else.
func TestAcknowledgedFirst(t *testing.T) {
	n := run(t, nil)
	started := make(chan struct{})
	n.Serve("compute", Endpoint{Version: "6.0", Methods: map[string]Handler{
		"hang": func(ctx context.Context, _ *Request) (any, error) {
			close(started)
			<-ctx.Done()
			return nil, ctx.Err()
		},
	}}).Start()
	p := n.up(t).peer(t)
	p.call(map[string]any{"method": "hang", "version": "6.0"})
	receive(t, started)
	eventually(t, "the acknowledgement", func() bool {
		out, err := rabbit.Get(t).Eval(fmt.Sprintf(`{ok, Q} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"/">>, queue, <<"%s">>)),
			[{messages, N}] = rabbit_amqqueue:info(Q, [messages]), N`, p.key))
		if err != nil {
			t.Fatal(err)
		}
		return out == "0"
	})
	n.stop()
	tap := newTap(t)
	if d, ok, err := tap.ch.Get(p.key, true); ok || err != nil {
		t.Errorf("the request is still queued: %s, %v", d.Body, err)
	}
}

func TestMonitoredCallsGetSignsOfLife(t *testing.T) {
	n := run(t, nil)
	release := make(chan struct{})
	n.Serve("compute", Endpoint{Version: "6.0", Methods: map[string]Handler{
		"long": func(context.Context, *Request) (any, error) { <-release; return "done", nil },
	}}).Start()
	p := n.up(t).peer(t)
	began := time.Now()
	id := p.call(map[string]any{"method": "long", "version": "6.0", "_timeout": 2})
	for i := range 2 {
		r := p.answer()
		if r.MsgID != id || r.Ending || !r.empty() {
			t.Fatalf("sign of life %d: %+v", i, r)
		}
	}
	if took := time.Since(began); took < 1900*time.Millisecond || took > 6*time.Second {
		t.Errorf("two signs of life took %s, want 2 s", took)
	}
	close(release)
	for {
		if r := p.answer(); r.Ending {
			if string(r.Result) != `"done"` {
				t.Errorf("reply %s", r.Result)
			}
			break
		}
	}
}

func TestWorkersAreBounded(t *testing.T) {
	n := run(t, func(o *Options) { o.Workers = 2 })
	var now, most atomic.Int32
	release := make(chan struct{})
	n.Serve("compute", Endpoint{Version: "6.0", Methods: map[string]Handler{
		"work": func(context.Context, *Request) (any, error) {
			if v := now.Add(1); v > most.Load() {
				most.Store(v)
			}
			<-release
			now.Add(-1)
			return nil, nil
		},
	}}).Start()
	p := n.up(t).peer(t)
	for range 6 {
		p.call(map[string]any{"method": "work", "version": "6.0"})
	}
	eventually(t, "two busy workers", func() bool { return now.Load() == 2 })
	p.nothing() // the ping is answered though all workers are busy
	close(release)
	for range 6 {
		p.answer()
	}
	if most.Load() != 2 {
		t.Errorf("%d requests at a time, want 2", most.Load())
	}
}

func TestStopDrains(t *testing.T) {
	n := run(t, nil)
	started, release := make(chan struct{}, 2), make(chan struct{})
	s := n.Serve("compute", Endpoint{Version: "6.0", Methods: map[string]Handler{
		"work": func(context.Context, *Request) (any, error) { started <- struct{}{}; <-release; return "done", nil },
	}})
	s.Start()
	p := n.up(t).peer(t)
	p.call(map[string]any{"method": "work", "version": "6.0"})
	receive(t, started)

	short, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	err := s.Stop(short)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "1 requests are not answered yet") {
		t.Errorf("stop with a request running: %v", err)
	}
	p.call(map[string]any{"method": "work", "version": "6.0"}) // stays in the queue
	close(release)
	if err := waitGroup(within(t, 20*time.Second), &s.unanswered); err != nil {
		t.Fatal(err)
	}
	if r := p.answer(); string(r.Result) != `"done"` {
		t.Errorf("reply %s", r.Result)
	}

	fanout := s.subs[2].queue.name
	if _, err := newTap(t).ch.QueueDeclarePassive(fanout, false, false, false, false, nil); err == nil {
		t.Errorf("queue %s is still there", fanout)
	}
	q, err := newTap(t).ch.QueueDeclarePassive(p.key, false, false, false, false, nil)
	if err != nil || q.Messages != 1 || q.Consumers != 0 {
		t.Errorf("own queue %+v, %v", q, err)
	}
	if !n.State().Up {
		t.Errorf("state %+v", n.State())
	}
}

// TestServeWhileUp adds a second server to a running link.
func TestServeWhileUp(t *testing.T) {
	n := run(t, nil).up(t)
	for _, topic := range []string{"compute", "compute-alt"} {
		n.Serve(topic, echo).Start()
		n.up(t)
		target := Target{Topic: topic, Server: n.o.Host, Version: "6.0"}
		if got, err := n.Call(within(t, 10*time.Second), AdminContext(), target, "echo", map[string]any{"value": topic}); err != nil || string(got) != `"`+topic+`"` {
			t.Errorf("%s: %s, %v", topic, got, err)
		}
	}
}
