package agent

import (
	"fmt"
	"net"
	"testing"

	"bolide/rpc/nova"
)

func TestSerialPorts(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	first := busy.Addr().(*net.TCPAddr).Port
	some := fmt.Sprintf("%d:%d", first, first+3) // the first is taken by another program
	var s serialPorts
	a, err := s.take("a", "127.0.0.1", some, 1)
	if err != nil || a[0] <= first {
		t.Fatalf("ports %v, %v; %d is not free", a, err, first)
	}
	again, err := s.take("a", "127.0.0.1", some, 1)
	if err != nil || again[0] != a[0] {
		t.Errorf("taken again: %v, %v", again, err)
	}
	if _, err := s.take("b", "127.0.0.1", some, 2); !nova.Is(err, "SocketPortRangeExhaustedException") {
		t.Errorf("more than there are: %v", err)
	}
	s.drop("a")
	if b, err := s.take("b", "127.0.0.1", some, 2); err != nil || len(b) != 2 {
		t.Errorf("after they were given back: %v, %v", b, err)
	}
}

func TestParsePortRange(t *testing.T) {
	for s, ok := range map[string]bool{"10000:20000": true, "1:2": true, "5:5": false, "9": false, "a:b": false, "0:10": false, "1:70000": false} {
		if _, _, err := parsePortRange(s); (err == nil) != ok {
			t.Errorf("%q: %v", s, err)
		}
	}
}
