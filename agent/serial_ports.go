package agent

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"

	"bolide/agent/guest"
	"bolide/rpc/nova"
)

// serialPorts hands out the TCP ports on which guests serve their serial consoles. What a guest of an earlier run
// holds is found by trying. Its methods are safe for concurrent use.
type serialPorts struct {
	mu    sync.Mutex
	owner map[int]string // instance by port
}

// take gives the instance n ports of the range at the address, in place of those it had.
func (s *serialPorts) take(instance, address, portRange string, n int) ([]int, error) {
	first, last, err := parsePortRange(portRange)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.owner == nil {
		s.owner = map[int]string{}
	}
	s.dropLocked(instance)
	var ports []int
	for p := first; p < last && len(ports) < n; p++ {
		if _, taken := s.owner[p]; !taken && free(address, p) {
			ports = append(ports, p)
		}
	}
	if len(ports) < n {
		return nil, nova.NewError("SocketPortRangeExhaustedException", map[string]any{"host": address})
	}
	for _, p := range ports {
		s.owner[p] = instance
	}
	return ports, nil
}

// drop takes the instance's ports back.
func (s *serialPorts) drop(instance string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropLocked(instance)
}

func (s *serialPorts) dropLocked(instance string) {
	for p, owner := range s.owner {
		if owner == instance {
			delete(s.owner, p)
		}
	}
}

// free tries whether anybody listens on the port.
func free(address string, port int) bool {
	l, err := net.Listen("tcp", net.JoinHostPort(address, strconv.Itoa(port)))
	if err != nil {
		return false
	}
	return l.Close() == nil
}

// parsePortRange reads "first:last", of which the last does not belong to the range, as Nova has it.
func parsePortRange(s string) (first, last int, err error) {
	a, b, ok := strings.Cut(s, ":")
	first, errA := strconv.Atoi(a)
	last, errB := strconv.Atoi(b)
	if !ok || errA != nil || errB != nil || first < 1 || last <= first || last > 65536 {
		return 0, 0, fmt.Errorf("[serial_console] port_range %q is not FIRST:LAST", s)
	}
	return first, last, nil
}

// giveSerialPorts gives the guest the ports that its serial consoles need.
func (s *spawn) giveSerialPorts(r *guest.Request) error {
	n, err := guest.SerialPortCount(*r)
	if err != nil || n == 0 {
		return err
	}
	c := s.cfg.Serial
	r.SerialPorts, err = s.serials.take(s.inst.UUID(), c.ProxyclientAddress, c.PortRange, n)
	return err
}
