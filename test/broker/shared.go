package broker

import (
	"sync"
	"testing"
)

// Shared is a broker that the first test to ask for it boots.
type Shared struct {
	Options Options

	once sync.Once
	b    *Broker
	err  error
}

// Get returns the broker, booting it the first time.
func (s *Shared) Get(tb testing.TB) *Broker {
	tb.Helper()
	s.once.Do(func() { s.b, s.err = Launch(s.Options) })
	if s.err != nil {
		tb.Fatal(s.err)
	}
	return s.b
}

// Close ends the broker, if any; call it at the end of TestMain.
func (s *Shared) Close() {
	if s.b != nil {
		s.b.Close()
	}
}
