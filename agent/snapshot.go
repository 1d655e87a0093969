package agent

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"bolide/agent/resources"
	"bolide/agent/status"
	"bolide/rpc/nova"
)

// serveStatus answers at the local socket until ctx ends; without a path there is none.
func (a *Agent) serveStatus(ctx context.Context) error {
	if a.cfg.Bolide.Socket == "" {
		return nil
	}
	server, err := status.NewServer(status.Options{
		Path: a.cfg.Bolide.Socket, Group: a.cfg.Bolide.SocketGroup,
		Source: a, Board: a.board, Images: a, Guests: a, Drainer: a, Reload: a.hooks.Reload, Audit: a.Audit, Levels: a.hooks.Levels, Config: a.cfg,
		Metrics: a.metrics.Registry, MetricsAddress: a.cfg.Bolide.MetricsAddress, Log: a.log.WithField("part", "status"),
	})
	if err != nil {
		return err
	}
	return server.Run(ctx)
}

var _ status.Source = (*Agent)(nil)

// Snapshot implements [status.Source] from what is in memory.
func (a *Agent) Snapshot(context.Context) status.Snapshot {
	s := status.Snapshot{
		Version: version(), Release: a.profile.Name, Host: a.cfg.Default.Host, PID: os.Getpid(),
		StartedAt: a.started, Serving: a.serving.Load(), Drain: a.draining.state(),
		Links: a.links(), Capacity: capacity(a.resources.Capacity()),
	}
	for _, h := range a.resources.Instances() {
		power := a.powers.of(h.Instance)
		s.Instances = append(s.Instances, status.Instance{
			UUID: h.Instance, Name: h.Name, VMState: h.VMState, TaskState: h.TaskState,
			PowerState: power.String(), Problem: discord(h, power),
			VCPUs: int(h.VCPUs), MemoryMB: h.MemoryMB, DiskGB: h.DiskGB,
			ConsoleLog: filepath.Join(a.instanceDir(h.Instance), "console.log"),
		})
	}
	return s
}

// discord is where Nova and libvirt do not agree on a guest that nothing is being done with.
func discord(h resources.Held, power nova.PowerState) string {
	expected, ok := map[nova.VMState]nova.PowerState{
		nova.VMActive: nova.PowerRunning, nova.VMPaused: nova.PowerPaused,
		nova.VMStopped: nova.PowerShutdown, nova.VMSuspended: nova.PowerShutdown,
	}[nova.VMState(h.VMState)]
	if !ok || h.TaskState != "" || power == expected || power == nova.PowerNoState { // the last: not heard of yet
		return ""
	}
	return h.VMState + " in Nova, " + power.String() + " in libvirt"
}

// links is every dependency with its health.
func (a *Agent) links() []status.Link {
	amqp, libvirt := a.link.State(), a.hypervisor.State()
	last, err := a.registration.state()
	links := []status.Link{
		{Name: "amqp", State: passIf(amqp.Up), Peer: amqp.Peer, Since: amqp.Since, LastSuccess: amqp.LastSuccess, Error: amqp.Err},
		{Name: "conductor", State: passIf(err == nil && !last.IsZero()), LastSuccess: last, Error: text(err)},
		{Name: "libvirt", State: passIf(libvirt.Up), Peer: libvirt.URI, Since: libvirt.Since, LastSuccess: libvirt.LastSuccess, Error: libvirt.Err},
	}
	if last.IsZero() && err == nil {
		links[1].State, links[1].Error = status.Warn, "no sign of life given yet"
	}
	if amqp.Up && amqp.Blocked != "" {
		links[0].State, links[0].Error = status.Warn, "the broker takes no messages: "+amqp.Blocked
	}
	if libvirt.Up && libvirt.Hung > 0 {
		links[2].State, links[2].Error = status.Warn, fmt.Sprintf("%d calls hang", libvirt.Hung)
	}
	for _, s := range a.cloud.State() {
		l := status.Link{Name: s.Name, State: passIf(s.Up), Since: s.Since, LastSuccess: s.LastSuccess, Error: s.Err}
		if s.Since.IsZero() {
			continue // not asked anything yet
		}
		links = append(links, l)
	}
	return links
}

func passIf(up bool) status.State {
	if up {
		return status.Pass
	}
	return status.Fail
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func capacity(c resources.Capacity) status.Capacity {
	amount := func(a resources.Amount) status.Resource {
		return status.Resource{Total: a.Total, Reserved: a.Reserved, Claimed: a.Claimed, Ratio: a.Ratio}
	}
	return status.Capacity{VCPU: amount(c.VCPUs), MemoryMB: amount(c.MemoryMB), DiskGB: amount(c.DiskGB), UpdatedAt: c.Told}
}

// stalled is how many missed signs of life mean that the node no longer does its work.
const stalled = 6

// Alive says what stalled, for the watchdog: the loop that gives signs of life, whether or not anybody takes them.
func (a *Agent) Alive() error {
	if !a.serving.Load() {
		return nil
	}
	if since := time.Since(a.registration.beat()); since > stalled*a.registration.interval {
		return fmt.Errorf("no sign of life tried for %s", since.Round(time.Second))
	}
	return nil
}

// version is the build's.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}
