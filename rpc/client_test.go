package rpc

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// conductor answers calls over raw AMQP, as the test tells it to.
type conductor struct {
	*tap
	calls <-chan amqp.Delivery
}

// target reaches the conductor of this test.
func (c *conductor) target() Target { return Target{Topic: "conductor-" + c.t.Name(), Version: "3.0"} }

func newConductor(t testing.TB, n *node) *conductor {
	c := &conductor{tap: newTap(t)}
	_, c.calls = c.listen(n.o.topicExchange("nova"), c.target().Topic)
	return c
}

// next is the next call: what it asks and where the reply goes.
func (c *conductor) next() (msgID, replyQ string) {
	c.t.Helper()
	m := inner(c.t, receive(c.t, c.calls))
	json.Unmarshal(m["_msg_id"], &msgID)
	json.Unmarshal(m["_reply_q"], &replyQ)
	if msgID == "" || replyQ == "" {
		c.t.Fatalf("no call: %v", m)
	}
	return msgID, replyQ
}

func (c *conductor) reply(replyQ string, fields map[string]any) {
	c.t.Helper()
	inner, err := json.Marshal(fields)
	if err != nil {
		c.t.Fatal(err)
	}
	c.publish("", replyQ, sealEnvelope(inner))
}

type answer struct {
	result json.RawMessage
	err    error
}

// ask calls in the background.
func (n *node) ask(ctx context.Context, t Target, opts ...CallOption) <-chan answer {
	done := make(chan answer, 1)
	go func() {
		r, err := n.Call(ctx, AdminContext(), t, "ask", nil, opts...)
		done <- answer{r, err}
	}()
	return done
}

func TestReplies(t *testing.T) {
	n := run(t, nil).up(t)
	c := newConductor(t, n)
	type fields = map[string]any
	failure := `{"class": "InstanceNotFound_Remote", "module": "nova.exception_Remote", "message": "Instance x could not be found.", "kwargs": {"code": 404}, "args": ["a"], "tb": ["l"]}`
	for _, tc := range []struct {
		name    string
		replies []fields
		want    string
		class   string
		module  string
	}{
		{name: "result", replies: []fields{{"result": fields{"a": 1}, "failure": nil, "ending": true}}, want: `{"a":1}`},
		{name: "null", replies: []fields{{"result": nil, "failure": nil, "ending": true}}, want: "null"},
		{name: "no result at all", replies: []fields{{"ending": true}}, want: ""},
		{name: "two messages", replies: []fields{{"result": 5, "failure": nil, "ending": false}, {"result": nil, "failure": nil, "ending": true}}, want: "5"},
		{name: "failure in two messages", replies: []fields{{"result": nil, "failure": failure, "ending": false}, {"result": nil, "failure": nil, "ending": true}},
			class: "InstanceNotFound", module: "nova.exception"},
		{name: "signs of life nobody asked for", replies: []fields{{"result": nil, "failure": nil, "ending": false}, {"result": 1, "failure": nil, "ending": true}}, want: "1"},
		{name: "failure", replies: []fields{{"result": nil, "failure": failure, "ending": true}}, class: "InstanceNotFound", module: "nova.exception"},
		{name: "failure that is no JSON", replies: []fields{{"result": nil, "failure": "boom", "ending": true}}, class: "RemoteError", module: "oslo_messaging.rpc.client"},
		{name: "Python 2", replies: []fields{{"result": nil, "failure": `{"class": "ValueError", "module": "exceptions"}`, "ending": true}}, class: "ValueError", module: "builtins"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := n.ask(within(t, 20*time.Second), c.target())
			msgID, replyQ := c.next()
			c.publish("", replyQ, []byte("not a reply"))
			c.reply(replyQ, fields{"_msg_id": newHexID(), "result": "of somebody else", "ending": true})
			for _, r := range tc.replies {
				r["_msg_id"] = msgID
				c.reply(replyQ, r)
			}
			a := receive(t, got)
			if tc.class == "" {
				if a.err != nil || string(a.result) != tc.want {
					t.Errorf("%s, %v", a.result, a.err)
				}
				return
			}
			remote, ok := errors.AsType[*RemoteError](a.err)
			if !ok || remote.Class != tc.class || remote.Module != tc.module {
				t.Errorf("%v", a.err)
			}
		})
	}
}

