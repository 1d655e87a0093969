package status

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	stdlog "log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"

	"bolide/agent/audit"
	"bolide/agent/config"
)

// Options make a Server.
type Options struct {
	Path  string // of the socket; required
	Group string // may look, besides root; "" = only root
	// Source and Board are what is looked at; required.
	Source Source
	Board  *Board
	// Config is shown under /v1/config; nil = not.
	Config interface{ Settings() []config.Setting }
	// Metrics is where /metrics reads from, and where the server adds what it
	// makes of the Source; nil = a registry of the server's own.
	Metrics *prometheus.Registry
	// MetricsAddress is where /metrics alone is served over TCP; "" = nowhere. That
	// it cannot be is logged, and no reason to end.
	MetricsAddress string
	// Reload reads the configuration again, for POST /v1/reload; nil = not.
	Reload func() error
	// Images is what /v1/images shows and steers; nil = not.
	Images ImageCache
	// Audit compares what is told of the guests and mends the differences of the
	// kinds, for /v1/audit; nil = not.
	Audit func(ctx context.Context, fix []audit.Kind) (audit.Report, error)
	// Guests and Drainer are what single guests, and /v1/drain, ask; nil = not.
	Guests  Guests
	Drainer Drainer
	// Levels are what /v1/log-level sets; nil = the level of Log's logger.
	Levels Levels
	Log    *logrus.Entry // required

	MaxConns       int           // open at a time, half of them for others than root; default 64
	RequestTimeout time.Duration // for reading, answering and writing one request; default 5 s
	StopTimeout    time.Duration // for what is being answered at the end; default 2 s
}

// Server answers on the socket.
type Server struct {
	opts    Options
	rules   rules
	metrics *prometheus.Registry

	consoles sync.WaitGroup
}

// NewServer makes a Server; Run opens the socket.
func NewServer(o Options) (*Server, error) {
	if o.Path == "" || o.Source == nil || o.Board == nil || o.Log == nil {
		return nil, errors.New("status socket: Path, Source, Board and Log are required")
	}
	o.MaxConns = cmp.Or(o.MaxConns, 64)
	o.RequestTimeout = cmp.Or(o.RequestTimeout, 5*time.Second)
	o.StopTimeout = cmp.Or(o.StopTimeout, 2*time.Second)
	if o.Levels == nil {
		o.Levels = oneLevel{o.Log.Logger}
	}
	s := &Server{opts: o, metrics: o.Metrics}
	if s.metrics == nil {
		s.metrics = prometheus.NewRegistry()
	}
	if err := s.metrics.Register(&sourceCollector{o.Source, o.Board, o.RequestTimeout}); err != nil {
		return nil, fmt.Errorf("status socket: metrics: %w", err)
	}
	var err error
	if s.rules, err = newRules(o.Group); err != nil {
		o.Log.WithError(err).Warn("only root may look at the status socket")
	}
	return s, nil
}

// Run serves until ctx ends, and returns when every connection is closed. An
// error means that the socket could not be opened or was taken away.
func (s *Server) Run(ctx context.Context) error {
	l, err := s.listen()
	if err != nil {
		return fmt.Errorf("status socket %s: %w", s.opts.Path, err)
	}
	logs := s.opts.Log.WriterLevel(logrus.DebugLevel)
	defer logs.Close()
	errorLog := stdlog.New(logs, "", 0)
	srv := &http.Server{
		Handler:           s.handler(),
		ReadHeaderTimeout: s.opts.RequestTimeout,
		ReadTimeout:       s.opts.RequestTimeout,
		WriteTimeout:      2 * s.opts.RequestTimeout,
		IdleTimeout:       6 * s.opts.RequestTimeout,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          errorLog,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, peerKey{}, c.(*conn).peer)
		},
	}
	var wg sync.WaitGroup
	if s.opts.MetricsAddress != "" {
		wg.Go(func() {
			if err := s.serveMetrics(ctx, errorLog); err != nil {
				s.opts.Log.WithError(err).Error("metrics are on the status socket only")
			}
		})
	}
	wg.Go(func() {
		<-ctx.Done()
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.opts.StopTimeout)
		defer cancel()
		if srv.Shutdown(stop) != nil {
			_ = srv.Close() // whoever is still connected has had their time
		}
	})
	err = srv.Serve(l)
	if ctx.Err() != nil {
		wg.Wait()
		s.consoles.Wait()
		return nil
	}
	_ = srv.Close()
	return fmt.Errorf("status socket %s: %w", s.opts.Path, err)
}

// listen makes the socket, in place of one that nobody answers any more.
func (s *Server) listen() (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(s.opts.Path), 0o755); err != nil {
		return nil, err
	}
	if err := removeStale(s.opts.Path); err != nil {
		return nil, err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: s.opts.Path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	// The kernel lets in whom the file's mode does; readPeer looks again.
	mode := os.FileMode(0o600)
	if s.rules.gid >= 0 {
		if err := os.Chown(s.opts.Path, -1, s.rules.gid); err != nil {
			s.opts.Log.WithError(err).Warn("only root may look at the status socket")
		} else {
			mode = 0o660
		}
	}
	if err := os.Chmod(s.opts.Path, mode); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return newGate(l, s.opts.MaxConns, s.rules), nil
}

// removeStale deletes a socket that was left behind. One that answers belongs
// to a running daemon, and another kind of file to somebody else.
func removeStale(path string) error {
	st, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case st.Mode().Type() != fs.ModeSocket:
		return errors.New("exists and is not a socket")
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		return errors.Join(errors.New("another daemon answers there"), c.Close())
	}
	return os.Remove(path)
}

// gate lets connections in: no more than max, and of users other than root and
// the daemon's own no more than half, so that they cannot keep root out.
type gate struct {
	*net.UnixListener
	rules rules

	mu          sync.Mutex
	free        int // connections left
	freeForRest int // of them, for other users
}

func newGate(l *net.UnixListener, most int, r rules) *gate {
	return &gate{UnixListener: l, rules: r, free: most, freeForRest: (most + 1) / 2}
}

// Accept implements net.Listener.
func (g *gate) Accept() (net.Conn, error) {
	for {
		c, err := g.AcceptUnix()
		if err != nil {
			return nil, err
		}
		p, err := readPeer(c)
		if err == nil && g.take(p) {
			return &conn{UnixConn: c, peer: p, gate: g}, nil
		}
		_ = c.Close() // gone already, or one too many
	}
}

func (g *gate) take(p peer) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	rest := !g.rules.mayAct(p)
	if g.free == 0 || rest && g.freeForRest == 0 {
		return false
	}
	g.free--
	if rest {
		g.freeForRest--
	}
	return true
}

func (g *gate) give(p peer) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.free++
	if !g.rules.mayAct(p) {
		g.freeForRest++
	}
}

// conn is a connection that gives its place back when closed.
type conn struct {
	*net.UnixConn
	peer peer
	gate *gate
	once sync.Once
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.once.Do(func() { c.gate.give(c.peer) })
	return c.UnixConn.Close()
}
