package rpc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/sirupsen/logrus"
)

const (
	// window bounds the messages that the broker has not confirmed yet. The
	// channels on which amqp091 reports confirms and returns hold as many, so
	// that its reader never waits for us while we wait for its locks.
	window = 512
	// missingRetry is the time between two attempts to deliver a reply whose
	// queue is missing, as in oslo.messaging.
	missingRetry = 250 * time.Millisecond
	// maxAttempts bounds how often a message is sent again after the broker
	// closed the channel or connection under it: the message may be the cause.
	maxAttempts = 5
	// maxName is how many bytes a name or key may have in AMQP (4.2.5.3, short
	// strings). amqp091 ends the connection over a longer one.
	maxName = 255
)

// outgoing is a message on its way to the broker.
type outgoing struct {
	exchange   exchange // no name: the default exchange
	key        string
	body       []byte
	expiration string    // in ms, "" for none
	deadline   time.Time // when nobody wants it any more
	mandatory  bool      // the broker reports a missing queue
	queue      *queue    // is there before the message is sent; nil: not ours to see to
	// retryMissing waits for a missing queue to come back, until the deadline.
	retryMissing bool
	// done is called once, from the sender's goroutine: nil is confirmed by the
	// broker. It must not block.
	done func(error)

	attempts int
	returned bool
}

// sender publishes in one goroutine, without waiting for each confirm. What the
// broker has not confirmed when a connection breaks is sent again on the next.
type sender struct {
	log *logrus.Entry
	in  chan *outgoing
	// blocked tells the Link the broker's reason to take no messages, "" when it does.
	blocked func(reason string)

	// Owned by the goroutine in serve:
	conn      *amqp.Connection
	cork      *corkConn
	ch        *amqp.Channel
	declared  map[exchange]bool
	queues    map[string]bool // declared, by name
	pending   []*outgoing     // sent and not confirmed, oldest first
	backlog   []*outgoing     // to be sent again, oldest first
	returned  []*outgoing     // waiting for their queue to come back
	missing   missingQueues   // those that did not
	isBlocked bool
}

func newSender(log *logrus.Entry, blocked func(string)) *sender {
	return &sender{log: log, blocked: blocked, in: make(chan *outgoing, 2*window), missing: missingQueues{}}
}

// offer hands a message to the sender, unless it is far behind.
func (s *sender) offer(m *outgoing) bool {
	select {
	case s.in <- m:
		return true
	default:
		return false
	}
}

// send hands a message to the sender, and waits when it is far behind.
func (s *sender) send(ctx context.Context, m *outgoing) error {
	if s.offer(m) {
		return nil
	}
	timer := time.NewTimer(time.Until(m.deadline))
	defer timer.Stop()
	select {
	case s.in <- m:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return errors.New("the AMQP server takes no messages")
	}
}

// serve publishes on conn until it or ctx ends.
func (s *sender) serve(ctx context.Context, conn *amqp.Connection, cork *corkConn) {
	s.conn, s.cork = conn, cork
	blocked := conn.NotifyBlocked(make(chan amqp.Blocking, 8))
	defer s.setBlocked("")
	for ctx.Err() == nil && !conn.IsClosed() {
		if err := s.serveChannel(ctx, blocked); err != nil && !conn.IsClosed() && ctx.Err() == nil {
			s.log.WithError(err).Warn("The AMQP server closed the channel we publish on, opening another")
		}
		for _, m := range s.pending {
			m.attempts++
			m.returned = false
		}
		s.backlog = append(s.pending, s.backlog...)
		s.pending = nil
	}
}

