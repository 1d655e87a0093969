package rpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// CallOption changes one call.
type CallOption func(*callOptions)

type callOptions struct {
	timeout   time.Duration
	monitor   time.Duration
	mandatory bool
}

// WithTimeout waits d for the answer instead of Options.ResponseTimeout.
func WithTimeout(d time.Duration) CallOption {
	return func(o *callOptions) { o.timeout = d }
}

// Monitored asks the server for a sign of life, at least every
// Options.ResponseTimeout, and in return waits up to Options.LongTimeout.
// It is for calls that may take long.
func Monitored() CallOption {
	return func(o *callOptions) { o.monitor = -1 }
}

// Call asks a server and waits for its answer. A failure that the server
// reports is a *RemoteError, no answer in time is ErrTimeout.
func (l *Link) Call(ctx context.Context, rc Context, t Target, method string, args map[string]any, opts ...CallOption) (json.RawMessage, error) {
	o := callOptions{timeout: l.o.ResponseTimeout}
	for _, opt := range opts {
		opt(&o)
	}
	if o.monitor < 0 {
		o.timeout, o.monitor = l.o.LongTimeout, l.o.ResponseTimeout
	}
	result, err := l.call(ctx, rc, t, method, args, o)
	if err != nil {
		return nil, fmt.Errorf("call %s on %s: %w", method, t.routingKey(), err)
	}
	return result, nil
}

func (l *Link) call(ctx context.Context, rc Context, t Target, method string, args map[string]any, o callOptions) (json.RawMessage, error) {
	if l.replies == nil {
		return nil, errors.New("this link only sends")
	}
	w, msgID := l.waiters.add()
	defer l.waiters.remove(msgID)
	body, err := encodeRequest(rc, t, method, args, callIDs{msgID, l.replies.queue.name, o.monitor})
	if err != nil {
		return nil, err
	}
	sent := make(chan error, 1)
	m := l.outgoing(t, body, o.timeout)
	m.mandatory = o.mandatory
	m.expiration = strconv.FormatInt(o.timeout.Milliseconds(), 10)
	m.done = func(err error) { sent <- err }
	if err := l.sender.send(ctx, m); err != nil {
		return nil, err
	}
	return l.await(ctx, w, sent, o)
}

// await waits for the answer to a message that is on its way.
func (l *Link) await(ctx context.Context, w *waiter, sent <-chan error, o callOptions) (json.RawMessage, error) {
	limit := time.NewTimer(o.timeout)
	defer limit.Stop()
	var silence <-chan time.Time
	var quiet *time.Timer
	if o.monitor > 0 {
		quiet = time.NewTimer(o.monitor)
		defer quiet.Stop()
		silence = quiet.C
	}
	for {
		select {
		case r := <-w.answer:
			l.succeeded()
			if r.Failure != nil {
				return nil, decodeFailure(*r.Failure)
			}
			return r.Result, nil
		case <-w.alive:
			if quiet != nil {
				quiet.Reset(o.monitor)
			}
		case err := <-sent:
			if err != nil {
				return nil, err
			}
			sent = nil
		case <-limit.C:
			return nil, l.timedOut()
		case <-silence:
			return nil, l.timedOut()
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// timedOut names the link if that is to blame.
func (l *Link) timedOut() error {
	if s := l.State(); !s.Up {
		return fmt.Errorf("%w (AMQP server %s: %s)", ErrTimeout, s.Peer, s.Err)
	}
	return ErrTimeout
}

// Cast tells a server, or with Target.Fanout all of them, and waits only until
// the broker has the message.
func (l *Link) Cast(ctx context.Context, rc Context, t Target, method string, args map[string]any) error {
	body, err := encodeRequest(rc, t, method, args, callIDs{})
	if err != nil {
		return fmt.Errorf("cast %s to %s: %w", method, t.routingKey(), err)
	}
	sent := make(chan error, 1)
	m := l.outgoing(t, body, l.o.ResponseTimeout)
	m.done = func(err error) { sent <- err }
	limit := time.NewTimer(l.o.ResponseTimeout)
	defer limit.Stop()
	if err = l.sender.send(ctx, m); err == nil {
		select {
		case err = <-sent:
		case <-limit.C:
			err = fmt.Errorf("the AMQP server %s did not take the message within %s", l.State().Peer, l.o.ResponseTimeout)
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	if err != nil {
		return fmt.Errorf("cast %s to %s: %w", method, t.routingKey(), err)
	}
	return nil
}

// outgoing addresses a message.
func (l *Link) outgoing(t Target, body []byte, limit time.Duration) *outgoing {
	m := &outgoing{body: body, deadline: time.Now().Add(limit)}
	switch {
	case t.Fanout:
		m.exchange = l.o.fanoutExchange(t.Topic)
	case t.Exchange != "":
		m.exchange, m.key = l.o.topicExchange(t.Exchange), t.routingKey()
	default:
		m.exchange, m.key = l.o.topicExchange(l.o.ControlExchange), t.routingKey()
	}
	return m
}

// takeReply hands an answer to the call that waits for it.
func (l *Link) takeReply(_ context.Context, d *amqp.Delivery) {
	r, err := readReply(d)
	if err != nil {
		l.log.WithError(err).Warn("Dropped a message that is not a reply")
		return
	}
	if !l.waiters.deliver(r) {
		l.log.WithField("msg_id", r.MsgID).Debug("Dropped a reply that nobody waits for")
	}
}

func readReply(d *amqp.Delivery) (*reply, error) {
	inner, err := innerMessage(d)
	if err != nil {
		return nil, err
	}
	return decodeReply(inner)
}

// waiters are the calls that wait for an answer.
type waiters struct {
	mu sync.Mutex
	m  map[string]*waiter
}

// waiter is one call that waits.
type waiter struct {
	answer chan *reply   // buffers the one answer
	alive  chan struct{} // buffers one sign of life
	early  *reply        // the first of two messages, guarded by waiters.mu
}

func (ws *waiters) add() (*waiter, string) {
	w := &waiter{answer: make(chan *reply, 1), alive: make(chan struct{}, 1)}
	id := newHexID()
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.m == nil {
		ws.m = map[string]*waiter{}
	}
	ws.m[id] = w
	return w, id
}

func (ws *waiters) remove(id string) {
	ws.mu.Lock()
	delete(ws.m, id)
	ws.mu.Unlock()
}

// deliver never blocks: what a waiter has already got once is dropped.
func (ws *waiters) deliver(r *reply) bool {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	w := ws.m[r.MsgID]
	switch {
	case w == nil:
		return false
	case !r.Ending && r.empty():
		select {
		case w.alive <- struct{}{}:
		default:
		}
	case !r.Ending:
		w.early = r
	default:
		if r.empty() && w.early != nil {
			r = w.early
		}
		select {
		case w.answer <- r:
		default:
		}
	}
	return true
}
