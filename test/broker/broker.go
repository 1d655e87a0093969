// Package broker runs a private RabbitMQ for tests: its own ports, Erlang node
// name, cookie, directories and epmd, all on the loopback. It needs neither
// systemd nor root, and leaves a broker of the system alone.
//
// One broker serves a whole test package, because RabbitMQ takes seconds to
// boot:
//
//	var rabbit broker.Shared
//
//	func TestMain(m *testing.M) {
//		code := m.Run()
//		rabbit.Close()
//		os.Exit(code)
//	}
//
//	func TestX(t *testing.T) { url := rabbit.Get(t).URL() }
//
// A Broker owns two child processes (epmd and the Erlang VM) and one goroutine
// per child that reaps it; Stop ends and reaps both.
package broker

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// bootLimit bounds the wait for a broker to accept connections, on the busiest machine.
const bootLimit = 5 * time.Minute

// serverScript is RabbitMQ's own start script; the wrapper in the path insists
// on the user rabbitmq and the system's directories.
const serverScript = "/usr/lib/rabbitmq/bin/rabbitmq-server"

// Options of a private broker; the zero value is fine.
type Options struct {
	// Config is appended to rabbitmq.conf, one "key = value" per line.
	Config string
	// TLS adds a listener with a certificate for "localhost", see Broker.TLS.
	TLS bool
}

// Broker is one private RabbitMQ node. Its methods are for one goroutine at a time.
type Broker struct {
	dir      string
	node     string
	cookie   string
	port     int
	distPort int
	epmdPort int
	tls      *tlsListener
	config   string

	epmd   *process
	server *process
}

// Start boots a broker for one test and stops it when the test ends.
func Start(tb testing.TB, o Options) *Broker {
	tb.Helper()
	b, err := Launch(o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { b.Close() })
	return b
}

// Launch boots a broker and waits until it accepts connections.
// The caller must Close it.
func Launch(o Options) (*Broker, error) {
	if _, err := os.Stat(serverScript); err != nil {
		return nil, fmt.Errorf("find rabbitmq-server: %w", err)
	}
	dir, err := os.MkdirTemp("", "broker-")
	if err != nil {
		return nil, err
	}
	b := &Broker{dir: dir, node: "test" + token(4) + "@localhost", cookie: token(10), config: o.Config}
	if err := b.boot(o); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

func (b *Broker) boot(o Options) error {
	ports, err := freePorts(4)
	if err != nil {
		return err
	}
	b.port, b.distPort, b.epmdPort = ports[0], ports[1], ports[2]
	if o.TLS {
		if b.tls, err = newTLSListener(b.dir, ports[3]); err != nil {
			return err
		}
	}
	if err := b.prepare(); err != nil {
		return err
	}
	return b.Start()
}

// URL is the transport_url of the broker.
func (b *Broker) URL() string {
	return fmt.Sprintf("rabbit://guest:guest@%s/", b.Addr())
}

// Addr is HOST:PORT of the plain listener.
func (b *Broker) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(b.port)) }

// Dial opens an AMQP connection of the test's own.
func (b *Broker) Dial() (*amqp.Connection, error) {
	return amqp.Dial(fmt.Sprintf("amqp://guest:guest@%s/", b.Addr()))
}

// Start boots the stopped broker and waits until it accepts connections.
func (b *Broker) Start() error {
	var err error
	if b.epmd == nil {
		epmd := exec.Command("epmd", "-address", "127.0.0.1", "-port", strconv.Itoa(b.epmdPort))
		epmd.Env = b.env()
		if b.epmd, err = spawn(epmd, filepath.Join(b.dir, "epmd.log")); err != nil {
			return err
		}
	}
	server := exec.Command(serverScript)
	server.Env = b.env()
	if b.server, err = spawn(server, filepath.Join(b.dir, "server.log")); err != nil {
		return err
	}
	return b.waitReady()
}

// Stop ends the broker the way its init script would: clients see their
// connections closed by the server.
func (b *Broker) Stop() error {
	if b.server == nil {
		return nil
	}
	err := b.server.end(syscall.SIGTERM, 30*time.Second)
	b.server = nil
	return err
}

