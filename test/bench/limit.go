package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"
)

// Limit is what the broker, and the measuring itself, allow on this machine.
type Limit struct{ One, Many Calls }

// limitHost is the host that the calls of MeasureLimit go to; no node has this name.
const limitHost = "bench-limit"

// MeasureLimit makes the same calls as Run, which a few lines in this process answer: without a context, a dispatcher,
// an acknowledgement that the reply waits for, or a second process. No node can be faster.
func MeasureLimit(ctx context.Context, broker string, o Options) (l Limit, err error) {
	e, err := startEcho(broker)
	if err != nil {
		return l, fmt.Errorf("measure the limit: %w", err)
	}
	defer func() { err = errors.Join(err, e.stop()) }()
	t := Target{Broker: broker, Host: limitHost, exchange: "amq.topic"}
	if l.One, err = t.call(ctx, o.Calls, 1); err != nil {
		return l, err
	}
	l.Many, err = t.call(ctx, o.Calls, 32)
	return l, err
}

// echo answers calls until it is stopped.
type echo struct {
	conn *amqp.Connection
	done chan error
}

func startEcho(broker string) (*echo, error) {
	conn, err := amqp.Dial(broker)
	if err != nil {
		return nil, err
	}
	e := &echo{conn: conn, done: make(chan error, 1)}
	channel, requests, err := e.listen()
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	go func() { e.done <- answer(channel, requests) }()
	return e, nil
}

func (e *echo) listen() (*amqp.Channel, <-chan amqp.Delivery, error) {
	channel, err := e.conn.Channel()
	if err != nil {
		return nil, nil, err
	}
	q, err := channel.QueueDeclare("compute."+limitHost, false, true, true, false, nil)
	if err != nil {
		return nil, nil, err
	}
	if err := channel.QueueBind(q.Name, q.Name, "amq.topic", false, nil); err != nil {
		return nil, nil, err
	}
	requests, err := channel.Consume(q.Name, "", true, true, false, false, nil)
	return channel, requests, err
}

// answer ends with the connection.
func answer(channel *amqp.Channel, requests <-chan amqp.Delivery) error {
	for d := range requests {
		var envelope struct {
			Message string `json:"oslo.message"`
		}
		var request struct {
			ID    string `json:"_msg_id"`
			Queue string `json:"_reply_q"`
		}
		if err := json.Unmarshal(d.Body, &envelope); err != nil {
			return err
		}
		if err := json.Unmarshal([]byte(envelope.Message), &request); err != nil {
			return err
		}
		inner, err := json.Marshal(map[string]any{"_msg_id": request.ID, "ending": true, "result": "x", "failure": nil})
		if err != nil {
			return err
		}
		body, err := json.Marshal(map[string]string{"oslo.version": "2.0", "oslo.message": string(inner)})
		if err != nil {
			return err
		}
		err = channel.PublishWithContext(context.Background(), "", request.Queue, false, false, amqp.Publishing{ContentType: "application/json", Body: body})
		if err != nil {
			return err
		}
	}
	return nil
}

func (e *echo) stop() error {
	return errors.Join(e.conn.Close(), <-e.done)
}
