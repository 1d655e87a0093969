package rpc

import (
	"testing"
	"time"
)

func TestServed(t *testing.T) {
	ctx := within(t, time.Minute)
	asking := run(t, nil).up(t)
	host := "host-" + newHexID()
	target := Target{Topic: "compute", Server: host}
	check := func(when string, want bool) {
		t.Helper()
		if got, err := asking.Served(ctx, target); got != want || err != nil {
			t.Errorf("%s: %v, %v; want %v", when, got, err, want)
		}
	}
	check("before anybody served it", false)

	n := run(t, func(o *Options) { o.Host = host })
	s := n.Serve("compute", echo)
	s.Start()
	n.up(t)
	check("while somebody does", true)
	if err := s.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	check("when that one has stopped", false)

	p := newTap(t)
	if _, err := p.ch.Consume(target.routingKey(), "", true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	check("while a consumer does not answer", false)
}