// Kill ends the broker at once, as a crash would.
func (b *Broker) Kill() error {
	if b.server == nil {
		return nil
	}
	err := b.server.end(syscall.SIGKILL, 10*time.Second)
	b.server = nil
	return err
}

// Freeze stops the broker's process without closing its sockets; Thaw lets it
// go on.
func (b *Broker) Freeze() error { return b.server.signal(syscall.SIGSTOP) }

// Thaw undoes Freeze.
func (b *Broker) Thaw() error { return b.server.signal(syscall.SIGCONT) }

// Restart stops and boots the broker; transient queues are gone afterwards.
func (b *Broker) Restart() error {
	if err := b.Stop(); err != nil {
		return err
	}
	return b.Start()
}

// Close ends everything and removes the broker's directory.
func (b *Broker) Close() error {
	err := b.Kill()
	if b.epmd != nil {
		err = errors.Join(err, b.epmd.end(syscall.SIGKILL, 10*time.Second))
		b.epmd = nil
	}
	return errors.Join(err, os.RemoveAll(b.dir))
}

func (b *Broker) prepare() error {
	conf := []string{
		"loopback_users = none",
		"log.console = false",
		"vm_memory_high_watermark.absolute = 2GB",
		"disk_free_limit.absolute = 1MB",
	}
	conf = append(conf, b.tls.config()...)
	files := map[string]string{
		"rabbitmq.conf":   strings.Join(conf, "\n") + "\n" + b.config + "\n",
		"enabled_plugins": "[].\n",
		".erlang.cookie":  b.cookie,
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(b.dir, name), []byte(text), 0o400); err != nil {
			return err
		}
	}
	return nil
}

func (b *Broker) env() []string {
	in := func(name string) string { return filepath.Join(b.dir, name) }
	return []string{
		"PATH=" + os.Getenv("PATH"),
		"LC_ALL=C.UTF-8",
		"HOME=" + b.dir,
		"ERL_EPMD_PORT=" + strconv.Itoa(b.epmdPort),
		"ERL_EPMD_ADDRESS=127.0.0.1",
		"ERL_CRASH_DUMP=" + in("crash.dump"),
		"RABBITMQ_NODENAME=" + b.node,
		"RABBITMQ_NODE_IP_ADDRESS=127.0.0.1",
		"RABBITMQ_NODE_PORT=" + strconv.Itoa(b.port),
		"RABBITMQ_DIST_PORT=" + strconv.Itoa(b.distPort),
		"RABBITMQ_CONF_ENV_FILE=/dev/null",
		"RABBITMQ_CONFIG_FILE=" + in("rabbitmq"),
		"RABBITMQ_ENABLED_PLUGINS_FILE=" + in("enabled_plugins"),
		"RABBITMQ_MNESIA_BASE=" + in("mnesia"),
		"RABBITMQ_LOG_BASE=" + in("log"),
		"RABBITMQ_PID_FILE=" + in("pid"),
		// Without a shell in between, the Erlang VM itself is our child.
		"RABBITMQ_ALLOW_INPUT=true",
		"RABBITMQ_SERVER_START_ARGS=-noinput",
		"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel inet_dist_use_interface {127,0,0,1} +S 2:2",
	}
}

func (b *Broker) waitReady() error {
	ctx, cancel := context.WithTimeout(context.Background(), bootLimit)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		c, err := b.Dial()
		if err == nil {
			return c.Close()
		}
		select {
		case <-tick.C:
		case <-b.server.done:
			return fmt.Errorf("rabbitmq ended while booting: %s", b.server.output())
		case <-ctx.Done():
			return fmt.Errorf("rabbitmq does not accept connections: %w: %s", err, b.server.output())
		}
	}
}

// freePorts finds n different TCP ports that nobody listens on.
func freePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

func token(n int) string {
	b := make([]byte, n)
	rand.Read(b)
	return hex.EncodeToString(b)
}
