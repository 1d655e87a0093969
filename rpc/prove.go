package rpc

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// proofLimit bounds one proof. Together with the interval of 30 s a lost queue
// is noticed within 35 s.
const proofLimit = 5 * time.Second

// prove asks ourselves, again and again, through the broker: a request to each
// server's own queue, whose answer comes by the reply queue. A process can be
// deaf with both connections in best health, when the broker lost a queue or a
// binding and does not know; only a message that arrives proves that messages
// arrive. What fails the proof is repaired by a new session, which declares
// everything again.
func (l *Link) prove(ctx context.Context) {
	if l.o.ProofInterval <= 0 {
		return
	}
	tick := time.NewTicker(l.o.ProofInterval)
	defer tick.Stop()
	var failed *session
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		l.mu.Lock()
		session, up, blocked := l.session, l.state.Up, l.state.Blocked != ""
		l.mu.Unlock()
		if !up || blocked || session == failed {
			continue // known, and being worked on
		}
		err := l.proveOnce(ctx)
		if err == nil || ctx.Err() != nil || l.State().Blocked != "" {
			continue
		}
		failed = session
		select {
		case session.end <- fmt.Errorf("our queues do not work: %w", err):
		default: // it ends already
		}
	}
}

func (l *Link) proveOnce(ctx context.Context) error {
	l.mu.Lock()
	servers := slices.Clone(l.servers)
	l.mu.Unlock()
	proved := false
	for _, s := range servers {
		if isClosed(s.subs[0].stop) {
			continue
		}
		t := s.ownTarget()
		t.Namespace, t.Version = "baseapi", "1.0"
		o := callOptions{timeout: proofLimit, mandatory: true}
		if _, err := l.call(ctx, AdminContext(), t, "ping", map[string]any{"arg": "proof"}, o); err != nil {
			return fmt.Errorf("%s: %w", t.routingKey(), err)
		}
		proved = true
	}
	if proved {
		return nil
	}
	return l.proveReplies(ctx)
}

// proveReplies sends an answer to ourselves, for a link that serves nothing.
func (l *Link) proveReplies(ctx context.Context) error {
	w, msgID := l.waiters.add()
	defer l.waiters.remove(msgID)
	body, err := encodeResult(msgID, "proof")
	if err != nil {
		return err
	}
	sent := make(chan error, 1)
	m := &outgoing{
		key: l.replies.queue.name, body: body, mandatory: true,
		deadline: time.Now().Add(proofLimit), done: func(err error) { sent <- err },
	}
	if err := l.sender.send(ctx, m); err != nil {
		return err
	}
	if _, err := l.await(ctx, w, sent, callOptions{timeout: proofLimit}); err != nil {
		return fmt.Errorf("%s: %w", m.key, err)
	}
	return nil
}
