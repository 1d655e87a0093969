package rpc

import (
	"context"
	"errors"
	"fmt"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// presenceLimit is how long a server may take to answer that it is there.
const presenceLimit = 5 * time.Second

// Served reports whether somebody else serves the target's own queue now: whether it has a consumer, and whether that
// answers. The broker may believe for minutes in a consumer whose host has lost its power. Call it before serving the
// target, with a link that is up.
func (l *Link) Served(ctx context.Context, t Target) (bool, error) {
	consumed, err := l.consumed(t.routingKey())
	if err != nil || !consumed {
		return false, err
	}
	t.Namespace, t.Version = "baseapi", "1.0"
	o := callOptions{timeout: presenceLimit, mandatory: true}
	_, err = l.call(ctx, AdminContext(), t, "ping", map[string]any{"arg": "presence"}, o)
	switch _, refused := errors.AsType[*RemoteError](err); {
	case err == nil, refused: // whoever refuses is there
		return true, nil
	case errors.Is(err, ErrTimeout), errors.Is(err, ErrUndeliverable):
		return false, nil
	}
	return false, fmt.Errorf("ask who serves %s: %w", t.routingKey(), err)
}

// consumed reports whether a queue is there and has a consumer.
func (l *Link) consumed(queue string) (bool, error) {
	l.mu.Lock()
	s := l.session
	l.mu.Unlock()
	if s == nil {
		return false, fmt.Errorf("inspect queue %s: %w", queue, ErrTimeout)
	}
	ch, err := s.send.Channel()
	if err != nil {
		return false, fmt.Errorf("inspect queue %s: %w", queue, err)
	}
	defer ch.Close()
	q, err := ch.QueueDeclarePassive(queue, false, false, false, false, nil)
	if e, ok := errors.AsType[*amqp.Error](err); ok && e.Code == amqp.NotFound {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("inspect queue %s: %w", queue, err)
	}
	return q.Consumers > 0, nil
}
