package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"bolide/agent/audit"
	"bolide/agent/status"
)

const instanceID = "0c0ffee0-0000-4000-8000-000000000001"

var now = time.Date(2026, 11, 21, 16, 19, 30, 0, time.UTC)

// sampleSource is a node with something of everything.
type sampleSource struct{ unwell bool }

func (s sampleSource) Snapshot(context.Context) status.Snapshot {
	amqp := status.Link{Name: "amqp", State: status.Pass, Peer: "mq1:5672", LastSuccess: now.Add(-2 * time.Second)}
	if s.unwell {
		amqp.State, amqp.Error = status.Fail, "connection refused"
	}
	return status.Snapshot{
		Version: "1.0.0", Release: "zed", Host: "node-1", PID: 42, StartedAt: now.Add(-3*time.Hour - 12*time.Minute), Serving: !s.unwell,
		Links: []status.Link{
			amqp,
			{Name: "conductor", State: status.Pass, LastSuccess: now.Add(-9 * time.Second)},
			{Name: "libvirt", State: status.Pass, Peer: "qemu:///system", LastSuccess: now.Add(-700 * time.Millisecond)},
			{Name: "placement", State: status.Warn, Peer: "http://placement:8778", LastSuccess: now.Add(-10 * time.Minute), Error: "503 Service Unavailable"},
		},
		Capacity: status.Capacity{
			VCPU:     status.Resource{Total: 8, Claimed: 12, Ratio: 16},
			MemoryMB: status.Resource{Total: 16384, Reserved: 512, Claimed: 6144, Ratio: 1.5},
			DiskGB:   status.Resource{Total: 100, Claimed: 60, Ratio: 1}, UpdatedAt: now.Add(-time.Minute),
		},
		Instances: []status.Instance{
			{
				UUID: instanceID, Name: "instance-00000001", VMState: "active", PowerState: "running", VCPUs: 2, MemoryMB: 2048, DiskGB: 20,
				ConsoleLog: "/i/console.log",
			},
			{
				UUID: "0c0ffee0-0000-4000-8000-000000000002", Name: "instance-00000002", VMState: "active", TaskState: "rebooting", PowerState: "shutdown",
				VCPUs: 10, MemoryMB: 4096, DiskGB: 40, Problem: "active in Nova, shut off in libvirt",
			},
			{UUID: "0c0ffee0-0000-4000-8000-000000000003", Name: "instance-00000003", VMState: "error", PowerState: "nostate", VCPUs: 1, MemoryMB: 1024, DiskGB: 1},
		},
	}
}

// sampleGuests are the guests of the sample node, all the same. What is typed on a
// console comes back in capitals; "bye" ends it.
type sampleGuests struct{}

func (sampleGuests) Inspect(context.Context, string) (status.Inspection, error) {
	return status.Inspection{
		Domain:    &status.Domain{State: "running", Reason: "booted", Persistent: true},
		Directory: &status.Directory{Path: "/i", Files: []string{"console.log", "disk"}},
		Disks:     []status.Disk{{Device: "vda", Format: "qcow2", Size: 20 << 30, Allocated: 300 << 20, Path: "/i/disk", Base: "/i/_base/5d"}},
		Ports:     []status.Port{{ID: "9a8b", MAC: "fa:16:3e:00:00:01", Device: "tap9a8b", Bridge: "brq77", Addresses: []string{"10.0.0.4", "fd00::4"}}},
		Problems:  []string{"the device tap9a8b of a port is gone"},
	}, nil
}

func (sampleGuests) DomainXML(context.Context, string) (string, error) {
	return "<domain type='kvm'>\n</domain>\n", nil
}

func (sampleGuests) Console(context.Context, string, status.ConsoleOptions) (io.ReadWriteCloser, error) {
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

// sampleNode adds to the sample whether it is drained, and that its guests go soon
// after.
type sampleNode struct {
	sampleSource
	mu      sync.Mutex
	drained *status.Drain
	looks   int // since it was drained
}

func (n *sampleNode) Snapshot(ctx context.Context) status.Snapshot {
	n.mu.Lock()
	defer n.mu.Unlock()
	s := n.sampleSource.Snapshot(ctx)
	s.Drain = n.drained
	if n.drained != nil {
		s.Instances = s.Instances[:max(0, len(s.Instances)-n.looks)]
		n.looks++
	}
	return s
}

func (n *sampleNode) Drain(context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.drained, n.looks = &status.Drain{Since: now}, 0
	return nil
}

func (n *sampleNode) Undrain(context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.drained = nil
	return errors.New("tell the control plane: no conductor answers")
}

// advice is an error that knows what to do.
type advice struct{ error }

func (advice) NextAction() string { return "free space in /var/lib/nova/instances" }

// sampleBoard has an operation that runs, one that is done and one that failed.
// The clock stands still but for what the steps take.
func sampleBoard() (*status.Board, func() time.Time) {
	at := now.Add(-20 * time.Second)
	clock := func() time.Time { return at }
	b := status.NewBoard(status.BoardOptions{Now: clock})
	done := b.Begin(status.Operation{Name: "reboot_instance", Instance: instanceID, RequestID: "req-1"})
	done.Step("stop", 1, 2)
	at = at.Add(1500 * time.Millisecond)
	done.Step("start", 2, 2)
	at = at.Add(800 * time.Millisecond)
	done.End(nil)
	failed := b.Begin(status.Operation{Name: "build_and_run_instance", Instance: "0c0ffee0-0000-4000-8000-000000000003", RequestID: "req-2"})
	failed.Step("disk", 3, 9)
	failed.End(fmt.Errorf("disk: %w", advice{errors.New("no space left on device")}))
	runs := b.Begin(status.Operation{Name: "build_and_run_instance", Instance: "0c0ffee0-0000-4000-8000-000000000004", RequestID: "req-3"})
	runs.Step("claim", 1, 9)
	at = at.Add(300 * time.Millisecond)
	runs.Step("image", 2, 9)
	runs.Progress(300<<20, 1<<30)
	return b, clock
}

// sampleAudit finds one tap too many, which can be mended.
func sampleAudit(_ context.Context, fix []audit.Kind) (audit.Report, error) {
	tap := audit.Difference{
		Kind: audit.LeftTap, Object: "tap0a1b2c3d-4e", Text: "no instance here has the port 0a1b2c3d-4e…",
		Mend: "bolide audit --fix left-tap", Fixable: true,
	}
	if slices.Contains(fix, tap.Kind) {
		tap.Outcome = audit.Mended
	}
	return audit.Report{Host: "node-1", Guests: 3, Differences: []audit.Difference{tap}}, nil
}
