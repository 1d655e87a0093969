package agent

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/sirupsen/logrus"

	"bolide/agent/journal"
	"bolide/agent/recovery"
	"bolide/rpc"
	"bolide/rpc/nova"
)

// treat does what the remedy says. An operation that is done again answers for itself, as it does for a request.
func (t *task) treat(ctx context.Context, remedy recovery.Remedy, p pages) error {
	switch remedy {
	case recovery.Leave:
		return t.closeFinished(ctx, p)
	case recovery.GiveUpBuild:
		return t.giveUpBuild(ctx, p)
	case recovery.GiveUpUnshelve:
		return t.giveUpUnshelve(ctx, p)
	case recovery.GiveUpImage:
		return t.giveUpImage(ctx, p)
	case recovery.GiveUpRescue:
		return t.giveUpRescue(ctx, p)
	case recovery.GiveUpTask:
		return t.giveUpTask(ctx, p)
	case recovery.Fail:
		return t.fail(ctx, p)
	case recovery.EndMove:
		return t.endMove(ctx, p.last().Operation, p)
	case recovery.EndMigration:
		return t.endMigration(ctx)
	case recovery.Bring:
		return t.bringBack(ctx)
	case recovery.EndReboot:
		return t.endReboot(ctx, p)
	case recovery.HardReboot:
		if err := t.becomeHard(ctx); err != nil {
			return err
		}
	}
	again, ok := repeats[remedy]
	if !ok {
		return fmt.Errorf("remedy %q is not known", remedy)
	}
	return t.repeat(ctx, again, p)
}

// repetition is an operation that needs no more than the records to be done again.
type repetition struct {
	operation func(*Agent) operation
	arguments map[string]any // beside the instance; optional ones are left to their defaults
	bdms      bool           // the block device mappings go with them
}

// repeats is what the remedies named after an operation do.
var repeats = map[recovery.Remedy]repetition{
	recovery.Delete:     {operation: opTerminate, bdms: true},
	recovery.SoftDelete: {operation: opSoftDelete},
	recovery.Restore:    {operation: opRestore},
	recovery.Start:      {operation: opStart},
	recovery.Stop:       {operation: opStop},
	recovery.Pause:      {operation: opPause},
	recovery.Unpause:    {operation: opUnpause},
	recovery.Suspend:    {operation: opSuspend},
	recovery.Resume:     {operation: opResume},
	recovery.SoftReboot: {operation: opReboot, arguments: map[string]any{"reboot_type": "SOFT"}},
	recovery.HardReboot: {operation: opReboot, arguments: map[string]any{"reboot_type": "HARD"}},
	recovery.Unrescue:   {operation: opUnrescue},
	recovery.Offload:    {operation: opShelveOffload, arguments: map[string]any{"clean_shutdown": false}},
}

// repeat does an operation again, under the request that asked for it first.
func (t *task) repeat(ctx context.Context, r repetition, p pages) error {
	again := *t
	again.op = r.operation(t.Agent)
	again.req = &rpc.Request{Context: t.rc, Method: again.op.method, Args: map[string]json.RawMessage{}}
	again.log = t.log.WithFields(logrus.Fields{"op": again.op.method})
	for _, e := range p {
		if e.Record().Operation == again.op.method {
			again.reopened = true
		} else {
			t.closeInterrupted(ctx, e, t.interruption(pages{e}, "ask again"))
		}
	}
	arguments := r.arguments
	if r.bdms {
		bdms, err := t.cond.BlockDevices(ctx, t.inst.UUID())
		if err != nil {
			return fmt.Errorf("read block devices: %w", err)
		}
		arguments = map[string]any{"bdms": t.profile.NewList("BlockDeviceMappingList", nova.Items(bdms)...)}
	}
	for name, value := range arguments {
		raw, err := json.Marshal(value)
		if err != nil {
			return fmt.Errorf("argument %s of %s: %w", name, again.op.method, err)
		}
		again.req.Args[name] = raw
	}
	_, _ = again.perform(ctx) // it reports its failure where the user and the operator look for it
	return nil
}

// closeFinished closes the events of operations that had come to their end and had yet to say so.
func (t *task) closeFinished(ctx context.Context, p pages) error {
	for _, e := range p {
		var outcome error
		if t.attachTakenBack(e.Record()) || t.inst.VMState() == nova.VMError {
			outcome = t.interruption(pages{e}, "ask again")
			t.storeFault(ctx, outcome)
		}
		t.closeInterrupted(ctx, e, outcome)
	}
	return nil
}

// attachTakenBack reports whether the record is of an attach whose port the instance does not have.
func (t *task) attachTakenBack(r journal.Record) bool {
	if r.Operation != "attach_interface" {
		return false
	}
	return r.Ports == nil || len(t.cachedPorts()) <= len(r.Ports.Before)
}

// becomeHard makes a hard reboot of a soft one whose guest is off already.
func (t *task) becomeHard(ctx context.Context) error {
	switch t.inst.TaskState() {
	case nova.TaskRebooting, nova.TaskRebootPending, nova.TaskRebootStarted:
		return t.move(ctx, becomesHard)
	}
	return nil
}

// endReboot records a reboot whose guest runs again.
func (t *task) endReboot(ctx context.Context, p pages) error {
	err := t.moveTo(ctx, rebooted, func(i *nova.Instance) {
		if i.VMState() != nova.VMRescued {
			i.SetVMState(nova.VMActive)
		}
	})
	if err != nil {
		return ignoreVanished(err)
	}
	return t.closeFinished(ctx, p)
}
