// Package rpc speaks oslo.messaging's RPC over RabbitMQ, both as a server and
// as a client, so that unmodified OpenStack services find in Bolide the peer
// they know. It follows oslo.messaging's rabbit driver; envelope, request,
// reply and failure are the same from Zed on.
//
// A Link owns the way to the broker: one AMQP connection to receive on and one
// to send on, so that a broker that blocks publishers never keeps us from
// acknowledging. Nothing else in the process talks AMQP. Link.Run drives
//
//   - the reconnect loop (one goroutine), which for each session starts
//   - one goroutine per queue consumed (a subscription) and
//   - one goroutine that publishes, counts confirms and keeps what the broker
//     has not confirmed, to send it again after a reconnect (the sender), and
//   - the proof loop, which every 30 s sends a request through the own queues
//     and back, and asks for a new session when it does not arrive.
//
// Each request runs in its own goroutine, at most Options.Workers at a time;
// Server.Stop and Link.Run wait for them.
//
// amqp091's own connection recovery is not used: the Link is the one owner.
package rpc

import (
	"errors"

	"github.com/google/uuid"
)

// ErrTimeout is the end of a call that got no answer in time
// (MessagingTimeout in oslo.messaging).
var ErrTimeout = errors.New("timed out waiting for a reply")

// ErrUndeliverable means that the broker knows no queue for the message.
var ErrUndeliverable = errors.New("no queue for the message")

// newHexID is a random identifier as Python's uuid4().hex prints it.
func newHexID() string {
	id := uuid.New()
	const digits = "0123456789abcdef"
	var out [32]byte
	for i, b := range id {
		out[2*i], out[2*i+1] = digits[b>>4], digits[b&15]
	}
	return string(out[:])
}
