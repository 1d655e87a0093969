package rpc

import (
	"math/rand/v2"
	"time"
)

// backoff chooses the waits between attempts to reach the broker. The first is
// short, for a connection that merely broke. The second is spread over the
// whole of max, and later ones take max: so the agents of a cloud, which all
// lost their broker in the same moment, keep trying evenly spread over max, and
// come back that way whenever the broker does. None waits longer.
type backoff struct {
	first, max time.Duration
	hosts      int // brokers to try; those of one round follow quickly
	failures   int // attempts that failed in a row
}

// next is the wait before the next attempt.
func (b *backoff) next() time.Duration {
	round := b.failures / max(b.hosts, 1)
	b.failures++
	switch round {
	case 0:
		return rand.N(min(b.first, b.max))
	case 1:
		return rand.N(b.max)
	default:
		return b.max
	}
}

// lost begins anew after a connection that lasted for d. A short one earns no
// quick attempt; but the next wait is spread again, for many may have lost it
// in the same moment.
func (b *backoff) lost(d time.Duration) {
	b.failures = 0
	if d < b.max {
		b.failures = max(b.hosts, 1)
	}
}
