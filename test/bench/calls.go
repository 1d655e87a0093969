package bench

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	amqp "github.com/rabbitmq/amqp091-go"
)

// callTimeout bounds how long the bench waits for the next reply.
const callTimeout = 30 * time.Second

// Calls is a run of RPC calls.
type Calls struct {
	PerSecond float64
	Durations Durations
}

// call makes calls of oslo.messaging's ping with so many under way at a time.
func (t Target) call(ctx context.Context, calls, window int) (Calls, error) {
	c, err := newCaller(t)
	if err != nil {
		return Calls{}, fmt.Errorf("call %s: %w", t.Host, err)
	}
	defer func() { _ = c.conn.Close() }()
	start := time.Now()
	for range min(window, calls) {
		if err := c.send(ctx); err != nil {
			return Calls{}, err
		}
	}
	var took Durations
	for len(took) < calls {
		d, err := c.receive(ctx)
		if err != nil {
			return Calls{}, fmt.Errorf("call %s: %w", t.Host, err)
		}
		took = append(took, d)
		if len(took)+len(c.sent) < calls {
			if err := c.send(ctx); err != nil {
				return Calls{}, err
			}
		}
	}
	return Calls{PerSecond: float64(calls) / time.Since(start).Seconds(), Durations: took}, nil
}

// caller is the client's side of oslo.messaging, as little as a ping needs.
type caller struct {
	conn           *amqp.Connection
	channel        *amqp.Channel
	exchange, host string // where the requests go
	queue          string // for the replies
	replies        <-chan amqp.Delivery
	sent           map[string]time.Time // by message id
}

func newCaller(t Target) (*caller, error) {
	conn, err := amqp.Dial(t.Broker)
	if err != nil {
		return nil, err
	}
	c := &caller{conn: conn, exchange: cmp.Or(t.exchange, "nova"), host: t.Host, queue: "reply_" + hex(), sent: map[string]time.Time{}}
	if err := c.open(); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return c, nil
}

func (c *caller) open() (err error) {
	if c.channel, err = c.conn.Channel(); err != nil {
		return err
	}
	if _, err = c.channel.QueueDeclare(c.queue, false, true, false, false, nil); err != nil {
		return err
	}
	c.replies, err = c.channel.Consume(c.queue, "", true, true, false, false, nil)
	return err
}

func hex() string {
	id := uuid.New()
	return fmt.Sprintf("%x", id[:])
}

func (c *caller) send(ctx context.Context) error {
	id := hex()
	inner, err := json.Marshal(map[string]any{
		"method": "ping", "namespace": "baseapi", "version": "1.0", "args": map[string]any{"arg": "x"},
		"_msg_id": id, "_reply_q": c.queue, "_timeout": nil, "_unique_id": hex(),
		"_context_request_id": "req-" + uuid.NewString(), "_context_is_admin": true, "_context_user": nil,
		"_context_roles": []string{}, "_context_service_catalog": []string{},
	})
	if err != nil {
		return err
	}
	body, err := json.Marshal(map[string]string{"oslo.version": "2.0", "oslo.message": string(inner)})
	if err != nil {
		return err
	}
	c.sent[id] = time.Now()
	return c.channel.PublishWithContext(ctx, c.exchange, "compute."+c.host, false, false, amqp.Publishing{
		ContentType: "application/json", ContentEncoding: "utf-8", DeliveryMode: amqp.Persistent, Body: body,
	})
}

// receive waits for the next reply and returns how long its call took.
func (c *caller) receive(ctx context.Context) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	for {
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("no reply for %s: %w", callTimeout, ctx.Err())
		case d, ok := <-c.replies:
			if !ok {
				return 0, errors.New("the broker closed the connection")
			}
			reply, err := parseReply(d.Body)
			if err != nil {
				return 0, err
			}
			began, ours := c.sent[reply.ID]
			if !ours || !reply.Ending {
				continue
			}
			delete(c.sent, reply.ID)
			return time.Since(began), nil
		}
	}
}

type reply struct {
	ID      string  `json:"_msg_id"`
	Ending  bool    `json:"ending"`
	Failure *string `json:"failure"`
}

func parseReply(body []byte) (reply, error) {
	var envelope struct {
		Message string `json:"oslo.message"`
	}
	var r reply
	if err := json.Unmarshal(body, &envelope); err != nil {
		return r, fmt.Errorf("parse envelope: %w", err)
	}
	if err := json.Unmarshal([]byte(envelope.Message), &r); err != nil {
		return r, fmt.Errorf("parse reply: %w", err)
	}
	if r.Failure != nil {
		return r, fmt.Errorf("call failed: %s", *r.Failure)
	}
	return r, nil
}

// waitConsumers waits until something consumes the host's requests, or, for 0,
// until nothing does any more.
func waitConsumers(ctx context.Context, broker, host string, want int) error {
	conn, err := amqp.Dial(broker)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for {
		n, err := consumers(conn, "compute."+host)
		if err != nil {
			return err
		}
		if min(n, 1) == want {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("queue compute.%s has %d consumers: %w", host, n, ctx.Err())
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// consumers returns how many consumers a queue has; 0 when there is no queue.
func consumers(conn *amqp.Connection, queue string) (int, error) {
	channel, err := conn.Channel() // a new one: the broker closes it if the queue is not there
	if err != nil {
		return 0, err
	}
	defer func() { _ = channel.Close() }()
	q, err := channel.QueueDeclarePassive(queue, false, false, false, false, nil)
	var refusal *amqp.Error
	if errors.As(err, &refusal) && refusal.Code == amqp.NotFound {
		return 0, nil
	}
	return q.Consumers, err
}
