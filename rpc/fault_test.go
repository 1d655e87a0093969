package rpc

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
)

// backWithin is the promise: consuming again after the broker accepts connections.
const backWithin = 12 * time.Second

// server is a node that serves echo, and proves itself as often as it can.
func server(t testing.TB, change func(*Options)) *node {
	n := run(t, func(o *Options) {
		o.ProofInterval = 300 * time.Millisecond
		o.ReconnectDelay = 50 * time.Millisecond
		o.ReconnectMax = 500 * time.Millisecond
		if change != nil {
			change(o)
		}
	})
	n.Serve("compute", echo).Start()
	return n.up(t)
}

// works says that a call to ourselves is answered.
func (n *node) works(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), backWithin)
	defer cancel()
	got, err := n.Call(ctx, AdminContext(), n.target(), "echo", map[string]any{"value": "hello"}, WithTimeout(backWithin))
	if err != nil || string(got) != `"hello"` {
		t.Fatalf("echo: %s, %v; link %+v", got, err, n.State())
	}
}

// loses waits until the link notices that something is wrong, and comes back.
func (n *node) loses(t testing.TB, because string) {
	t.Helper()
	eventually(t, "a log line with "+because, func() bool {
		return strings.Contains(strings.Join(n.logged(logrus.WarnLevel), "\n"), because)
	})
	n.up(t)
}

func TestLostQueuesComeBack(t *testing.T) {
	b := rabbit.Get(t)
	for _, c := range []struct {
		name  string
		queue func(n *node) string
	}{
		{"own queue", func(n *node) string { return n.target().routingKey() }},
		{"shared queue", func(*node) string { return "compute" }},
		{"fanout queue", func(n *node) string { return n.servers[0].subs[2].queue.name }},
		{"reply queue", func(n *node) string { return n.replies.queue.name }},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := server(t, nil)
			n.works(t)
			n.logs.Reset()
			if err := b.DeleteQueue(c.queue(n)); err != nil {
				t.Fatal(err)
			}
			n.loses(t, "Lost a queue of the AMQP server, declaring it again")
			n.works(t)
			if s := n.State(); s.Reconnects != 0 {
				t.Errorf("a lost queue must not cost the connection: %+v", s)
			}
		})
	}
}

// TestDeafIsNoticed breaks what no broker tells its clients.
func TestDeafIsNoticed(t *testing.T) {
	for _, c := range []struct {
		name  string
		sever func(*testing.T, *node)
	}{
		{"binding removed", func(t *testing.T, n *node) {
			if err := newTap(t).ch.QueueUnbind(n.target().routingKey(), n.target().routingKey(), "nova", nil); err != nil {
				t.Fatal(err)
			}
		}},
		{"consumer of requests forgotten", func(t *testing.T, n *node) {
			if err := rabbit.Get(t).CancelConsumers(n.target().routingKey()); err != nil {
				t.Fatal(err)
			}
		}},
		{"consumer of replies forgotten", func(t *testing.T, n *node) {
			if err := rabbit.Get(t).CancelConsumers(n.replies.queue.name); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := server(t, nil)
			n.works(t)
			n.logs.Reset()
			c.sever(t, n)
			n.loses(t, "our queues do not work")
			n.works(t)
			if got := n.logged(logrus.WarnLevel); len(got) != 1 {
				t.Errorf("logged %q", got)
			}
		})
	}
}

// TestClientWithoutServerProvesItself has only a reply queue.
func TestClientWithoutServerProvesItself(t *testing.T) {
	n := run(t, func(o *Options) { o.ProofInterval = 100 * time.Millisecond }).up(t)
	eventually(t, "a proof", func() bool { return !n.State().LastSuccess.IsZero() })
	if err := rabbit.Get(t).CancelConsumers(n.replies.queue.name); err != nil {
		t.Fatal(err)
	}
	n.loses(t, "our queues do not work")
}

func TestConnectionClosedByOperator(t *testing.T) {
	n := server(t, nil)
	n.logs.Reset()
	if err := rabbit.Get(t).CloseConnections(); err != nil {
		t.Fatal(err)
	}
	n.loses(t, "is unreachable")
	n.works(t)
	var lines []string
	for _, e := range n.logs.AllEntries() {
		if e.Level <= logrus.InfoLevel {
			lines = append(lines, e.Message)
		}
	}
	addr := rabbit.Get(t).Addr()
	if len(lines) != 2 ||
		!strings.HasPrefix(lines[0], "AMQP server on "+addr+" is unreachable: ") || !strings.HasSuffix(lines[0], ". Trying again in 1 seconds.") ||
		lines[1] != "Reconnected to AMQP server on "+addr {
		t.Errorf("logged %q", lines)
	}
}

