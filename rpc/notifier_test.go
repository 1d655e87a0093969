package rpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/sirupsen/logrus"
	"github.com/sirupsen/logrus/hooks/test"
)

// notifier runs a notifier on the node's link until the test ends.
func (n *node) notifier(t testing.TB, drivers ...string) *Notifier {
	t.Helper()
	out := NewNotifier(NotifierOptions{Link: n.Link, Drivers: drivers, Retries: -1, Log: n.log})
	ctx, cancel := context.WithCancel(context.Background())
	go out.Run(ctx)
	t.Cleanup(func() {
		cancel()
		<-out.done
	})
	return out
}

// notified takes the next message from a queue of notifications.
func (p *tap) notified(queue string) amqp.Delivery {
	p.t.Helper()
	var got amqp.Delivery
	eventually(p.t, "a message in "+queue, func() bool {
		ch, err := p.conn.Channel() // looking for a queue that is not there costs the channel
		if err != nil {
			p.t.Fatal(err)
		}
		defer ch.Close()
		d, ok, err := ch.Get(queue, true)
		got = d
		return err == nil && ok
	})
	return got
}

func TestNotificationsAreWhatNovaSends(t *testing.T) {
	n := run(t, nil).up(t)
	want := recorded(t, "notification")
	rc := Context{"auth_token": "secret", "service_catalog": []any{"http://inside"}, "remote_address": "192.0.2.1"}
	for _, key := range told {
		rc[key] = want.Message[contextPrefix+key]
	}
	topic := "told-" + newHexID()
	n.notifier(t, "messagingv2").Notify(rc, Notification{
		Topics: []string{topic}, Publisher: want.text(t, "publisher_id"), Event: want.text(t, "event_type"),
		Priority: Priority(want.text(t, "priority")), Payload: want.Message["payload"],
	})
	d := newTap(t).notified(topic + ".info")
	if d.Exchange != want.Exchange || d.RoutingKey != topic+".info" {
		t.Errorf("sent to %s with key %s", d.Exchange, d.RoutingKey)
	}
	if got := properties(d); fmt.Sprint(got) != fmt.Sprint(want.Properties) {
		t.Errorf("properties %v, recorded %v", got, want.Properties)
	}
	got := inner(t, d)
	for _, key := range []string{"message_id", "timestamp", "_context_timestamp"} { // of the moment
		if len(got[key]) != len(want.Message[key]) {
			t.Errorf("%s: %s, recorded %s", key, got[key], want.Message[key])
		}
		delete(got, key)
		delete(want.Message, key)
	}
	sameMessage(t, got, want.Message)
}

func TestNotificationsOfSeveralDriversAndTopics(t *testing.T) {
	n := run(t, func(o *Options) { o.Durable = true; o.ControlExchange = "durable-" + newHexID() }).up(t)
	p := newTap(t)
	first, second := "one-"+newHexID(), "two-"+newHexID()
	n.notifier(t, "messaging", "messagingv2").Notify(AdminContext(), Notification{
		Topics: []string{first, second}, Publisher: "compute.h", Event: "compute.x", Priority: PriorityError, Payload: map[string]any{"a": 1},
	})
	ids := map[string]bool{}
	for _, topic := range []string{first, second} {
		plain := p.notified(topic + ".error") // of messaging, the driver named first
		var m map[string]any
		if err := json.Unmarshal(plain.Body, &m); err != nil {
			t.Fatal(err)
		}
		if m["event_type"] != "compute.x" || m["priority"] != "ERROR" || m["_unique_id"] == nil {
			t.Errorf("without an envelope: %v", m)
		}
		ids[m["message_id"].(string)] = true
		var id string
		if err := json.Unmarshal(inner(t, p.notified(topic+".error"))["message_id"], &id); err != nil {
			t.Fatal(err)
		}
		ids[id] = true
		if _, err := p.ch.QueueDeclarePassive(topic+".error", true, false, false, false, nil); err != nil {
			t.Errorf("queue: %v", err)
		}
		if _, err := p.ch.QueueDelete(topic+".error", false, false, false); err != nil {
			t.Error(err)
		}
	}
	if len(ids) != 1 {
		t.Errorf("one notification has the ids %v", ids)
	}
}

