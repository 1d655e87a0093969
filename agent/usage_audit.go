package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"bolide/agent/notice"
	"bolide/rpc"
)

// instanceUsageAudit tells once for each audit period which instances were on this host in it.
func (a *Agent) instanceUsageAudit(ctx context.Context) error {
	p, err := notice.LastPeriod(a.cfg.Default.InstanceUsageAuditPeriod, time.Now())
	if err != nil {
		return err
	}
	rc := rpc.AdminContext()
	cond := a.conductor.With(rc)
	const name = "instance_usage_audit"
	if done, err := cond.TaskLog(ctx, name, p.Begin, p.End, a.cfg.Default.Host); err != nil || done != nil {
		return err
	}
	instances, err := cond.FromReplica().InstancesActiveIn(ctx, a.cfg.Default.Host, p.Begin, p.End, "system_metadata", "info_cache", "metadata", "flavor")
	if err != nil {
		return fmt.Errorf("list instances of the audit period: %w", err)
	}
	log := cond.NewTaskLog(name, p.Begin, p.End, len(instances))
	if err := cond.BeginTask(ctx, log); err != nil {
		return fmt.Errorf("begin the usage audit: %w", err)
	}
	began := time.Now()
	for _, i := range instances {
		t := a.ownTask("usage audit", i.UUID(), rc)
		t.inst = i
		t.informUsage(ctx, p)
	}
	log.Note(fmt.Sprintf("Instance usage audit ran for host %s, %d instances in %.3f seconds.", a.cfg.Default.Host, len(instances), time.Since(began).Seconds()), 0)
	return errors.Join(ctx.Err(), cond.EndTask(ctx, log))
}
