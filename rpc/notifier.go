package rpc

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/sirupsen/logrus"
)

const (
	// notifierQueue bounds the notifications that wait for the broker.
	notifierQueue = 1000
	// notifyAttempt is how long each of a limited number of attempts to send
	// a notification takes.
	notifyAttempt = 10 * time.Second
	// forever is when a notification that is tried again without limit is given up.
	forever = 100 * 365 * 24 * time.Hour
)

// Priority is how much a notification matters; its lower case is part of the
// routing key.
type Priority string

// The priorities that Nova's compute node uses.
const (
	PriorityInfo  Priority = "INFO"
	PriorityError Priority = "ERROR"
)

// Notification is news for whoever listens: billing, monitoring, inventories.
type Notification struct {
	// Topics are the first parts of the names of the queues that get it.
	Topics []string
	// Publisher is who tells, as "compute.HOST".
	Publisher string
	// Event is what happened, as "compute.instance.create.end".
	Event    string
	Priority Priority
	// Payload is written as JSON before Notify returns.
	Payload any
}

// NotifierOptions are the options of [oslo_messaging_notifications].
type NotifierOptions struct {
	// Link is the way to the broker. Required.
	Link *Link
	// Drivers are how notifications are sent (driver): messagingv2 in an
	// envelope, messaging without one, log, noop. None: not at all.
	Drivers []string
	// Retries is how often sending one is tried again (retry); -1 is without end.
	Retries int
	// Log takes what the notifier has to say, and the notifications of the
	// driver log. Required.
	Log *logrus.Entry
}

// Notifier sends notifications as oslo.messaging's does: to the control
// exchange with the routing key TOPIC.PRIORITY, behind which it makes a durable
// or transient queue of the same name, so that nothing is lost before the first
// listener comes.
//
// Other than oslo.messaging's it never makes anybody wait for the broker: what
// the broker does not take waits in a bounded queue, and what finds the queue
// full is dropped. All methods may be used concurrently.
type Notifier struct {
	o    NotifierOptions
	log  *logrus.Entry
	send bool           // some driver sends
	wait chan *outgoing // for the broker
	stop chan struct{}  // closed when nothing more comes
	once sync.Once
	done chan struct{} // closed when Run has ended

	mu   sync.Mutex
	lost int // since the queue is full
}

// NewNotifier makes a notifier. A driver that is not known is left out with a
// warning, as oslo.messaging does.
func NewNotifier(o NotifierOptions) *Notifier {
	n := &Notifier{o: o, log: o.Log, wait: make(chan *outgoing, notifierQueue), stop: make(chan struct{}), done: make(chan struct{})}
	n.o.Drivers = nil
	for _, d := range o.Drivers {
		switch d {
		case "messaging", "messagingv2":
			n.o.Drivers, n.send = append(n.o.Drivers, d), true
		case "log":
			n.o.Drivers = append(n.o.Drivers, d)
		case "noop", "test":
		default:
			n.log.WithField("driver", d).Warn("notification driver is not known; nothing is sent by it")
		}
	}
	return n
}

// Enabled says whether anybody may learn of a notification; where not, there is
// no need to make one.
func (n *Notifier) Enabled() bool { return len(n.o.Drivers) > 0 }

// Notify sends a notification about a request. It returns at once, and fails
// nobody: what goes wrong is logged.
func (n *Notifier) Notify(rc Context, m Notification) {
	id, at := uuid.NewString(), time.Now().UTC().Format("2006-01-02 15:04:05.000000")
	for _, driver := range n.o.Drivers {
		if driver == "log" {
			n.write(rc, m, id, at)
			continue
		}
		for _, topic := range m.Topics {
			body, err := encodeNotification(rc, m, id, at)
			if err != nil {
				n.log.WithError(err).WithField("event", m.Event).Error("notification not sent")
				continue
			}
			if driver == "messagingv2" {
				body = sealEnvelope(body)
			}
			n.enqueue(topic+"."+strings.ToLower(string(m.Priority)), body)
		}
	}
}

