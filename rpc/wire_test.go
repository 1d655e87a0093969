package rpc

import (
	"context"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	amqp "github.com/rabbitmq/amqp091-go"
)

// recording is a message that Nova's own services sent, without its envelope.
type recording struct {
	Exchange   string                     `json:"exchange"`
	Key        string                     `json:"key"`
	Message    map[string]json.RawMessage `json:"message"`
	Properties map[string]any             `json:"properties"`
}

func recorded(t testing.TB, name string) recording {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "wire", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var r recording
	if err := json.Unmarshal(b, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// text is a string field of the message.
func (r recording) text(t testing.TB, key string) string {
	t.Helper()
	var s string
	if err := json.Unmarshal(r.Message[key], &s); err != nil {
		t.Fatalf("%s: %v", key, err)
	}
	return s
}

// body is the message in the envelope that Python writes.
func (r recording) body(t testing.TB) []byte {
	t.Helper()
	inner, err := json.Marshal(r.Message)
	if err != nil {
		t.Fatal(err)
	}
	outer, err := json.Marshal(string(inner))
	if err != nil {
		t.Fatal(err)
	}
	return []byte(`{"oslo.version": "2.0", "oslo.message": ` + string(outer) + `}`)
}

// request splits a recorded request into what Call and Cast take.
func (r recording) request(t testing.TB) (Context, Target, string, map[string]any) {
	t.Helper()
	rc, args := Context{}, map[string]any{}
	for key, raw := range r.Message {
		if name, ok := strings.CutPrefix(key, contextPrefix); ok {
			rc[name] = raw
		}
	}
	if err := json.Unmarshal(r.Message["args"], &args); err != nil {
		t.Fatal(err)
	}
	topic, server, _ := strings.Cut(r.Key, ".")
	target := Target{Topic: topic, Server: server, Version: r.text(t, "version")}
	if name, ok := strings.CutSuffix(r.Exchange, "_fanout"); ok {
		target.Topic, target.Fanout = name, true
	}
	return rc, target, r.text(t, "method"), args
}

// tap is the raw side of AMQP, as a peer that is not ours.
type tap struct {
	t    testing.TB
	conn *amqp.Connection
	ch   *amqp.Channel
}

func newTap(t testing.TB) *tap {
	t.Helper()
	c, err := rabbit.Get(t).Dial()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	ch, err := c.Channel()
	if err != nil {
		t.Fatal(err)
	}
	return &tap{t, c, ch}
}

// listen consumes a new queue, bound to an exchange unless that is "".
func (p *tap) listen(e exchange, key string) (string, <-chan amqp.Delivery) {
	p.t.Helper()
	q, err := p.ch.QueueDeclare("", false, true, true, false, nil)
	if err == nil && e.name != "" {
		err = p.ch.ExchangeDeclare(e.name, e.kind, e.durable, e.autoDelete, false, false, nil)
		if err == nil {
			err = p.ch.QueueBind(q.Name, key, e.name, false, nil)
		}
	}
	if err != nil {
		p.t.Fatal(err)
	}
	d, err := p.ch.Consume(q.Name, "", true, false, false, false, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	return q.Name, d
}

func (p *tap) publish(exchange, key string, body []byte) {
	p.t.Helper()
	m := amqp.Publishing{ContentType: "application/json", ContentEncoding: "utf-8", Body: body}
	if err := p.ch.Publish(exchange, key, false, false, m); err != nil {
		p.t.Fatal(err)
	}
}

// properties are those of a delivery, as the recordings have them.
func properties(d amqp.Delivery) map[string]any {
	p := map[string]any{
		"content_type": d.ContentType, "content_encoding": d.ContentEncoding,
		"delivery_mode": float64(d.DeliveryMode), "headers": map[string]any(d.Headers), "priority": float64(d.Priority),
	}
	if d.Headers == nil {
		p["headers"] = map[string]any{}
	}
	for name, v := range map[string]string{
		"expiration": d.Expiration, "reply_to": d.ReplyTo, "correlation_id": d.CorrelationId,
		"message_id": d.MessageId, "type": d.Type, "user_id": d.UserId, "app_id": d.AppId,
	} {
		if v != "" {
			p[name] = v
		}
	}
	return p
}

// inner opens the envelope of a delivery, which must look like Python's.
func inner(t testing.TB, d amqp.Delivery) map[string]json.RawMessage {
	t.Helper()
	if !strings.HasPrefix(string(d.Body), `{"oslo.version": "2.0", "oslo.message": "{\"`) {
		t.Errorf("envelope %.60s", d.Body)
	}
	text, err := openEnvelope(d.Body)
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]json.RawMessage
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// sameMessage compares what we sent with the recording, but for random ids.
func sameMessage(t testing.TB, got, want map[string]json.RawMessage) {
	t.Helper()
	if g, w := slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)); !slices.Equal(g, w) {
		t.Errorf("keys:\n got %v\nwant %v", g, w)
	}
	for key, w := range want {
		var gv, wv any
		if json.Unmarshal(got[key], &gv) != nil || json.Unmarshal(w, &wv) != nil {
			t.Errorf("%s: got %s", key, got[key])
			continue
		}
		switch key {
		case "_msg_id", "_unique_id", "_reply_q":
			g, _ := gv.(string)
			if len(g) != len(wv.(string)) {
				t.Errorf("%s: %s, recorded %s", key, got[key], w)
			}
		default:
			if diff := cmp.Diff(wv, gv); diff != "" {
				t.Errorf("%s: (-recorded +sent)\n%s", key, diff)
			}
		}
	}
}

func TestRequestsAreWhatNovaSends(t *testing.T) {
	n := run(t, func(o *Options) { o.ResponseTimeout, o.LongTimeout = 60*time.Second, 1800*time.Second }).up(t)
	for _, name := range []string{"call", "user_call", "monitored_call", "cast", "fanout"} {
		t.Run(name, func(t *testing.T) {
			want := recorded(t, name)
			p := newTap(t)
			rc, target, method, args := want.request(t)
			e := n.o.topicExchange("nova")
			if target.Fanout {
				e = n.o.fanoutExchange(target.Topic)
			}
			_, deliveries := p.listen(e, want.Key)

			ctx, cancel := context.WithCancel(within(t, 20*time.Second))
			done := make(chan error, 1)
			go func() {
				var err error
				switch name {
				case "monitored_call":
					_, err = n.Call(ctx, rc, target, method, args, Monitored())
				case "call", "user_call":
					_, err = n.Call(ctx, rc, target, method, args)
				default:
					err = n.Cast(ctx, rc, target, method, args)
				}
				done <- err
			}()
			d := receive(t, deliveries)
			if d.Exchange != want.Exchange || d.RoutingKey != want.Key {
				t.Errorf("sent to %q %q, recorded %q %q", d.Exchange, d.RoutingKey, want.Exchange, want.Key)
			}
			if diff := cmp.Diff(want.Properties, properties(d)); diff != "" {
				t.Errorf("properties (-recorded +sent)\n%s", diff)
			}
			sameMessage(t, inner(t, d), want.Message)
			cancel()
			<-done
		})
	}
}

func TestRepliesAreWhatNovaSends(t *testing.T) {
	n := run(t, nil)
	var seen *Request
	n.Serve("compute", Endpoint{Version: "6.1", Methods: map[string]Handler{
		"get_console_output": func(_ context.Context, r *Request) (any, error) { seen = r; return 64, nil },
		"stop_instance": func(context.Context, *Request) (any, error) {
			return nil, &RemoteError{Failure{
				Class: "ComputeHostNotFound", Module: "nova.exception", Message: "Compute host vm could not be found.",
				Trace: []string{"Traceback (most recent call last):\n", "nova.exception.ComputeHostNotFound: Compute host vm could not be found.\n"},
				Args:  []any{"Compute host vm could not be found."}, Kwargs: map[string]any{"host": "vm", "code": 404},
			}}
		},
	}}).Start()
	n.up(t)
	for name, method := range map[string]string{"call_reply": "get_console_output", "failure_reply": "stop_instance"} {
		t.Run(name, func(t *testing.T) {
			p := newTap(t)
			replyQ, replies := p.listen(exchange{}, "")
			request, want := recorded(t, "user_call"), recorded(t, name)
			request.Message["method"], _ = json.Marshal(method)
			request.Message["_reply_q"], _ = json.Marshal(replyQ)
			request.Message["_unique_id"], _ = json.Marshal(newHexID())
			p.publish("nova", n.target().routingKey(), request.body(t))

			d := receive(t, replies)
			if diff := cmp.Diff(want.Properties, properties(d)); diff != "" {
				t.Errorf("properties (-recorded +sent)\n%s", diff)
			}
			got := inner(t, d)
			if string(got["_msg_id"]) != string(request.Message["_msg_id"]) {
				t.Errorf("_msg_id %s, asked with %s", got["_msg_id"], request.Message["_msg_id"])
			}
			if name == "failure_reply" {
				var g, w string
				json.Unmarshal(got["failure"], &g)
				json.Unmarshal(want.Message["failure"], &w)
				var gf, wf any
				json.Unmarshal([]byte(g), &gf)
				json.Unmarshal([]byte(w), &wf)
				if diff := cmp.Diff(wf, gf); diff != "" {
					t.Errorf("failure (-recorded +sent)\n%s", diff)
				}
				got["failure"] = want.Message["failure"]
			}
			sameMessage(t, got, want.Message)
		})
	}

	want := recorded(t, "user_call")
	if !seen.IsCall || seen.Method != "get_console_output" || seen.Version != "6.0" || seen.Namespace != "" {
		t.Errorf("request %+v", seen)
	}
	if got := seen.Context.RequestID(); got != want.text(t, "_context_request_id") {
		t.Errorf("request id %q", got)
	}
	for key, raw := range want.Message {
		name, ok := strings.CutPrefix(key, contextPrefix)
		if !ok {
			continue
		}
		var w any
		json.Unmarshal(raw, &w)
		if diff := cmp.Diff(w, seen.Context[name]); diff != "" {
			t.Errorf("context %s:\n%s", name, diff)
		}
	}
	var instance map[string]any
	if err := seen.Arg("instance", &instance); err != nil || instance["nova_object.name"] != "Instance" {
		t.Errorf("argument instance: %v, %v", instance["nova_object.name"], err)
	}
}

func TestRecordedAnswersAreUnderstood(t *testing.T) {
	for _, name := range []string{"call_reply", "failure_reply"} {
		r, err := readReply(&amqp.Delivery{Body: recorded(t, name).body(t)})
		if err != nil {
			t.Fatal(err)
		}
		switch name {
		case "call_reply":
			if !r.Ending || r.Failure != nil || string(r.Result) != "64" {
				t.Errorf("%s: %+v", name, r)
			}
		case "failure_reply":
			e := decodeFailure(*r.Failure)
			if e.Class != "ComputeHostNotFound" || e.Module != "nova.exception" || e.Kwargs["code"] != json.Number("404") {
				t.Errorf("%s: %+v", name, e.Failure)
			}
		}
	}
}

// TestAdminContext compares with the context of Nova's own start-up.
func TestAdminContext(t *testing.T) {
	want, _, _, _ := recorded(t, "call").request(t)
	got := AdminContext()
	if g, w := slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)); !slices.Equal(g, w) {
		t.Errorf("keys:\n got %v\nwant %v", g, w)
	}
	for key, raw := range want {
		var w any
		json.Unmarshal(raw.(json.RawMessage), &w)
		switch key {
		case "request_id", "timestamp":
			if g, _ := got[key].(string); len(g) != len(w.(string)) {
				t.Errorf("%s: %v, recorded %v", key, got[key], w)
			}
		default:
			if diff := cmp.Diff(w, got[key]); diff != "" {
				t.Errorf("%s: (-recorded +sent)\n%s", key, diff)
			}
		}
	}
}
