package main

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"bolide/agent"
	"bolide/agent/config"
)

// fakeNode stands for the agent.
type fakeNode struct {
	err      error
	alive    error
	hurried  func()        // called by Hurry
	busy     chan struct{} // what runs when it is stopped, until closed; nil: nothing
	reloaded atomic.Pointer[config.Config]
}

func (n *fakeNode) Run(ctx context.Context, hooks agent.Hooks) error {
	if n.err != nil {
		return n.err
	}
	hooks.Ready()
	<-ctx.Done()
	hooks.Stopping()
	if n.busy != nil {
		<-n.busy
	}
	return nil
}

func (n *fakeNode) Alive() error { return n.alive }

func (n *fakeNode) Hurry() {
	if n.hurried != nil {
		n.hurried()
	}
}

func (n *fakeNode) Reload(c *config.Config) { n.reloaded.Store(c) }

// buffer is a bytes.Buffer that may be read while it is written.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// systemd receives what the daemon tells it.
func systemd(t *testing.T) <-chan string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "n")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	told := make(chan string, 100)
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := c.Read(buf)
			if err != nil {
				return
			}
			told <- string(buf[:n])
		}
	}()
	return told
}

func next(t *testing.T, told <-chan string) string {
	t.Helper()
	select {
	case s := <-told:
		return s
	case <-time.After(20 * time.Second):
		t.Fatal("systemd was told nothing")
		return ""
	}
}

const goodConf = `[placement]
auth_type = password
auth_url = http://keystone:5000/v3
[neutron]
auth_section = placement
[DEFAULT]
use_syslog = true
`

// runDaemon runs n as "bolide run" would, in this process.
func runDaemon(t *testing.T, n *fakeNode, conf string, env ...string) (stderr *buffer, file string, result <-chan error) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "nova.conf")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	stderr = &buffer{}
	d := &daemonCommand{
		app: &app{env: env, err: stderr}, overrides: map[string]string{},
		from:    sources{[]config.Source{{File: file}, {Dir: t.TempDir()}}},
		newNode: func(*config.Config, *logrus.Entry) (node, error) { return n, nil },
	}
	done := make(chan error, 1)
	go func() { done <- d.run(t.Context()) }()
	return stderr, file, done
}

func signalSelf(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(os.Getpid(), s); err != nil {
		t.Fatal(err)
	}
}

func awaitText(t *testing.T, b *buffer, want string) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(b.String(), want); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no %q in:\n%s", want, b)
		}
	}
}

func TestRunFromReadyToStopped(t *testing.T) {
	told := systemd(t)
	n := &fakeNode{}
	stderr, file, result := runDaemon(t, n, goodConf)
	if got := next(t, told); !strings.HasPrefix(got, "READY=1") {
		t.Errorf("systemd was told %q", got)
	}
	awaitText(t, stderr, `WARNING bolide [-] ignored: Bolide does not use this option from=`)

	signalSelf(t, syscall.SIGHUP)
	awaitText(t, stderr, "log_level=info")
	if err := os.WriteFile(file, []byte(goodConf+"debug = true\nmax_concurrent_builds = 3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	signalSelf(t, syscall.SIGHUP)
	awaitText(t, stderr, "log_level=debug")
	if got := n.reloaded.Load().Default.MaxConcurrentBuilds; got != 3 {
		t.Errorf("the node was given a limit of %d builds, want 3", got)
	}
	if err := os.WriteFile(file, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	signalSelf(t, syscall.SIGHUP)
	awaitText(t, stderr, "the configuration is wrong now; nothing was changed: ")
	signalSelf(t, syscall.SIGUSR2)
	awaitText(t, stderr, "handleSignals")

	signalSelf(t, syscall.SIGTERM)
	if got := next(t, told); !strings.HasPrefix(got, "STOPPING=1") {
		t.Errorf("systemd was told %q", got)
	}
	if err := <-result; err != nil {
		t.Errorf("run: %v", err)
	}
	if !strings.HasSuffix(stderr.String(), "INFO bolide [-] stopped\n") {
		t.Errorf("log:\n%s", stderr)
	}
}

func TestTheSecondSignalToStopHurries(t *testing.T) {
	told := systemd(t)
	n := &fakeNode{busy: make(chan struct{})}
	n.hurried = sync.OnceFunc(func() { close(n.busy) })
	stderr, _, result := runDaemon(t, n, goodConf)
	next(t, told)
	signalSelf(t, syscall.SIGTERM)
	if got := next(t, told); !strings.HasPrefix(got, "STOPPING=1") {
		t.Fatalf("systemd was told %q", got)
	}
	select {
	case <-n.busy:
		t.Error("one signal is enough to hurry")
	case err := <-result:
		t.Errorf("the node has not ended, and run has: %v", err)
	default:
	}
	signalSelf(t, syscall.SIGTERM)
	if err := <-result; err != nil {
		t.Errorf("run: %v\n%s", err, stderr)
	}
}

func TestRunFails(t *testing.T) {
	stderr, _, result := runDaemon(t, &fakeNode{err: errors.New("register: conductor is away")}, goodConf)
	err := <-result
	var exit *exitError
	if !errors.As(err, &exit) || exit.code != exitFailed {
		t.Errorf("run: %v", err)
	}
	if n := strings.Count(stderr.String(), "conductor is away"); n != 1 {
		t.Errorf("the reason stands %d times in:\n%s", n, stderr)
	}
}

func TestWatchdog(t *testing.T) {
	told := systemd(t)
	n := notifier{logrus.NewEntry(logrus.New())}
	stalled := &buffer{}
	n.log.Logger.SetOutput(stalled)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	beats := 0
	go func() {
		defer close(done)
		n.watchdog(ctx, []string{"WATCHDOG_USEC=20000"}, func() error {
			if beats++; beats > 2 {
				return errors.New("no heartbeat for 70 s")
			}
			return nil
		})
	}()
	for range 2 {
		if got := next(t, told); got != "WATCHDOG=1" {
			t.Errorf("systemd was told %q", got)
		}
	}
	awaitText(t, stalled, "no heartbeat for 70 s")
	cancel()
	<-done
	if len(told) > 0 {
		t.Errorf("systemd was told %q of a stalled daemon", <-told)
	}
}

func TestWatchdogLimit(t *testing.T) {
	for name, tt := range map[string]struct {
		env  []string
		want time.Duration
		err  bool
	}{
		"none":        {nil, 0, false},
		"set":         {[]string{"WATCHDOG_USEC=60000000"}, time.Minute, false},
		"for us":      {[]string{"WATCHDOG_USEC=1000000", "WATCHDOG_PID=7"}, time.Second, false},
		"for another": {[]string{"WATCHDOG_USEC=1000000", "WATCHDOG_PID=8"}, 0, false},
		"nonsense":    {[]string{"WATCHDOG_USEC=soon"}, 0, true},
		"negative":    {[]string{"WATCHDOG_USEC=-1"}, 0, true},
	} {
		got, err := watchdogLimit(tt.env, 7)
		if got != tt.want || (err != nil) != tt.err {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}
