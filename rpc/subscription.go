package rpc

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/sirupsen/logrus"
)

// maxBatch bounds the deliveries acknowledged with one frame.
const maxBatch = 64

// subscription consumes one queue, on an AMQP channel of its own, so that
// trouble with one queue leaves the others alone.
type subscription struct {
	queue    queue
	prefetch int
	delay    time.Duration // bounds the wait before a lost queue is declared again
	log      *logrus.Entry
	// deliver takes a message that is already acknowledged. It must not block
	// for long. ctx is the Link's.
	deliver func(ctx context.Context, d *amqp.Delivery)
	// changed is called when consuming begins or ends.
	changed func()

	consuming atomic.Bool
	stop      chan struct{} // closed to end for good
	running   sync.WaitGroup
	offset    atomic.Int64 // of a stream: the next message, 0 if none was seen
}

// serve consumes until conn or ctx ends or the subscription is stopped. A
// queue that is lost is declared again.
func (s *subscription) serve(ctx context.Context, conn *amqp.Connection) {
	closed := conn.NotifyClose(make(chan *amqp.Error, 1))
	wait := s.delay
	for {
		began := time.Now()
		err := s.consume(ctx, conn)
		switch {
		case ctx.Err() != nil || conn.IsClosed() || isClosed(s.stop):
			return
		case time.Since(began) > time.Minute:
			wait = s.delay
		}
		s.log.WithError(err).Warn("Lost a queue of the AMQP server, declaring it again")
		timer := time.NewTimer(rand.N(wait + 1))
		select {
		case <-timer.C:
		case <-closed: //nolint:errcheck // why it closed is known
		case <-s.stop:
		case <-ctx.Done():
		}
		timer.Stop()
		wait = min(max(2*wait, 500*time.Millisecond), 10*time.Second)
	}
}

// consume declares the queue and takes its messages until something ends.
func (s *subscription) consume(ctx context.Context, conn *amqp.Connection) error {
	d := &declarer{conn: conn, log: s.log}
	defer d.close()
	if err := d.queue(s.queue); err != nil {
		return err
	}
	ch, err := d.channel()
	if err != nil {
		return fmt.Errorf("open channel: %w", err)
	}
	if s.prefetch > 0 {
		if err := ch.Qos(s.prefetch, 0, false); err != nil {
			return fmt.Errorf("set prefetch count: %w", err)
		}
	}
	closed := ch.NotifyClose(make(chan *amqp.Error, 1))
	deliveries, err := ch.Consume(s.queue.name, "", false, false, false, false, s.consumeArgs())
	if err != nil {
		return fmt.Errorf("consume queue %s: %w", s.queue.name, err)
	}
	s.setConsuming(true)
	defer s.setConsuming(false)
	for {
		select {
		case d, ok := <-deliveries:
			if !ok {
				return lostBecause(closed)
			}
			if err := s.take(ctx, ch, d, deliveries); err != nil {
				return err
			}
		case <-s.stop:
			if s.queue.deleteAtStop {
				_, _ = ch.QueueDelete(s.queue.name, false, false, false) // it expires anyway
			}
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// take acknowledges a message and those that already wait behind it with one
// frame, and then hands them out. The order matters: a request that crashes us
// must not come back. A message whose acknowledgement fails will come back, so
// it is not handed out.
func (s *subscription) take(ctx context.Context, ch *amqp.Channel, first amqp.Delivery, more <-chan amqp.Delivery) error {
	batch := append(make([]amqp.Delivery, 0, 8), first)
	for len(batch) < maxBatch {
		d, ok := waiting(more)
		if !ok {
			break
		}
		batch = append(batch, d)
	}
	last := &batch[len(batch)-1]
	if err := ch.Ack(last.DeliveryTag, true); err != nil {
		return fmt.Errorf("acknowledge: %w", err)
	}
	if n, ok := last.Headers["x-stream-offset"].(int64); ok {
		s.offset.Store(n + 1)
	}
	for i := range batch {
		s.deliver(ctx, &batch[i])
	}
	return nil
}

// waiting returns a delivery that is there already. amqp091 hands deliveries
// over one by one, so its goroutines get a chance to bring the next: on a busy
// node this makes one acknowledgement out of many, and that is most of what a
// small call costs.
func waiting(deliveries <-chan amqp.Delivery) (d amqp.Delivery, ok bool) {
	for range 2 {
		select {
		case d, ok = <-deliveries:
			return d, ok
		default:
			runtime.Gosched()
		}
	}
	return d, false
}

// consumeArgs let a stream go on where it was left. On a queue that is ours
// alone the latest consumer takes everything: after a network failure the
// broker may believe for minutes in a consumer of an earlier connection, and
// would give it every second message.
func (s *subscription) consumeArgs() amqp.Table {
	args := maps.Clone(s.queue.consumerArgs)
	if args == nil {
		args = amqp.Table{}
	}
	switch {
	case s.queue.args["x-queue-type"] == "stream" && s.offset.Load() > 0:
		args["x-stream-offset"] = s.offset.Load()
	case s.queue.args["x-queue-type"] == "stream":
		args["x-stream-offset"] = "last"
	case s.queue.ours:
		args["x-priority"] = time.Now().Unix()
	}
	return args
}

func (s *subscription) setConsuming(on bool) {
	s.consuming.Store(on)
	s.changed()
}

// lostBecause says why deliveries ended.
func lostBecause(closed <-chan *amqp.Error) error {
	select {
	case e := <-closed:
		if e != nil {
			return e
		}
	default:
	}
	return errors.New("the broker cancelled the consumer")
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
