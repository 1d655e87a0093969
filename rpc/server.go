package rpc

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/sirupsen/logrus"
)

// Server answers what is sent to a topic: to any of its servers, to this host,
// and to all of them.
type Server struct {
	link    *Link
	log     *logrus.Entry
	topic   string
	subs    []*subscription
	builtin []Endpoint // answered at once, however busy the workers are
	own     []Endpoint
	slots   chan struct{} // one element per request being handled
	seen    recent

	stopped    sync.Once
	handlers   sync.WaitGroup // goroutines in handle
	unanswered sync.WaitGroup // requests whose answer the broker does not have yet
	count      atomic.Int64   // the same, as a number
}

// Serve makes a server for a topic. It consumes after Start.
func (l *Link) Serve(topic string, endpoints ...Endpoint) *Server {
	s := &Server{
		link: l, log: l.log.WithField("topic", topic), topic: topic,
		builtin: []Endpoint{baseAPI(l.o.ServiceName)}, own: endpoints,
		slots: make(chan struct{}, l.o.Workers),
	}
	if l.o.PingEnabled {
		s.builtin = append(s.builtin, osloPing())
	}
	fanout := l.o.fanoutQueue(topic, l.queueName(topic+"_fanout"))
	for _, q := range []queue{l.o.topicQueue(topic), l.o.serverQueue(s.ownTarget()), fanout} {
		s.subs = append(s.subs, l.newSubscription(q, s.receive))
	}
	return s
}

// ownTarget reaches this server and no other.
func (s *Server) ownTarget() Target { return Target{Topic: s.topic, Server: s.link.o.Host} }

// Start begins to consume, now or as soon as the broker is there. Call it once.
func (s *Server) Start() { s.link.add(s) }

// Stop ends consumption, and waits until the requests already taken are
// answered or ctx ends. What the broker still holds stays in our own queue, for
// the next process. Call it after Start and before the end of Link.Run; called
// again, it waits on.
func (s *Server) Stop(ctx context.Context) error {
	s.stopped.Do(func() { s.link.remove(s) })
	for _, sub := range s.subs {
		if err := waitGroup(ctx, &sub.running); err != nil {
			return fmt.Errorf("stop consuming %s: %w", sub.queue.name, err)
		}
	}
	if err := waitGroup(ctx, &s.unanswered); err != nil {
		return fmt.Errorf("stop serving %s: %d requests are not answered yet: %w", s.topic, s.count.Load(), err)
	}
	return nil
}

// waitHandlers waits for the handlers that still run.
func (s *Server) waitHandlers(ctx context.Context) error {
	if err := waitGroup(ctx, &s.handlers); err != nil {
		return fmt.Errorf("handlers of %s do not end: %w", s.topic, err)
	}
	return nil
}

