package rpc

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

const (
	// quietFor is the least time between two log lines about a broker that
	// stays away.
	quietFor = time.Minute
	// settleLimit is how long a new session may take to declare its queues
	// before we send in any case.
	settleLimit = 3 * time.Second
	// closeLimit bounds the good-bye to a broker.
	closeLimit = time.Second
)

// session is one pair of connections to a broker and the goroutines that use
// it. It ends as a whole: what ails one connection most likely ails the other.
type session struct {
	recv, send         *amqp.Connection
	recvConn, sendConn *corkConn
	end                chan error // a reason to end the session
	running            sync.WaitGroup
}

// reconnect holds one session after the other until ctx ends.
func (l *Link) reconnect(ctx context.Context) {
	wait := backoff{first: l.o.ReconnectInterval, max: l.o.ReconnectMax, hosts: len(l.hosts)}
	var logged time.Time
	for i := 0; ; i++ {
		h := l.hosts[i%len(l.hosts)]
		s, err := l.connect(ctx, h)
		if err == nil {
			began := time.Now()
			err = l.hold(ctx, s)
			wait.lost(time.Since(began))
			logged = time.Time{}
		}
		if ctx.Err() != nil {
			return
		}
		pause := wait.next()
		line := fmt.Sprintf("AMQP server on %s is unreachable: %v. Trying again in %d seconds.",
			h.addr(), err, int(math.Ceil(pause.Seconds())))
		if time.Since(logged) > quietFor {
			logged = time.Now()
			l.log.Error(line)
		} else {
			l.log.Debug(line)
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// connect opens both connections of a session.
func (l *Link) connect(ctx context.Context, h brokerHost) (*session, error) {
	s := &session{end: make(chan error, 1)}
	var err error
	if s.recv, s.recvConn, err = l.o.dial(ctx, h, l.vhost); err == nil {
		if s.send, s.sendConn, err = l.o.dial(ctx, h, l.vhost); err != nil {
			s.recvConn.Close()
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state.Peer = h.addr()
	if err != nil {
		l.state.Err = err.Error()
		return nil, err
	}
	return s, nil
}

// hold runs a session to its end and says why it ended.
func (l *Link) hold(ctx context.Context, s *session) error {
	recvClosed := s.recv.NotifyClose(make(chan *amqp.Error, 1))
	sendClosed := s.send.NotifyClose(make(chan *amqp.Error, 1))
	l.begin(s)
	s.running.Go(func() {
		// What was to be sent while the broker was away shall find our queues,
		// which a restart of the broker deletes.
		settled, cancel := context.WithTimeout(ctx, settleLimit)
		defer cancel()
		_ = l.WaitUp(settled) // past the limit sending begins all the same
		l.sender.serve(ctx, s.send, s.sendConn)
	})
	started := map[*subscription]bool{}
	var err error
	for err == nil {
		l.startNew(ctx, s, started)
		select {
		case <-l.added:
		case e := <-recvClosed:
			err = closeReason(e)
		case e := <-sendClosed:
			err = closeReason(e)
		case err = <-s.end:
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	l.mu.Lock()
	l.session = nil
	l.state.Err = err.Error()
	l.noteLocked()
	l.mu.Unlock()
	s.close(ctx.Err() != nil)
	s.running.Wait()
	return err
}

func (l *Link) begin(s *session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.session = s
	l.sessions++
	l.state.Reconnects = l.sessions - 1
	if l.sessions == 1 {
		l.log.Infof("Connected to AMQP server on %s", l.state.Peer)
	} else {
		l.log.Infof("Reconnected to AMQP server on %s", l.state.Peer)
	}
}

// startNew starts the subscriptions that this session does not serve yet.
func (l *Link) startNew(ctx context.Context, s *session, started map[*subscription]bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, sub := range l.subs {
		if started[sub] {
			continue
		}
		started[sub] = true
		sub.running.Add(1)
		s.running.Go(func() {
			defer sub.running.Done()
			sub.serve(ctx, s.recv)
		})
	}
}

// close ends the connections. Only at the end of our own work, when the broker
// is well, there is time for good-byes.
func (s *session) close(politely bool) {
	if politely {
		deadline := time.Now().Add(closeLimit)
		_ = s.recv.CloseDeadline(deadline) // the connections are cut below in any case
		_ = s.send.CloseDeadline(deadline)
	}
	for _, c := range []net.Conn{s.recvConn.Conn, s.sendConn.Conn} {
		c.Close()
	}
}

func closeReason(e *amqp.Error) error {
	if e == nil {
		return errors.New("connection closed")
	}
	return e
}
