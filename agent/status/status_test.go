package status

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"go.uber.org/goleak"

	"bolide/agent/config"
)

func TestMain(m *testing.M) {
	if path := os.Getenv("STATUS_TEST_VISITOR"); path != "" {
		visit(path) // this process is a visitor of TestPeers
		return
	}
	goleak.VerifyTestMain(m)
}

var began = time.Date(2026, 11, 21, 16, 19, 30, 0, time.UTC)

// sample is a node with one of everything.
type sample struct{ links []Link }

func (s sample) Snapshot(context.Context) Snapshot {
	links := s.links
	if links == nil {
		links = []Link{
			{Name: "amqp", State: Pass, Peer: "mq1:5672", LastSuccess: began, Since: began},
			{Name: "placement", State: Warn, Error: "503"},
		}
	}
	return Snapshot{
		Version: "1.0", Release: "zed", Host: "node-1", PID: 42, StartedAt: began, Serving: true,
		Links: links,
		Capacity: Capacity{
			VCPU: Resource{Total: 8, Claimed: 2, Ratio: 16}, MemoryMB: Resource{Total: 16000, Reserved: 512, Claimed: 2048, Ratio: 1.5},
			DiskGB: Resource{Total: 100, Claimed: 20, Ratio: 1}, UpdatedAt: began,
		},
		Instances: []Instance{{
			UUID: "c0ffee00-0000-0000-0000-000000000001", Name: "instance-00000001", VMState: "active", TaskState: "rebooting",
			PowerState: "running", VCPUs: 2, MemoryMB: 2048, DiskGB: 20, Problem: "libvirt says shut off",
			ConsoleLog: "/d/console.log",
		}},
	}
}

// sampleGuests has one guest, whose console answers what is typed in capitals
// until "bye".
type sampleGuests struct{ forced bool }

func (*sampleGuests) Inspect(context.Context, string) (Inspection, error) {
	return Inspection{
		Domain:    &Domain{State: "running", Reason: "booted", Persistent: true},
		Directory: &Directory{Path: "/d", Files: []string{"console.log", "disk"}},
		Disks:     []Disk{{Device: "vda", Path: "/d/disk", Format: "qcow2", Base: "/d/base", Size: 20 << 30, Allocated: 1 << 20}},
		Ports:     []Port{{ID: "p1", MAC: "fa:16:3e:00:00:01", Device: "tapp1", Bridge: "brq1", Addresses: []string{"10.0.0.4"}}},
		Problems:  []string{"the tap tapp1 is gone"},
	}, nil
}

func (*sampleGuests) DomainXML(context.Context, string) (string, error) {
	return "<domain/>", nil
}

func (g *sampleGuests) Console(_ context.Context, _ string, o ConsoleOptions) (io.ReadWriteCloser, error) {
	g.forced = o.Force
	near, far := net.Pipe()
	go func() {
		defer far.Close()
		_, _ = io.WriteString(far, "login: ")
		for lines := bufio.NewScanner(far); lines.Scan() && lines.Text() != "bye"; {
			_, _ = io.WriteString(far, strings.ToUpper(lines.Text())+"\n")
		}
	}()
	return near, nil
}

// sampleDrainer stands for a node whose control plane may be away.
type sampleDrainer struct{ away error }

func (d *sampleDrainer) Drain(context.Context) error   { return d.away }
func (d *sampleDrainer) Undrain(context.Context) error { return d.away }

type settings []config.Setting

func (s settings) Settings() []config.Setting { return s }

// advice is an error that knows what to do.
type advice struct{ error }

func (advice) NextAction() string { return "free some disk" }

func quietLog() *logrus.Entry {
	l := logrus.New()
	l.SetOutput(io.Discard)
	return logrus.NewEntry(l)
}

// busyBoard has an operation running and one that failed.
func busyBoard() *Board {
	b := NewBoard(BoardOptions{})
	failed := b.Begin(Operation{Name: "terminate_instance", Instance: "c0ffee00-0000-0000-0000-000000000001", RequestID: "req-1"})
	failed.Step("unplug", 1, 3)
	failed.End(advice{errors.New("disk full")})
	running := b.Begin(Operation{Name: "build_and_run_instance", Instance: "c0ffee00-0000-0000-0000-000000000001", RequestID: "req-2"})
	running.Step("claim", 1, 9)
	running.Step("image", 2, 9)
	running.Progress(1<<20, 4<<20)
	return b
}

// serve runs a server for the test's time and returns a client of it.
func serve(t *testing.T, o Options) (*Client, Options) {
	t.Helper()
	dir, err := os.MkdirTemp("", "status") // t.TempDir's may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if o.Path == "" {
		o.Path = filepath.Join(dir, "s.sock")
	}
	if o.Source == nil {
		o.Source = sample{}
	}
	if o.Board == nil {
		o.Board = busyBoard()
	}
	if o.Log == nil {
		o.Log = quietLog()
	}
	s, err := NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	c := NewClient(o.Path)
	awaitAnswer(t, c)
	return c, o
}

// awaitAnswer waits until the socket is there.
func awaitAnswer(t *testing.T, c *Client) {
	t.Helper()
	var h Health
	for deadline := time.Now().Add(10 * time.Second); ; {
		err := c.Get(t.Context(), "/v1/health", &h)
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}
