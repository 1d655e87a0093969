package rpc

import (
	"math/rand/v2"
	"time"
)

// backoff chooses the waits between attempts to reach the broker. The first is
// short, for a connection that merely broke. The second is spread over the
// whole of max and later ones take about max, so that the agents of a cloud,
// which all lost their broker in the same moment, come back evenly over max and
// none waits longer.
type backoff struct {
	first, max time.Duration
	hosts      int // brokers to try; those of one round follow quickly
	failures   int // attempts that failed since the last success
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
		return b.max - rand.N(b.max/10+1)
	}
}

func (b *backoff) reset() { b.failures = 0 }
