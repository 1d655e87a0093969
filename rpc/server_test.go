package rpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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

func TestOsloPing(t *testing.T) {
	n := run(t, func(o *Options) { o.PingEnabled = true })
	n.Serve("compute").Start()
	p := n.up(t).peer(t)
	p.call(map[string]any{"method": "oslo_rpc_server_ping"})
	if r := p.answer(); string(r.Result) != `"pong"` {
		t.Errorf("reply %s", r.Result)
	}
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

// TestNamesThatAreTooLong: neither the answer to a request that names a queue that
// cannot be, nor a call to a host that cannot be, costs us the session.
func TestNamesThatAreTooLong(t *testing.T) {
	n := run(t, nil)
	n.Serve("compute", echo).Start()
	p := n.up(t).peer(t)
	before := n.State().Since
	long := strings.Repeat("x", maxName+1)
	p.send(map[string]any{"method": "echo", "version": "6.0", "args": map[string]any{"value": 1}, "_msg_id": newHexID(), "_unique_id": newHexID(), "_reply_q": long})
	eventually(t, "the answer to be dropped", func() bool { return len(n.logged(logrus.ErrorLevel)) == 1 })
	to := n.target()
	to.Server = long
	if a := <-n.ask(t.Context(), to); a.err == nil {
		t.Error("a call to a host that cannot be was answered")
	}
	p.call(map[string]any{"method": "echo", "version": "6.0", "args": map[string]any{"value": 1}})
	p.answer()
	if now := n.State(); !now.Up || now.Since != before {
		t.Errorf("the session that began at %s is %+v", before, now)
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
	if err := s.Stop(within(t, 20*time.Second)); err != nil {
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

// TestConnections looks at the broker's side of a node.
func TestConnections(t *testing.T) {
	began := time.Now()
	n := run(t, func(o *Options) { o.ProcessName = "bolide-" + newHexID() })
	n.Serve("compute").Start()
	n.Serve("compute-alt").Start()
	n.up(t)
	t.Logf("consuming seven queues after %s", time.Since(began).Round(time.Millisecond))
	out, err := rabbit.Get(t).Eval(fmt.Sprintf(`[{T, [binary_to_list(K) || {K, bool, true} <- H]} || P <- rabbit_networking:connections(),
		[{client_properties, C}, {timeout, T}] <- [rabbit_reader:info(P, [client_properties, timeout])],
		{<<"connection_name">>, longstr, N} <- C, nomatch =/= binary:match(N, <<"%s:">>),
		{<<"capabilities">>, table, H} <- C]`, n.o.ProcessName))
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(out, "{60,"); got != 2 {
		t.Errorf("%d connections with a heartbeat of 60 s, want 2: %s", got, out)
	}
	for _, capability := range []string{"connection.blocked", "consumer_cancel_notify"} {
		if strings.Count(out, capability) != 2 {
			t.Errorf("connections do not all announce %s: %s", capability, out)
		}
	}
}

// TestReceiveNeverBlocks has a sender that nobody empties, as in a long alarm:
// taking messages in must go on, or a lost connection could not be replaced.
func TestReceiveNeverBlocks(t *testing.T) {
	o := DefaultOptions()
	o.TransportURL, o.Host, o.Log = "rabbit://", "h", logrus.NewEntry(logrus.New())
	o.MissingConsumerRetry = 200 * time.Millisecond
	o.Log.Logger.SetOutput(io.Discard)
	l, err := NewLink(o)
	if err != nil {
		t.Fatal(err)
	}
	for l.sender.offer(&outgoing{done: func(error) {}}) {
	}
	s := l.Serve("compute")
	inner := `{"method": "ping", "namespace": "baseapi", "version": "1.0", "args": {"arg": 1}, "_msg_id": "m", "_reply_q": "q"}`
	received := make(chan struct{})
	go func() {
		s.receive(context.Background(), &amqp.Delivery{Body: sealEnvelope([]byte(inner))})
		close(received)
	}()
	receive(t, received)
	if err := s.waitHandlers(within(t, 10*time.Second)); err != nil {
		t.Error(err)
	}
	if n := s.count.Load(); n != 0 {
		t.Errorf("%d requests still count as unanswered", n)
	}
}
