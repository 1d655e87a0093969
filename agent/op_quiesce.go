package agent

import (
	"context"
	"errors"
	"fmt"

	"bolide/hypervisor"
	"bolide/rpc/nova"
)

// opQuiesce writes out and freezes a guest's file systems through its agent: createImage of a guest that boots from a
// volume, before its volumes' snapshots.
func opQuiesce(*Agent) operation {
	return operation{
		method: "quiesce_instance", queued: true,
		do: func(ctx context.Context, t *task) (any, error) {
			if err := t.requireAgent(ctx); err != nil {
				return nil, err
			}
			return nil, t.freezeGuest(ctx)
		},
	}
}

// opUnquiesce lets the file systems go on afterwards.
func opUnquiesce(*Agent) operation {
	return operation{
		method: "unquiesce_instance", queued: true,
		do: func(ctx context.Context, t *task) (any, error) {
			if err := t.requireAgent(ctx); err != nil {
				return nil, err
			}
			return nil, t.thawGuest(ctx)
		},
	}
}

// requireAgent refuses guests whose image does not promise an agent; callers may send the instance without its image's
// properties.
func (t *task) requireAgent(ctx context.Context) error {
	if !t.inst.Has("system_metadata") {
		if err := t.load(ctx); err != nil {
			return err
		}
	}
	return t.canQuiesce()
}

func (t *task) canQuiesce() error {
	if v := t.cfg.Libvirt.VirtType; v != "kvm" && v != "qemu" {
		return nova.NewError("InstanceQuiesceNotSupported", map[string]any{"instance_id": t.inst.UUID()})
	}
	if !t.inst.Image().PropBool("hw_qemu_guest_agent") {
		return nova.NewError("QemuGuestAgentNotEnabled", nil)
	}
	return nil
}

func (t *task) freezeGuest(ctx context.Context) error {
	return t.quiesceError(t.hypervisor.FSFreeze(ctx, t.inst.UUID()))
}

func (t *task) thawGuest(ctx context.Context) error {
	return t.quiesceError(t.hypervisor.FSThaw(ctx, t.inst.UUID()))
}

// quiesceError tells what libvirt answered in the words of Nova's node.
func (t *task) quiesceError(err error) error {
	err = t.guestError(err)
	var said *hypervisor.Error
	if nova.ClassOf(err) != "" || !errors.As(err, &said) {
		return err
	}
	return nova.NewErrorText("InternalError", fmt.Sprintf("Error from libvirt while quiescing %s: [Error Code %d] %s",
		t.inst.Name(t.cfg.Default.InstanceNameTemplate), said.Code(), said.Message)).Because(err)
}
