package rpc

import (
	"flag"
	"fmt"
	"net"
	"testing"
	"time"
)

// storm asks for the test that waits for longer than the longest wait.
var storm = flag.Bool("storm", false, "have the agents of a cloud lose their broker")

// TestStorm takes the broker away from many agents for a while, and counts when they
// come to it after its return. They are evenly spread over ReconnectMax: a tenth of
// them is expected in each of its ten seconds. That is the least that the fullest
// second can have where all are back in ten; chance puts some more into it, but a
// quarter in not one of a million runs. What comes is counted and not served, so that
// it is the agents' spread that is measured, not a busy broker's.
func TestStorm(t *testing.T) {
	if !*storm {
		t.Skip("part of the long form: -storm")
	}
	const agents, most = 200, 50
	broker, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := broker.Addr().String()
	if err := broker.Close(); err != nil {
		t.Fatal(err)
	}
	nodes := make([]*node, agents)
	for i := range nodes {
		nodes[i] = run(t, func(o *Options) { o.TransportURL = "rabbit://guest:guest@" + address + "/" })
	}
	time.Sleep(DefaultOptions().ReconnectMax + 3*time.Second) // how long the broker is away
	if broker, err = net.Listen("tcp", address); err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	returned := time.Now()
	var seconds [60]int
	fullest := 0
	for range agents {
		if err := broker.(*net.TCPListener).SetDeadline(returned.Add(time.Duration(len(seconds)) * time.Second)); err != nil {
			t.Fatal(err)
		}
		c, err := broker.Accept()
		if err != nil {
			t.Fatalf("not all agents come back: %v; by second: %v", err, seconds)
		}
		defer c.Close() // until then its agent waits, and does not come again
		second := int(time.Since(returned) / time.Second)
		seconds[second]++
		fullest = max(fullest, seconds[second])
	}
	took := time.Since(returned)
	fmt.Printf("fault: %-58s %8s  %d of them in the fullest second\n",
		fmt.Sprintf("broker of %d agents away, all of them are back", agents), took.Round(10*time.Millisecond), fullest)
	t.Logf("agents by second: %v", seconds[:int(took/time.Second)+1])
	if fullest > most {
		t.Errorf("%d of %d agents in one second, want %d at most", fullest, agents, most)
	}
	if limit := DefaultOptions().ReconnectMax + 5*time.Second; took > limit {
		t.Errorf("all agents are back after %s, want %s at most", took, limit)
	}
}
