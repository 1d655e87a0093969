package ground

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"bolide/test/child"
	"bolide/test/hosts"
)

// service is a daemon of the cloud. It runs in the foreground, as root, with
// its output in its log.
type service struct {
	name  string
	argv  []string
	env   []string                        // besides the program's own
	ready func(ctx context.Context) error // asked until it succeeds; nil for "at once"
	host  *hosts.Host                     // on which it runs; nil for the cloud's own
}

// startTimeout bounds how long a service may take until it is ready, on a
// machine that is busy bringing up all the others.
const startTimeout = 3 * time.Minute

// stopTimeout is how long a service may take to end before it is killed.
const stopTimeout = 20 * time.Second

// processes are the daemons that run. Safe for concurrent use.
type processes struct {
	mu      sync.Mutex
	running map[string]*process
}

type process struct {
	cmd   *exec.Cmd
	ended <-chan struct{} // closed when the process ended; how, cmd.ProcessState tells from then on
}

// start runs a service and waits until it is ready. It fails at once when the
// service ends before.
func (p *processes) start(ctx context.Context, s service) error {
	log, err := openLog(s.name)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(s.argv[0], s.argv[1:]...)
	cmd.Env = append(environment(), s.env...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // the terminal's interrupt is not for it
	launch := child.Start
	if s.host != nil {
		launch = s.host.Start
	}
	ended, err := launch(cmd)
	if err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	proc := &process{cmd: cmd, ended: ended}
	p.mu.Lock()
	if p.running == nil {
		p.running = map[string]*process{}
	}
	p.running[s.name] = proc
	p.mu.Unlock()
	return proc.waitReady(ctx, s)
}

// wait waits until a running service is ready.
func (p *processes) wait(ctx context.Context, s service) error {
	p.mu.Lock()
	proc := p.running[s.name]
	p.mu.Unlock()
	if proc == nil {
		return fmt.Errorf("%s does not run", s.name)
	}
	return proc.waitReady(ctx, s)
}

func (p *process) waitReady(ctx context.Context, s service) error {
	if s.ready == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		err := s.ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.ended:
			return fmt.Errorf("%s ended: %s: %w\n%s", s.name, p.cmd.ProcessState, err, logTail(s.name))
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w\n%s", s.name, errors.Join(ctx.Err(), err), logTail(s.name))
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// pid returns a running service's process number; 0 when it does not run.
func (p *processes) pid(name string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	proc := p.running[name]
	if proc == nil {
		return 0
	}
	return proc.cmd.Process.Pid
}

// stop ends a service, and its children with it, if it runs.
func (p *processes) stop(name string) {
	p.mu.Lock()
	proc := p.running[name]
	delete(p.running, name)
	p.mu.Unlock()
	if proc == nil {
		return
	}
	group := -proc.cmd.Process.Pid
	_ = syscall.Kill(group, syscall.SIGTERM)
	select {
	case <-proc.ended:
	case <-time.After(stopTimeout):
	}
	_ = syscall.Kill(group, syscall.SIGKILL)
	<-proc.ended
}

// run runs a command to its end, with its output in the log of that name.
func run(ctx context.Context, name string, argv ...string) error {
	log, err := openLog(name)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = environment()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%q: %w\n%s", argv, err, logTail(name))
	}
	return nil
}

func environment() []string {
	return append(os.Environ(), "LC_ALL=C.UTF-8", "TMPDIR="+tempDir, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
}

func openLog(name string) (*os.File, error) {
	return os.OpenFile(filepath.Join(LogDir, name+".log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
}

// logTail returns the last lines of a log, for errors.
func logTail(name string) string {
	const most = 3000 // bytes
	b, err := os.ReadFile(filepath.Join(LogDir, name+".log"))
	if err != nil {
		return err.Error()
	}
	b = b[max(0, len(b)-most):]
	return "the end of its log:\n" + string(bytes.TrimSpace(b))
}

// answers is ready when something accepts connections there.
func answers(network, address string) func(context.Context) error {
	return func(ctx context.Context) error {
		var d net.Dialer
		c, err := d.DialContext(ctx, network, address)
		if err != nil {
			return err
		}
		return c.Close()
	}
}

// serves is ready when an HTTP server answers there, whatever it says.
func serves(url string) func(context.Context) error {
	return func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		return resp.Body.Close()
	}
}