func TestNotifierNeverWaits(t *testing.T) {
	logger, hook := test.NewNullLogger()
	o := DefaultOptions()
	o.TransportURL, o.Host, o.Log, o.SendOnly = "rabbit://u:p@127.0.0.1:1/", "h", logrus.NewEntry(logger), true
	l, err := NewLink(o)
	if err != nil {
		t.Fatal(err)
	}
	n := NewNotifier(NotifierOptions{Link: l, Drivers: []string{"messagingv2"}, Retries: 2, Log: o.Log})
	for range notifierQueue + 100 {
		n.Notify(AdminContext(), Notification{Topics: []string{"notifications"}, Event: "e", Priority: PriorityInfo})
	}
	if len(n.wait) != notifierQueue || n.lost != 100 {
		t.Errorf("%d wait, %d are lost", len(n.wait), n.lost)
	}
	if lines := hook.AllEntries(); len(lines) != 1 || lines[0].Level != logrus.ErrorLevel {
		t.Errorf("said %v", lines)
	}
	m := <-n.wait
	if left := time.Until(m.deadline); left > 3*notifyAttempt || left < 2*notifyAttempt {
		t.Errorf("with 2 retries a message is tried for %s", left)
	}
	n.Notify(AdminContext(), Notification{Topics: []string{"notifications"}, Event: "e", Priority: PriorityInfo})
	if n.lost != 0 || len(hook.AllEntries()) != 2 {
		t.Errorf("the queue has room again: %d are lost, said %v", n.lost, hook.AllEntries())
	}
	if _, err := l.Call(context.Background(), AdminContext(), Target{Topic: "x"}, "m", nil); err == nil {
		t.Error("a link that only sends made a call")
	}
}

func TestNotifierSendsWhatWaitedAndCloses(t *testing.T) {
	n := run(t, nil)
	topic := "late-" + newHexID()
	out := n.notifier(t, "messagingv2")
	for i := range 3 {
		out.Notify(AdminContext(), Notification{Topics: []string{topic}, Event: fmt.Sprint(i), Priority: PriorityInfo})
	}
	if err := out.Close(within(t, 20*time.Second)); err != nil {
		t.Fatal(err)
	}
	p := newTap(t)
	for i := range 3 {
		if got := string(inner(t, p.notified(topic+".info"))["event_type"]); got != fmt.Sprintf("%q", fmt.Sprint(i)) {
			t.Errorf("message %d is %s", i, got)
		}
	}
}

func TestNotifierClosesInTimeWithoutBroker(t *testing.T) {
	n := run(t, func(o *Options) { o.TransportURL = "rabbit://u:p@127.0.0.1:1/" })
	out := n.notifier(t, "messaging")
	out.Notify(AdminContext(), Notification{Topics: []string{"t"}, Event: "e", Priority: PriorityInfo})
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := out.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("closed with %v", err)
	}
}

func TestNotifierDrivers(t *testing.T) {
	for _, c := range []struct {
		drivers []string
		enabled bool
		said    []string
	}{
		{nil, false, nil},
		{[]string{"noop"}, false, nil},
		{[]string{"routing"}, false, []string{"notification driver is not known; nothing is sent by it"}},
		{[]string{"noop", "log"}, true, []string{"notification"}},
	} {
		t.Run(fmt.Sprint(c.drivers), func(t *testing.T) {
			logger, hook := test.NewNullLogger()
			n := NewNotifier(NotifierOptions{Drivers: c.drivers, Log: logrus.NewEntry(logger)})
			n.Notify(AdminContext(), Notification{
				Topics: []string{"a", "b"}, Publisher: "compute.h", Event: "e", Priority: PriorityError, Payload: map[string]string{"k": "<v>"},
			})
			if n.Enabled() != c.enabled {
				t.Errorf("enabled: %t", n.Enabled())
			}
			var said []string
			for _, e := range hook.AllEntries() {
				said = append(said, e.Message)
				if e.Message == "notification" && (e.Level != logrus.ErrorLevel || e.Data["payload"] != `{"k":"<v>"}` || e.Data["event"] != "e") {
					t.Errorf("logged %v at %s", e.Data, e.Level)
				}
			}
			if fmt.Sprint(said) != fmt.Sprint(c.said) {
				t.Errorf("said %q", said)
			}
		})
	}
}