func TestBrokerRestart(t *testing.T) {
	b := rabbit.Get(t)
	for name, restart := range map[string]func() error{
		"stopped": b.Stop, "killed": b.Kill,
	} {
		t.Run(name, func(t *testing.T) {
			n := server(t, func(o *Options) { o.ReconnectMax = DefaultOptions().ReconnectMax })
			n.works(t)
			if err := restart(); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the link to be down", func() bool { return !n.State().Up })
			// A call made now is answered once the broker is back.
			pending := make(chan error, 1)
			go func() {
				_, err := n.Call(context.Background(), AdminContext(), n.target(), "echo", map[string]any{"value": 1}, WithTimeout(time.Minute))
				pending <- err
			}()
			if err := b.Start(); err != nil {
				t.Fatal(err)
			}
			back := time.Now()
			n.up(t)
			t.Logf("consuming again %s after the broker", time.Since(back).Round(time.Millisecond))
			if took := time.Since(back); took > backWithin {
				t.Errorf("back after %s, want %s", took, backWithin)
			}
			n.works(t)
			if err := receive(t, pending); err != nil {
				t.Errorf("the call made while the broker was away: %v", err)
			}
		})
	}
}

// TestBrokerFrozen has a broker that keeps its connections and does nothing.
func TestBrokerFrozen(t *testing.T) {
	b := rabbit.Get(t)
	n := server(t, nil)
	n.works(t)
	if err := b.Freeze(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Thaw() })
	eventually(t, "the link to be down", func() bool { return !n.State().Up })
	if err := b.Thaw(); err != nil {
		t.Fatal(err)
	}
	back := time.Now()
	n.up(t)
	if took := time.Since(back); took > backWithin {
		t.Errorf("back after %s, want %s", took, backWithin)
	}
	n.works(t)
}

// TestAnswerOwedOverReconnect lets the connection break while a handler works.
func TestAnswerOwedOverReconnect(t *testing.T) {
	quick := func(o *Options) { o.ReconnectMax = 500 * time.Millisecond }
	n := run(t, quick)
	started, release := make(chan struct{}), make(chan struct{})
	n.Serve("compute", Endpoint{Version: "6.0", Methods: map[string]Handler{
		"work": func(ctx context.Context, _ *Request) (any, error) {
			close(started)
			<-release
			return "kept", ctx.Err() // a lost connection must not end the work
		},
	}}).Start()
	n.up(t)
	client := run(t, quick).up(t)
	got := make(chan answer, 1)
	go func() {
		r, err := client.Call(context.Background(), AdminContext(), n.target(), "work", nil, WithTimeout(time.Minute))
		got <- answer{r, err}
	}()
	receive(t, started)
	if err := rabbit.Get(t).CloseConnections(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the link to be down", func() bool { return !n.State().Up })
	close(release)
	if a := receive(t, got); a.err != nil || string(a.result) != `"kept"` {
		t.Errorf("%s, %v", a.result, a.err)
	}
}

func TestReplyQueueMissing(t *testing.T) {
	n := run(t, func(o *Options) { o.MissingConsumerRetry = 600 * time.Millisecond })
	n.Serve("compute", echo).Start()
	p := n.up(t).peer(t)
	ask := func(replyQ string) {
		p.call(map[string]any{"method": "echo", "version": "6.0", "args": map[string]any{"value": 1}, "_reply_q": replyQ})
	}

	late := "reply_" + newHexID()
	ask(late)
	p.nothing()
	if _, err := p.ch.QueueDeclare(late, false, true, false, false, nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the reply to a queue that came back", func() bool {
		_, ok, err := p.ch.Get(late, true)
		if err != nil {
			t.Fatal(err)
		}
		return ok
	})

	gone := "reply_" + newHexID()
	n.logs.Reset()
	ask(gone)
	eventually(t, "the reply to be abandoned", func() bool { return len(n.logged(logrus.ErrorLevel)) == 1 })
	if got := n.logged(logrus.ErrorLevel)[0]; got != "Abandoned a reply no queue for the message" {
		t.Errorf("logged %q", got)
	}
	ask(gone) // now known to be gone: dropped at once, quietly
	eventually(t, "the second reply to be dropped", func() bool {
		return strings.Contains(strings.Join(n.logged(logrus.DebugLevel), "\n"), "Dropped the reply to a queue that is gone")
	})
	if got := n.logged(logrus.ErrorLevel); len(got) != 1 {
		t.Errorf("logged %q", got)
	}
}

