package rpc

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/sirupsen/logrus"
	"golang.org/x/sync/errgroup"
)

// handlersLimit bounds the wait for handlers at the end of Run.
const handlersLimit = 10 * time.Second

// Link is the way to the message broker. Make one with NewLink, register what
// it serves, and call Run once. All methods may be used concurrently, also
// before Run and while the broker is away.
type Link struct {
	o       Options
	log     *logrus.Entry
	hosts   []brokerHost
	vhost   string
	sender  *sender
	waiters waiters
	replies *subscription // nil if we only send
	added   chan struct{} // a subscription waits to be started

	mu       sync.Mutex
	subs     []*subscription
	servers  []*Server
	queues   int      // names given out by queueName
	session  *session // nil while there is none
	sessions int
	state    LinkState
	changed  chan struct{} // closed and replaced when state.Up changes
}

// LinkState is what an operator wants to know about the link.
type LinkState struct {
	// Up says that we are connected and consume every queue.
	Up bool
	// Peer is HOST:PORT of the broker in use, or tried last.
	Peer string
	// Since is when Up last changed.
	Since time.Time
	// LastSuccess is the last time that a call of ours was answered; with a
	// ProofInterval that is never long ago.
	LastSuccess time.Time
	// Err is why the link is not up, "" if it is.
	Err string
	// Blocked is why the broker takes no messages (a memory or disk alarm), "" if it does.
	Blocked string
	// Reconnects counts the sessions after the first.
	Reconnects int
}

// NewLink checks the options, without connecting.
func NewLink(o Options) (*Link, error) {
	u, err := parseTransportURL(o.TransportURL)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(o.override(u.query), o.validate()); err != nil {
		return nil, err
	}
	l := &Link{
		o: o, log: o.Log, hosts: u.hosts, vhost: u.vhost,
		added: make(chan struct{}, 1), changed: make(chan struct{}),
		state: LinkState{Since: time.Now(), Err: "not connected yet"},
	}
	rand.Shuffle(len(l.hosts), func(i, j int) { l.hosts[i], l.hosts[j] = l.hosts[j], l.hosts[i] })
	l.sender = newSender(l.log, l.setBlocked)
	if !o.SendOnly {
		l.replies = l.newSubscription(l.o.replyQueue(l.queueName("reply")), l.takeReply)
		l.subs = []*subscription{l.replies}
	}
	return l, nil
}

// Run keeps the link up until ctx ends, and then waits for the handlers that
// still run. A broker that is away is no error: Run tries again for ever.
func (l *Link) Run(ctx context.Context) error {
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { l.reconnect(gctx); return nil })
	g.Go(func() error { l.prove(gctx); return nil })
	err := g.Wait()

	l.mu.Lock()
	servers := slices.Clone(l.servers)
	l.mu.Unlock()
	wait, cancel := context.WithTimeout(context.WithoutCancel(ctx), handlersLimit)
	defer cancel()
	for _, s := range servers {
		err = errors.Join(err, s.waitHandlers(wait))
	}
	l.sender.abandon(context.Canceled)
	return err
}

// State is the state of the link now.
func (l *Link) State() LinkState {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state
}

// WaitUp waits until the link is up.
func (l *Link) WaitUp(ctx context.Context) error {
	for {
		l.mu.Lock()
		state, changed := l.state, l.changed
		l.mu.Unlock()
		if state.Up {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			state = l.State() // attempts that fail change nothing but its error
			return fmt.Errorf("wait for the AMQP server %s (%s): %w", state.Peer, state.Err, ctx.Err())
		}
	}
}

// queueName makes a name for a queue of this process alone.
func (l *Link) queueName(prefix string) string {
	if !l.o.UseQueueManager {
		return prefix + "_" + newHexID()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queues++
	return fmt.Sprintf("%s_%s:%s:%d", prefix, l.o.Host, l.o.ProcessName, l.queues)
}

func (l *Link) newSubscription(q queue, deliver func(context.Context, *amqp.Delivery)) *subscription {
	return &subscription{
		queue: q, prefetch: l.o.PrefetchCount, delay: l.o.ReconnectDelay,
		log: l.log.WithField("queue", q.name), deliver: deliver, changed: l.note,
		stop: make(chan struct{}),
	}
}

// add begins to consume, now or as soon as there is a session.
func (l *Link) add(s *Server) {
	l.mu.Lock()
	l.servers = append(l.servers, s)
	l.subs = append(l.subs, s.subs...)
	l.noteLocked()
	l.mu.Unlock()
	select {
	case l.added <- struct{}{}:
	default: // the session was told already
	}
}

// remove ends consumption for good; it does not wait.
func (l *Link) remove(s *Server) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.subs = slices.DeleteFunc(l.subs, func(sub *subscription) bool { return slices.Contains(s.subs, sub) })
	for _, sub := range s.subs {
		close(sub.stop)
	}
	l.noteLocked()
}

// note brings the state up to date after something began or ended.
func (l *Link) note() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.noteLocked()
}

func (l *Link) noteLocked() {
	up := l.session != nil
	var waiting string
	for _, sub := range l.subs {
		if up && !sub.consuming.Load() {
			up, waiting = false, sub.queue.name
		}
	}
	switch {
	case up:
		l.state.Err = ""
	case waiting != "":
		l.state.Err = "not consuming queue " + waiting
	}
	if up != l.state.Up {
		l.state.Up, l.state.Since = up, time.Now()
		close(l.changed)
		l.changed = make(chan struct{})
	}
}

// succeeded notes that a call was answered.
func (l *Link) succeeded() {
	l.mu.Lock()
	l.state.LastSuccess = time.Now()
	l.mu.Unlock()
}

// setBlocked notes an alarm of the broker; reason "" is its end.
func (l *Link) setBlocked(reason string) {
	l.mu.Lock()
	l.state.Blocked = reason
	l.mu.Unlock()
	if reason != "" {
		l.log.Errorf("The broker has blocked the connection: %s", reason)
	} else {
		l.log.Info("The broker has unblocked the connection")
	}
}