func waitGroup(ctx context.Context, wg *sync.WaitGroup) error {
	done := make(chan struct{})
	go func() {
		wg.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// receive takes a message that is acknowledged already.
func (s *Server) receive(ctx context.Context, d *amqp.Delivery) {
	r, err := readRequest(d)
	if err != nil {
		s.log.WithError(err).Warn("Dropped a message that is not a request")
		if r != nil && r.IsCall {
			s.begin()
			s.answer(ctx, r, outcome{err: typeError(err.Error())})
		}
		return
	}
	if s.seen.repeated(r.uniqueID) {
		s.log.WithFields(logrus.Fields{"op": r.Method, "unique_id": r.uniqueID}).Warn("Dropped a request received twice")
		return
	}
	s.begin()
	if h, err := match(s.builtin, r); err == nil {
		s.answer(ctx, r, outcomeOf(ctx, h, r))
		return
	}
	s.handlers.Go(func() { s.handle(ctx, r) })
}

// begin counts a request that answer will settle.
func (s *Server) begin() {
	s.unanswered.Add(1)
	s.count.Add(1)
}

func readRequest(d *amqp.Delivery) (*Request, error) {
	inner, err := innerMessage(d)
	if err != nil {
		return nil, err
	}
	return decodeRequest(inner)
}

// handle runs a request when a worker is free.
func (s *Server) handle(ctx context.Context, r *Request) {
	if r.IsCall && r.monitor > 0 {
		beat, stop := context.WithCancel(ctx)
		beating := make(chan struct{})
		go func() {
			defer close(beating)
			s.signsOfLife(beat, r)
		}()
		defer func() { <-beating }()
		defer stop()
	}
	select {
	case s.slots <- struct{}{}:
	case <-ctx.Done():
		s.answer(ctx, r, outcome{err: ctx.Err()})
		return
	}
	defer func() { <-s.slots }()

	h, err := match(s.own, r)
	if err == nil {
		err = r.decodeContext()
	}
	if err != nil {
		s.log.WithError(err).WithField("op", r.Method).Warn("Refused a request")
		s.answer(ctx, r, outcome{err: err})
		return
	}
	o := outcomeOf(ctx, h, r)
	log := s.log.WithFields(logrus.Fields{"op": r.Method, "request_id": r.Context.RequestID()})
	switch {
	case o.stack != nil:
		log.WithError(o.err).WithField("stack", string(o.stack)).Error("A request handler panicked")
	case o.err != nil && !r.IsCall:
		log.WithError(o.err).Warn("A cast failed")
	case o.err != nil:
		log.WithError(o.err).Debug("A call failed")
	}
	s.answer(ctx, r, o)
}

// outcome is what a handler came to.
type outcome struct {
	result any
	err    error
	stack  []byte // of a panic
}

// outcomeOf runs the handler; its panic is a failure of this request alone.
func outcomeOf(ctx context.Context, h Handler, r *Request) (o outcome) {
	defer func() {
		if p := recover(); p != nil {
			o = outcome{err: fmt.Errorf("internal error in %s: %v", r.Method, p), stack: debug.Stack()}
		}
	}()
	o.result, o.err = h(ctx, r)
	return o
}

// answer sends the outcome of a call; a cast gets no answer. The request counts
// as unanswered until the broker has the answer. answer does not block.
func (s *Server) answer(ctx context.Context, r *Request, o outcome) {
	done := func(error) {
		s.count.Add(-1)
		s.unanswered.Done()
	}
	if !r.IsCall {
		done(nil)
		return
	}
	var body []byte
	err := o.err
	if err == nil {
		body, err = encodeResult(r.msgID, o.result)
	}
	if err != nil {
		body = encodeFailure(r.msgID, failureOf(err))
	}
	m := &outgoing{
		key: r.replyQ, body: body, mandatory: true, retryMissing: true,
		deadline: time.Now().Add(s.link.o.MissingConsumerRetry),
		done: func(err error) {
			s.logUnanswered(r, err)
			done(err)
		},
	}
	if s.link.sender.offer(m) {
		return
	}
	s.handlers.Go(func() { // who calls may be the one who takes messages in
		if err := s.link.sender.send(ctx, m); err != nil {
			m.done(err)
		}
	})
}

// logUnanswered says that a caller waits in vain: once for a queue that went
// missing, quietly for what follows.
func (s *Server) logUnanswered(r *Request, err error) {
	if err == nil {
		return
	}
	log := s.log.WithError(err).WithFields(logrus.Fields{"op": r.Method, "queue": r.replyQ, "msg_id": r.msgID})
	switch {
	case errors.Is(err, errDropped):
		log.Debug("Dropped the reply to a queue that is gone")
	case errors.Is(err, context.Canceled):
		log.Debug("Stopped before the broker had a reply")
	default:
		log.Error("Abandoned a reply")
	}
}

// signsOfLife tells a monitoring caller that the call is still being worked on.
func (s *Server) signsOfLife(ctx context.Context, r *Request) {
	tick := time.NewTicker(r.monitor)
	defer tick.Stop()
	gone := make(chan struct{}, 1)
	for {
		select {
		case <-tick.C:
		case <-gone:
			return
		case <-ctx.Done():
			return
		}
		m := &outgoing{
			key: r.replyQ, body: encodeSignOfLife(r.msgID), mandatory: true,
			deadline: time.Now().Add(r.monitor),
			done: func(err error) {
				if errors.Is(err, ErrUndeliverable) {
					select {
					case gone <- struct{}{}:
					default:
					}
				}
			},
		}
		if s.link.sender.send(ctx, m) != nil {
			return
		}
	}
}

// recent remembers the last 16 requests, as oslo.messaging does. A broker may
// deliver twice what it did not see acknowledged.
type recent struct {
	mu   sync.Mutex
	ids  [16]string
	next int
}

// repeated says whether id is among the last ones, and remembers it.
func (r *recent) repeated(id string) bool {
	if id == "" {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, seen := range r.ids {
		if seen == id {
			return true
		}
	}
	r.ids[r.next] = id
	r.next = (r.next + 1) % len(r.ids)
	return false
}