func TestMemoryAlarm(t *testing.T) {
	b := rabbit.Get(t)
	n := server(t, nil)
	n.works(t)
	if err := b.RaiseMemoryAlarm(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.ClearMemoryAlarm() })
	// The broker says so at the next thing published.
	cast := make(chan error, 1)
	go func() { cast <- n.Cast(context.Background(), AdminContext(), n.target(), "echo", nil) }()
	eventually(t, "the alarm to be known", func() bool { return n.State().Blocked != "" })
	if s := n.State(); !s.Up {
		t.Errorf("blocked is not down: %+v", s)
	}
	calls := make(chan error, 3)
	for range cap(calls) {
		go func() {
			_, err := n.Call(context.Background(), AdminContext(), n.target(), "echo", map[string]any{"value": 1}, WithTimeout(time.Minute))
			calls <- err
		}()
	}
	select {
	case err := <-calls:
		t.Fatalf("a call got through: %v", err)
	case <-time.After(time.Second): // a proof or three
	}
	if err := b.ClearMemoryAlarm(); err != nil {
		t.Fatal(err)
	}
	for range cap(calls) {
		if err := receive(t, calls); err != nil {
			t.Errorf("a call after the alarm: %v", err)
		}
	}
	if err := receive(t, cast); err != nil {
		t.Errorf("cast: %v", err)
	}
	if s := n.State(); s.Blocked != "" || s.Reconnects != 0 {
		t.Errorf("state %+v", s)
	}
	got := strings.Join(n.logged(logrus.InfoLevel), "\n")
	for _, line := range []string{"The broker has blocked the connection: ", "The broker has unblocked the connection"} {
		if strings.Count(got, line) != 1 {
			t.Errorf("logged %q, want once %q", got, line)
		}
	}
}

// TestOtherProperties finds exchange and queues made by somebody with another
// configuration.
func TestOtherProperties(t *testing.T) {
	p := newTap(t)
	topic := "topic-" + newHexID()
	host := "host-" + newHexID()
	control := "control-" + newHexID()
	if err := p.ch.ExchangeDeclare(control, "topic", true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	if err := p.ch.ExchangeDeclare(topic+"_fanout", "fanout", true, true, false, false, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := p.ch.QueueDeclare(topic+"."+host, true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	n := run(t, func(o *Options) { o.ControlExchange, o.Host = control, host })
	n.Serve(topic, echo).Start()
	n.up(t)
	ctx := within(t, 20*time.Second)
	if _, err := n.Call(ctx, AdminContext(), Target{Topic: topic, Server: host, Version: "6.0"}, "echo", map[string]any{"value": 1}); err != nil {
		t.Error(err)
	}
	if err := n.Cast(ctx, AdminContext(), Target{Topic: topic, Fanout: true, Version: "6.0"}, "echo", map[string]any{"value": 1}); err != nil {
		t.Error(err)
	}
	for _, what := range []string{"exchange " + control, "exchange " + topic + "_fanout", "queue " + topic + "." + host} {
		if got := strings.Join(n.logged(logrus.WarnLevel), "\n"); !strings.Contains(got, "declare "+what+": Exception (406)") {
			t.Errorf("no warning about %s in %q", what, got)
		}
	}
}

// TestPoison sends a message that makes the broker close the channel, among
// others that must get through.
func TestPoison(t *testing.T) {
	n := run(t, nil).up(t)
	p := newTap(t)
	queue, got := p.listen(exchange{}, "")
	outcomes := make(chan error, 9)
	deadline := time.Now().Add(20 * time.Second)
	for i := range cap(outcomes) {
		m := &outgoing{key: queue, body: []byte("fine"), deadline: deadline, done: func(err error) { outcomes <- err }}
		if i == 4 {
			m.expiration, m.body = "never", []byte("poison") // 406: an expiration is a number
		}
		if !n.sender.offer(m) {
			t.Fatal("the sender is full")
		}
	}
	var refused []error
	for range cap(outcomes) {
		if err := receive(t, outcomes); err != nil {
			refused = append(refused, err)
		}
	}
	if len(refused) != 1 || !strings.Contains(refused[0].Error(), "the AMQP server closed the channel at each of 5 attempts") {
		t.Errorf("refused: %v", refused)
	}
	for fine := 0; fine < cap(outcomes)-1; fine++ {
		if d := receive(t, got); string(d.Body) != "fine" {
			t.Errorf("got %s", d.Body)
		}
	}
	if s := n.State(); s.Reconnects != 0 {
		t.Errorf("state %+v", s)
	}
}

// TestExchangeDeleted under a publisher that has declared it already.
func TestExchangeDeleted(t *testing.T) {
	n := run(t, nil).up(t)
	p := newTap(t)
	target := Target{Topic: "t" + newHexID(), Exchange: "x" + newHexID()}
	for range 2 {
		_, got := p.listen(n.o.topicExchange(target.Exchange), target.Topic)
		if err := n.Cast(within(t, 10*time.Second), AdminContext(), target, "m", nil); err != nil {
			t.Fatal(err)
		}
		receive(t, got)
		if err := p.ch.ExchangeDelete(target.Exchange, false, false); err != nil {
			t.Fatal(err)
		}
		if err := n.Cast(within(t, 10*time.Second), AdminContext(), target, "m", nil); err != nil {
			t.Errorf("cast over a deleted exchange: %v", err)
		}
	}
}
