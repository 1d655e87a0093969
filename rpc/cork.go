package rpc

import (
	"net"
	"sync"
)

// corkLimit is what a corked connection holds back at most, in bytes.
const corkLimit = 256 << 10

// corkConn holds writes back between cork and uncork, so that a burst of small
// messages leaves in one write. amqp091 flushes after every message.
type corkConn struct {
	net.Conn

	mu     sync.Mutex
	corked bool
	held   []byte
}

// Write may keep b until uncork; an error shows at the write that sends it.
func (c *corkConn) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.corked {
		return c.Conn.Write(b)
	}
	c.held = append(c.held, b...)
	if len(c.held) >= corkLimit {
		return len(b), c.flushLocked()
	}
	return len(b), nil
}

func (c *corkConn) cork() {
	c.mu.Lock()
	c.corked = true
	c.mu.Unlock()
}

// uncork sends what was held back.
func (c *corkConn) uncork() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.corked = false
	return c.flushLocked()
}

func (c *corkConn) flushLocked() error {
	if len(c.held) == 0 {
		return nil
	}
	_, err := c.Conn.Write(c.held)
	c.held = c.held[:0]
	return err
}