// serveChannel publishes on one AMQP channel until it ends.
func (s *sender) serveChannel(ctx context.Context, blocked <-chan amqp.Blocking) error {
	var err error
	if s.ch, err = s.conn.Channel(); err != nil {
		return fmt.Errorf("open channel: %w", err)
	}
	defer s.ch.Close()
	s.declared, s.queues = map[exchange]bool{}, map[string]bool{}
	closed := s.ch.NotifyClose(make(chan *amqp.Error, 1))
	returns := s.ch.NotifyReturn(make(chan amqp.Return, window))
	confirms := s.ch.NotifyPublish(make(chan amqp.Confirmation, window))
	if err := s.ch.Confirm(false); err != nil {
		return fmt.Errorf("ask for confirms: %w", err)
	}
	retry := time.NewTicker(missingRetry)
	defer retry.Stop()
	for {
		if len(s.backlog) > 0 && s.room() > 0 {
			if err := s.publishAll(s.takeBacklog()); err != nil {
				return err
			}
		}
		in := s.in
		if len(s.backlog) > 0 || s.room() == 0 {
			in = nil
		}
		select {
		case m := <-in:
			err = s.publishAll(s.gather(m))
		case c, ok := <-confirms:
			if ok {
				s.markReturned(returns) // reported before the confirm of the same message
				s.confirm(c.Ack)
			} else {
				confirms = nil
			}
		case <-retry.C:
			err = s.retryReturned()
		case b, ok := <-blocked:
			if !ok {
				blocked = nil // the connection ended
			} else if b.Active {
				s.setBlocked(b.Reason)
			} else {
				s.setBlocked("")
			}
		case e := <-closed:
			if e == nil {
				return errors.New("channel closed")
			}
			return e
		case <-ctx.Done():
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// room is how many messages may be sent now.
func (s *sender) room() int {
	if s.isBlocked {
		return 0
	}
	return window - len(s.pending)
}

// gather takes what waits behind first, as far as the window allows.
func (s *sender) gather(first *outgoing) []*outgoing {
	batch := []*outgoing{first}
	runtime.Gosched() // whoever has a message ready gets it in, too
	for len(batch) < s.room() {
		select {
		case m := <-s.in:
			batch = append(batch, m)
		default:
			return batch
		}
	}
	return batch
}

// takeBacklog takes what a lost channel left behind, as far as the window
// allows. What was there when two channels were lost goes one by one: the broker
// may have closed them because of one message, and must not get the others
// along with it.
func (s *sender) takeBacklog() []*outgoing {
	n := min(len(s.backlog), s.room())
	if s.backlog[0].attempts > 1 {
		n = max(0, min(n, 1-len(s.pending)))
	}
	batch := s.backlog[:n:n]
	s.backlog = s.backlog[n:]
	return batch
}

// publishAll sends messages in one write. After an error the rest is in the backlog.
func (s *sender) publishAll(batch []*outgoing) error {
	if len(batch) == 1 {
		return s.publish(batch[0])
	}
	s.cork.cork()
	var err error
	for i, m := range batch {
		if err = s.publish(m); err != nil {
			s.backlog = append(batch[i+1:], s.backlog...)
			break
		}
	}
	return errors.Join(err, s.cork.uncork())
}

// publish sends one message. After an error the channel is of no use and the
// message is among the pending ones.
func (s *sender) publish(m *outgoing) error {
	switch {
	case len(m.key) > maxName: // a request may name any queue for its answer
		m.done(fmt.Errorf("AMQP has no names of %d bytes", len(m.key)))
		return nil
	case time.Now().After(m.deadline):
		m.done(context.DeadlineExceeded)
		return nil
	case m.attempts >= maxAttempts:
		m.done(fmt.Errorf("the AMQP server closed the channel at each of %d attempts to send the message", m.attempts))
		return nil
	case m.retryMissing && s.missing.has(m.key):
		m.done(errDropped)
		return nil
	}
	s.pending = append(s.pending, m)
	if !s.hasRoute(m) {
		_ = s.cork.uncork() // a declaration waits for its answer; a broken connection shows there
		if err := s.declare(m); err != nil {
			if s.conn.IsClosed() {
				return err
			}
			s.pending = s.pending[:len(s.pending)-1]
			m.done(err)
			return nil
		}
	}
	return s.ch.Publish(m.exchange.name, m.key, m.mandatory, false, amqp.Publishing{
		ContentType: "application/json", ContentEncoding: "utf-8",
		DeliveryMode: amqp.Persistent, Headers: amqp.Table{},
		Expiration: m.expiration, Body: m.body,
	})
}

// hasRoute says whether what the message needs was declared on this channel.
func (s *sender) hasRoute(m *outgoing) bool {
	return (m.exchange.name == "" || s.declared[m.exchange]) && (m.queue == nil || s.queues[m.queue.name])
}

// declare makes sure that the message's exchange and queue are there, once per channel.
func (s *sender) declare(m *outgoing) error {
	d := &declarer{conn: s.conn, log: s.log}
	defer d.close()
	if m.queue != nil {
		if err := d.queue(*m.queue); err != nil {
			return err
		}
		s.queues[m.queue.name] = true
	} else if err := d.exchange(m.exchange); err != nil {
		return err
	}
	s.declared[m.exchange] = true
	return nil
}

// confirm settles the oldest pending message.
func (s *sender) confirm(ack bool) {
	if len(s.pending) == 0 {
		return
	}
	m := s.pending[0]
	s.pending[0] = nil
	s.pending = s.pending[1:]
	switch {
	case !m.returned && ack:
		m.done(nil)
	case m.returned && !m.retryMissing:
		m.done(ErrUndeliverable)
	case m.retryMissing: // missing, or refused by the broker
		m.returned = false
		s.returned = append(s.returned, m)
	default:
		m.done(errors.New("the AMQP server refused the message"))
	}
}

// markReturned notes which pending messages came back.
func (s *sender) markReturned(returns <-chan amqp.Return) {
	for {
		select {
		case r, ok := <-returns:
			if !ok {
				return
			}
			for _, m := range s.pending {
				if !m.returned && m.key == r.RoutingKey && bytes.Equal(m.body, r.Body) {
					m.returned = true
					break
				}
			}
		default:
			return
		}
	}
}

// retryReturned sends what came back once more, or gives it up.
func (s *sender) retryReturned() error {
	var again []*outgoing
	waiting := s.returned[:0]
	for _, m := range s.returned {
		switch {
		case time.Now().After(m.deadline):
			s.missing.add(m.key)
			m.done(ErrUndeliverable)
		case len(again) < s.room():
			again = append(again, m)
		default:
			waiting = append(waiting, m)
		}
	}
	s.returned = waiting
	return s.publishAll(again)
}

// errDropped is a reply to a queue that is known to be gone.
var errDropped = errors.New("the reply queue is known to be missing")

func (s *sender) setBlocked(reason string) {
	if s.isBlocked == (reason != "") {
		return
	}
	s.isBlocked = reason != ""
	s.blocked(reason)
}

// abandon settles everything that was never confirmed. For use after the last serve.
func (s *sender) abandon(err error) {
	for _, list := range [][]*outgoing{s.backlog, s.returned} {
		for _, m := range list {
			m.done(err)
		}
	}
	s.backlog, s.returned = nil, nil
	for {
		select {
		case m := <-s.in:
			m.done(err)
		default:
			return
		}
	}
}
