package agent

import (
	"context"
	"errors"

	"bolide/hypervisor"
	"bolide/rpc/nova"
)

// opSetAdminPassword changes the administrator's password inside the guest through its agent: action changePassword.
func opSetAdminPassword(*Agent) operation {
	return operation{
		method: "set_admin_password", event: "compute_set_admin_password",
		queued: true, clearsTask: true, keepsFault: true,
		do: func(ctx context.Context, t *task) (any, error) {
			var password *string
			if err := t.req.OptionalArg("new_pass", &password); err != nil {
				return nil, err
			}
			if err := t.load(ctx); err != nil {
				return nil, err
			}
			failure := t.setPassword(ctx, orEmpty(password))
			if failure == nil {
				t.keepPassword(orEmpty(password))
			}
			if failure != nil && nova.ClassOf(failure) == "" {
				// what libvirt said may hold the password
				failure = passwordFailed(t.inst.UUID(), "error setting admin password").Because(failure)
			}
			return nil, errors.Join(failure, t.move(ctx, passwordSet))
		},
	}
}

func passwordFailed(instance, reason string) *nova.Error {
	return nova.NewError("InstancePasswordSetFailed", map[string]any{"instance": instance, "reason": reason})
}

// setPassword asks the guest's agent. It refuses as Nova does where there can be none.
func (t *task) setPassword(ctx context.Context, password string) error {
	power, err := t.powerNow(ctx)
	if err != nil {
		return err
	}
	if power != nova.PowerRunning {
		return passwordFailed(t.inst.UUID(), "instance "+t.inst.UUID()+" is not running")
	}
	image := t.inst.Image()
	if !image.PropBool("hw_qemu_guest_agent") {
		return nova.NewError("QemuGuestAgentNotEnabled", nil)
	}
	user := image.Prop("os_admin_user")
	switch {
	case user != "":
	case t.inst.OSType() == "windows":
		user = "Administrator"
	default:
		user = "root"
	}
	err = t.hypervisor.SetUserPassword(ctx, t.inst.UUID(), user, password)
	if errors.Is(err, hypervisor.ErrAgent) {
		return nova.NotImplemented("the guest agent does not answer").Because(err)
	}
	return err
}

// opTriggerCrashDump sends the guest an NMI, on which its kernel dumps its memory: action trigger_crash_dump.
func opTriggerCrashDump(*Agent) operation {
	return operation{
		method: "trigger_crash_dump", event: "compute_trigger_crash_dump", news: newsCrashDump,
		queued: true, keepsFault: true,
		do: func(ctx context.Context, t *task) (any, error) {
			err := t.hypervisor.InjectNMI(ctx, t.inst.UUID())
			switch {
			case errors.Is(err, hypervisor.ErrUnsupported):
				return nil, nova.NewError("TriggerCrashDumpNotSupported", nil).Because(err)
			case errors.Is(err, hypervisor.ErrInvalidState):
				return nil, nova.NewError("InstanceNotRunning", map[string]any{"instance_id": t.inst.UUID()}).Because(err)
			case err != nil:
				return nil, t.guestError(err)
			}
			return nil, nil
		},
	}
}
