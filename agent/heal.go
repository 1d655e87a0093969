package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"bolide/agent/network"
	"bolide/rpc"
	"bolide/rpc/nova"
)

// healer goes round the host's instances, one a turn, and makes each one's info cache what Neutron says. One periodic
// task uses it.
type healer struct {
	left []string // instances of this round still to come
}

// heal refreshes the next instance's info cache.
func (a *Agent) heal(ctx context.Context, h *healer) error {
	if len(h.left) == 0 {
		instances, err := a.freshConductor().FromReplica().InstancesByHost(ctx, a.cfg.Default.Host)
		if err != nil {
			return fmt.Errorf("list the instances of this host: %w", err)
		}
		for _, i := range instances {
			if i.VMState() != nova.VMBuilding && i.TaskState() != nova.TaskDeleting {
				h.left = append(h.left, i.UUID())
			}
		}
	}
	if len(h.left) == 0 {
		return nil
	}
	uuid := h.left[0]
	h.left = h.left[1:]
	return a.inTurn(ctx, "heal info cache", uuid, func(ctx context.Context, t *task) error {
		if err := t.load(ctx); err != nil {
			return err
		}
		cached := t.cachedPorts()
		vifs, err := t.readPorts(ctx, network.RefreshRequest{Current: cached, Records: vifRecords{t.cond}})
		if err != nil || vifs.JSON() == cached.JSON() {
			return err
		}
		t.log.Info("info cache differed from Neutron; healed")
		return t.cachePorts(ctx, vifs)
	})
}

// inTurn runs work that the node gives itself when the instance is free, and returns how it went. An instance that
// goes meanwhile is no failure.
func (a *Agent) inTurn(ctx context.Context, name, uuid string, work func(context.Context, *task) error) error {
	t := a.ownTask(name, uuid, rpc.AdminContext())
	var failure error
	done, err := a.queues.add(uuid, &job{name: name, interruptible: true, run: func(ctx context.Context) {
		t.entry = a.board.Begin(t.describe())
		failure = work(ctx, t)
		if nova.Is(failure, "InstanceNotFound") || errors.Is(context.Cause(ctx), errDeleted) {
			failure = nil
		}
		t.entry.End(failure)
	}})
	if err != nil {
		return nil // stopping
	}
	select {
	case <-done:
		return failure
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// endHungReboots reboots guests hard whose reboot has taken longer than reboot_timeout.
func (a *Agent) endHungReboots(ctx context.Context) error {
	instances, err := a.freshConductor().InstancesHungInReboot(ctx, a.cfg.Default.RebootTimeout)
	if err != nil {
		return fmt.Errorf("list instances that hang in reboot: %w", err)
	}
	var errs []error
	for _, i := range instances {
		if i.Host() != a.cfg.Default.Host {
			continue
		}
		if name, _ := a.queues.busy(i.UUID()); name != "" {
			continue // still at it
		}
		errs = append(errs, a.inTurn(ctx, "reboot hung guest", i.UUID(), func(ctx context.Context, t *task) error {
			s, err := t.existing(ctx)
			if err != nil {
				return err
			}
			r := reboot{spawn: s, pending: becomesHard, started: rebootStartedHard}
			return r.run(ctx)
		}))
	}
	return errors.Join(errs...)
}

// endHungBuilds puts instances into the error state whose build has taken longer than instance_build_timeout.
func (a *Agent) endHungBuilds(ctx context.Context) error {
	instances, err := a.freshConductor().InstancesByFilters(ctx, map[string]any{"vm_state": string(nova.VMBuilding), "host": a.cfg.Default.Host})
	if err != nil {
		return fmt.Errorf("list instances being built: %w", err)
	}
	var errs []error
	for _, i := range instances {
		if time.Since(i.CreatedAt()) < a.cfg.Default.InstanceBuildTimeout {
			continue
		}
		t := a.ownTask("end hung build", i.UUID(), rpc.AdminContext())
		t.inst = i
		t.log.Warn("build took longer than instance_build_timeout; giving it up")
		if err := t.move(ctx, buildTimedOut); err != nil && !vanished(err) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
