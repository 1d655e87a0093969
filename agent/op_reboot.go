package agent

import (
	"context"
	"errors"
	"time"

	"bolide/hypervisor"
	"bolide/rpc/nova"
)

// opReboot restarts a guest: action reboot. A soft one lets the guest shut itself down and starts it again; when the
// guest does not in time, or cannot, it becomes a hard one.
func opReboot(*Agent) operation {
	return operation{
		method: "reboot_instance", event: "compute_reboot_instance",
		queued: true, interruptible: true, clearsTask: true, keepsFault: true,
		do: func(ctx context.Context, t *task) (any, error) {
			var kind string
			if err := t.req.Arg("reboot_type", &kind); err != nil {
				return nil, err
			}
			s, err := t.existing(ctx)
			if err != nil {
				return nil, err
			}
			r := reboot{spawn: s, pending: rebootPendingHard, started: rebootStartedHard}
			if kind == "SOFT" {
				r = reboot{spawn: s, soft: true, pending: rebootPending, started: rebootStarted}
			}
			return nil, r.run(ctx)
		},
	}
}

type reboot struct {
	*spawn
	soft             bool
	pending, started change
}

// run takes the instance through the reboot's states. A reboot that fails but leaves the guest running is noted as a
// fault and is no failure: the user has a guest to work with.
func (r *reboot) run(ctx context.Context) error {
	power, err := r.powerNow(ctx)
	if err != nil {
		return err
	}
	if err := r.move(ctx, r.pending, func(i *nova.Instance) { i.SetPowerState(power) }); err != nil {
		return err
	}
	r.inform(ctx, newsReboot, phaseStart, detail{})
	if err := r.move(ctx, r.started); err != nil {
		return err
	}
	if failure := r.restartGuest(ctx); failure != nil {
		if stopping(ctx) {
			return failure
		}
		if power, err := r.powerNow(ctx); err != nil || power != nova.PowerRunning {
			return errors.Join(failure, r.moveTo(context.WithoutCancel(ctx), rebootFailed))
		}
		r.log.WithError(failure).Warn("reboot failed; the guest still runs")
		r.storeFault(ctx, r.faultOf(failure))
		r.inform(ctx, newsReboot, phaseError, detail{fault: failure})
	}
	err = r.moveTo(ctx, rebooted, func(i *nova.Instance) {
		if i.VMState() != nova.VMRescued { // a rescued guest stays one
			i.SetVMState(nova.VMActive)
		}
	})
	if err == nil {
		r.inform(ctx, newsReboot, phaseEnd, detail{})
	}
	return err
}

// restartGuest reboots the guest softly if asked and possible, else hard.
func (r *reboot) restartGuest(ctx context.Context) error {
	if r.soft {
		done, err := r.restartSoftly(ctx)
		if err != nil {
			r.log.WithError(err).Warn("soft reboot failed; rebooting hard")
		}
		if done {
			return nil
		}
	}
	return r.restart(ctx)
}

// restartSoftly asks the guest to shut down, waits for it, and starts it again with the description it had.
func (r *reboot) restartSoftly(ctx context.Context) (bool, error) {
	g, err := r.hypervisor.Guest(ctx, r.inst.UUID())
	if err != nil || powerState(g.State) != nova.PowerRunning {
		return false, err
	}
	if err := r.checkTPM(ctx); err != nil {
		return false, err
	}
	if off, err := r.waitShutdown(ctx, r.cfg.Libvirt.WaitSoftReboot); err != nil || !off {
		return false, err
	}
	if err := r.plug(ctx, r.vifs); err != nil {
		return false, err
	}
	err = r.startGuest(ctx, hypervisor.StartOptions{})
	return err == nil || errors.Is(err, hypervisor.ErrInvalidState), err
}

// waitShutdown presses the guest's power button once and reports whether it went off in time.
func (t *task) waitShutdown(ctx context.Context, patience time.Duration) (bool, error) {
	if err := t.pressPower(ctx, pressOptions{Patience: patience, Again: patience}); err != nil {
		return false, err
	}
	power, err := t.powerNow(ctx)
	return power == nova.PowerShutdown || power == nova.PowerCrashed, err
}
