package agent

import (
	"context"
	"errors"
	"fmt"
	"os"

	"bolide/agent/network"
	"bolide/rpc/nova"
)

// opConfirmResize forgets what this host kept of a guest that moved away or changed its size: action confirmResize. It
// is a call when the guest is being deleted.
func opConfirmResize(*Agent) operation {
	return operation{
		method: "confirm_resize", foreign: true, event: "compute_confirm_resize",
		queued: true, keepsFault: true,
		do: func(ctx context.Context, t *task) (any, error) {
			m, err := t.coldMove()
			if err != nil {
				return nil, err
			}
			return nil, m.confirm(ctx)
		},
	}
}

// confirm ends the move in favour of the destination. It may be asked for again: a move that was confirmed stays so, and
// one in any other state than finished is none to confirm.
func (m *coldMove) confirm(ctx context.Context) error {
	switch s := m.migration.Status(); s {
	case nova.MigrationFinished, nova.MigrationConfirming:
	case nova.MigrationConfirmed:
		m.log.Info("move is confirmed already")
		return nil
	default:
		m.log.WithField("status", s).Warn("move is not one to confirm")
		return nil
	}
	err := m.read(ctx)
	if nova.Is(err, "InstanceNotFound") {
		m.log.Info("instance is gone; nothing to confirm")
		return nil
	}
	if err == nil {
		m.inform(ctx, newsConfirmResize, phaseStart, detail{})
		err = m.run(ctx, []step{
			{name: "release ports", do: m.releaseSource},
			{name: "remove disks set aside", do: m.dropAside},
			{name: "TPM secret", do: m.dropUnusedSecret},
			{name: "remove domain", do: m.dropDomain},
			{name: "release resources", do: m.releaseClaim},
			{name: "record", do: m.recordConfirmed},
		})
	}
	if err == nil {
		m.inform(ctx, newsConfirmResize, phaseEnd, detail{ports: m.vifs})
	}
	if err != nil {
		err = m.fail(ctx, err)
	}
	// the guest is at the destination whatever went wrong here; nothing may still be held for its return
	err = errors.Join(err, m.forgetAllocation(ctx))
	if m.inst.Host() != m.cfg.Default.Host {
		m.tellSchedulerGone(ctx)
	}
	return errors.Join(err, m.dropStash(ctx))
}

// releaseSource takes the bindings of the guest's ports to this host away.
func (m *coldMove) releaseSource(ctx context.Context) error {
	err := m.ports.CancelMigration(ctx, m.id, network.MigrationRequest{
		InstanceUUID: m.inst.UUID(), ProjectID: m.inst.ProjectID(),
		InstanceHost: m.inst.Host(), Host: m.migration.SourceCompute(),
	})
	if err != nil {
		return portError(err)
	}
	return m.renewPorts(ctx)
}

func (m *coldMove) dropAside(context.Context) error {
	if err := os.RemoveAll(m.instanceDir(m.inst.UUID()) + asideSuffix); err != nil {
		return fmt.Errorf("remove the disks set aside: %w", err)
	}
	return nil
}

// dropDomain forgets the guest's definition where the guest has left this host.
func (m *coldMove) dropDomain(ctx context.Context) error {
	if m.inst.Host() == m.cfg.Default.Host {
		return nil
	}
	if err := m.removeDomain(ctx); err != nil {
		return err
	}
	return m.unplug(ctx, m.vifs)
}

// releaseClaim gives back what the move held here.
func (m *coldMove) releaseClaim(ctx context.Context) error {
	if err := m.mark(ctx, nova.MigrationConfirmed); err != nil {
		return err
	}
	m.resources.Track(m.inst, nil)
	if err := m.tell(ctx); err != nil {
		return err
	}
	return m.cond.DropMigrationContext(ctx, m.inst)
}

// recordConfirmed says what the guest is: the user may have switched it on or off while deciding.
func (m *coldMove) recordConfirmed(ctx context.Context) error {
	return m.move(ctx, resizeConfirmed, func(i *nova.Instance) {
		i.SetVMState(nova.VMActive)
		if i.PowerState() == nova.PowerShutdown {
			i.SetVMState(nova.VMStopped)
		}
	})
}
