package status

import (
	"context"
	"fmt"
	stdlog "log"
	"net"
	"net/http"
	"sync"
)

// metricsConns is how many connections the metrics' TCP address takes at a time.
const metricsConns = 16

// serveMetrics serves /metrics, and nothing else, on the TCP address until ctx
// ends. Nobody is asked who they are there: metrics name no instances and hold no
// secrets, and the address is the administrator's to choose.
func (s *Server) serveMetrics(ctx context.Context, logs *stdlog.Logger) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", s.opts.MetricsAddress)
	if err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", s.metricsHandler())
	srv := &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: s.opts.RequestTimeout,
		ReadTimeout:       s.opts.RequestTimeout,
		WriteTimeout:      2 * s.opts.RequestTimeout,
		IdleTimeout:       12 * s.opts.RequestTimeout, // scrapes come once a minute
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          logs,
	}
	defer context.AfterFunc(ctx, func() { _ = srv.Close() })()
	err = srv.Serve(&fewConns{Listener: l, places: make(chan struct{}, metricsConns)})
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("metrics: %w", err)
}

// fewConns closes connections that are too many at once.
type fewConns struct {
	net.Listener
	places chan struct{}
}

// Accept implements net.Listener.
func (l *fewConns) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		select {
		case l.places <- struct{}{}:
			return &placedConn{Conn: c, leave: sync.OnceFunc(func() { <-l.places })}, nil
		default:
			_ = c.Close()
		}
	}
}

// placedConn gives its place back when closed.
type placedConn struct {
	net.Conn
	leave func()
}

// Close implements net.Conn.
func (c *placedConn) Close() error {
	c.leave()
	return c.Conn.Close()
}