// write is the driver log.
func (n *Notifier) write(rc Context, m Notification, id, at string) {
	text, err := appendJSON(nil, m.Payload)
	if err != nil {
		n.log.WithError(err).WithField("event", m.Event).Error("notification not logged")
		return
	}
	level := logrus.InfoLevel
	if m.Priority == PriorityError {
		level = logrus.ErrorLevel
	}
	n.log.WithFields(logrus.Fields{
		"event": m.Event, "publisher": m.Publisher, "request_id": rc.RequestID(), "message_id": id, "timestamp": at, "payload": string(text),
	}).Log(level, "notification")
}

// encodeNotification builds the inner message.
func encodeNotification(rc Context, m Notification, id, at string) ([]byte, error) {
	w := newMessage("notification " + m.Event)
	w.field("message_id", id)
	w.field("publisher_id", m.Publisher)
	w.field("event_type", m.Event)
	w.field("priority", m.Priority)
	w.field("payload", m.Payload)
	w.field("timestamp", at)
	return w.end(rc.withoutSecrets())
}

// enqueue hands a message to Run, or drops it.
func (n *Notifier) enqueue(key string, body []byte) {
	o := &n.o.Link.o
	q := o.topicQueue(key)
	limit := time.Duration(forever)
	if n.o.Retries >= 0 {
		limit = time.Duration(n.o.Retries+1) * notifyAttempt
	}
	m := &outgoing{exchange: q.exchange, key: key, queue: &q, body: body, deadline: time.Now().Add(limit)}
	n.mu.Lock()
	defer n.mu.Unlock()
	select {
	case n.wait <- m:
		if n.lost > 0 {
			n.log.WithField("lost", n.lost).Warn("notifications are taken again; some were dropped")
			n.lost = 0
		}
	default:
		if n.lost++; n.lost == 1 {
			n.log.WithField("waiting", notifierQueue).Error("notifications are dropped: the AMQP server does not take those that wait")
		}
	}
}

// Run sends what waits, in order, until ctx ends, or after Close until nothing
// waits any more.
func (n *Notifier) Run(ctx context.Context) error {
	defer close(n.done)
	for {
		select {
		case m := <-n.wait:
			n.deliver(ctx, m)
			continue
		default:
		}
		select {
		case m := <-n.wait:
			n.deliver(ctx, m)
		case <-n.stop:
			if len(n.wait) == 0 {
				return nil
			}
		case <-ctx.Done():
			return n.abandon()
		}
		if ctx.Err() != nil {
			return n.abandon()
		}
	}
}

// deliver sends one message and waits until the broker has it.
func (n *Notifier) deliver(ctx context.Context, m *outgoing) {
	sent := make(chan error, 1)
	m.done = func(err error) { sent <- err }
	err := n.o.Link.sender.send(ctx, m)
	if err == nil {
		limit := time.NewTimer(time.Until(m.deadline))
		defer limit.Stop()
		select {
		case err = <-sent:
		case <-limit.C:
			err = fmt.Errorf("the AMQP server %s did not take it in time", n.o.Link.State().Peer)
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	if err != nil {
		n.log.WithError(err).WithField("queue", m.key).Error("notification not sent")
	}
}

// abandon counts what the end of the process leaves unsent.
func (n *Notifier) abandon() error {
	if left := len(n.wait); left > 0 {
		n.log.WithField("lost", left).Warn("notifications that waited for the AMQP server are dropped")
	}
	return nil
}

// Close lets Run end when everything that waits is sent, and waits for that as
// long as ctx allows. Nothing may be notified afterwards.
func (n *Notifier) Close(ctx context.Context) error {
	n.once.Do(func() { close(n.stop) })
	select {
	case <-n.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("send %d notifications: %w", len(n.wait), ctx.Err())
	}
}