func TestCallTimesOut(t *testing.T) {
	n := run(t, nil).up(t)
	c := newConductor(t, n)
	a := receive(t, n.ask(context.Background(), c.target(), WithTimeout(200*time.Millisecond)))
	if !errors.Is(a.err, ErrTimeout) || !strings.Contains(a.err.Error(), "call ask on conductor-TestCallTimesOut") {
		t.Errorf("%v", a.err)
	}
	if d := receive(t, c.calls); d.Expiration != "200" {
		t.Errorf("expiration %q", d.Expiration)
	}
	if n := len(n.waiters.m); n != 0 {
		t.Errorf("%d calls still wait", n)
	}

	ctx, cancel := context.WithCancel(context.Background())
	got := n.ask(ctx, c.target())
	c.next()
	cancel()
	if a := receive(t, got); !errors.Is(a.err, context.Canceled) {
		t.Errorf("cancelled call: %v", a.err)
	}
}

func TestMonitoredCall(t *testing.T) {
	n := run(t, func(o *Options) { o.ResponseTimeout, o.LongTimeout = time.Second, 20*time.Second }).up(t)
	c := newConductor(t, n)
	got := n.ask(context.Background(), c.target(), Monitored())
	msgID, replyQ := c.next()
	for range 4 { // 2 s in all, more than the response timeout
		time.Sleep(500 * time.Millisecond) // the passing of time is what is tested
		c.reply(replyQ, map[string]any{"_msg_id": msgID, "result": nil, "failure": nil, "ending": false})
	}
	c.reply(replyQ, map[string]any{"_msg_id": msgID, "result": 1, "ending": true})
	if a := receive(t, got); a.err != nil || string(a.result) != "1" {
		t.Errorf("%s, %v", a.result, a.err)
	}

	began := time.Now()
	a := receive(t, n.ask(context.Background(), c.target(), Monitored()))
	if took := time.Since(began); !errors.Is(a.err, ErrTimeout) || took > 10*time.Second {
		t.Errorf("without a sign of life: %v after %s", a.err, took)
	}
}

func TestCompressedReply(t *testing.T) {
	n := run(t, nil).up(t)
	c := newConductor(t, n)
	got := n.ask(within(t, 20*time.Second), c.target())
	msgID, replyQ := c.next()
	inner, _ := json.Marshal(map[string]any{"_msg_id": msgID, "result": "small", "ending": true})
	m := amqp.Publishing{ContentType: "application/json", ContentEncoding: "utf-8",
		Headers: amqp.Table{"compression": "application/x-gzip"}, Body: deflate(t, sealEnvelope(inner))}
	if err := c.ch.Publish("", replyQ, false, false, m); err != nil {
		t.Fatal(err)
	}
	if a := receive(t, got); a.err != nil || string(a.result) != `"small"` {
		t.Errorf("%s, %v", a.result, a.err)
	}
}

// TestWithoutBroker has nobody to talk to.
func TestWithoutBroker(t *testing.T) {
	n := run(t, func(o *Options) {
		o.TransportURL = "rabbit://127.0.0.1:1/" // nothing listens there
		o.ResponseTimeout = 300 * time.Millisecond
	})
	_, err := n.Call(context.Background(), AdminContext(), Target{Topic: "conductor"}, "ask", nil)
	if !errors.Is(err, ErrTimeout) || !strings.Contains(err.Error(), "AMQP server 127.0.0.1:1: ") {
		t.Errorf("call: %v", err)
	}
	err = n.Cast(context.Background(), AdminContext(), Target{Topic: "conductor"}, "ask", nil)
	if err == nil || !strings.Contains(err.Error(), "did not take the message within 300ms") {
		t.Errorf("cast: %v", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := n.WaitUp(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("wait up: %v", err)
	}
	if s := n.State(); s.Up || s.Peer != "127.0.0.1:1" || !strings.Contains(s.Err, "connection refused") {
		t.Errorf("state %+v", s)
	}
}

func TestArgumentsWithoutJSON(t *testing.T) {
	n := run(t, nil)
	args := map[string]any{"f": func() {}}
	if _, err := n.Call(context.Background(), nil, Target{Topic: "x"}, "m", args); err == nil || !strings.Contains(err.Error(), "encode args of m") {
		t.Errorf("call: %v", err)
	}
	if err := n.Cast(context.Background(), Context{"x": json.RawMessage("{")}, Target{Topic: "x"}, "m", nil); err == nil || !strings.Contains(err.Error(), "encode _context_x of m") {
		t.Errorf("cast: %v", err)
	}
}
