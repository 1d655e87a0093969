package agent

import (
	"context"
	"fmt"
	"time"

	"bolide/rpc"
	"bolide/rpc/nova"
)

// lostBuildGrace is how long after this node has begun to take requests a build that Placement expects here must have
// come: its scheduler may only now be sending it.
const lostBuildGrace = 40 * time.Second

// findLostBuilds looks for instances that are to be built here and whose request was lost with the process before: it
// had not put this host on their records, so Placement alone knows of them. They would be building for ever.
func (a *Agent) findLostBuilds(ctx context.Context) error {
	suspects, err := a.buildingConsumers(ctx)
	if err != nil || len(suspects) == 0 {
		return err
	}
	select {
	case <-time.After(time.Until(a.openedAt.Add(lostBuildGrace))):
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	still, err := a.buildingConsumers(ctx)
	if err != nil {
		return err
	}
	for uuid := range still {
		if !suspects[uuid] {
			continue // began meanwhile
		}
		err := a.inTurn(ctx, "give up lost build", uuid, func(ctx context.Context, t *task) error { return t.giveUpLost(ctx) })
		if err != nil {
			a.log.WithError(err).WithField("instance", uuid).Warn("lost build not given up")
		}
	}
	return nil
}

// buildingConsumers are the instances on no host that take resources of this one and are being built.
func (a *Agent) buildingConsumers(ctx context.Context) (map[string]bool, error) {
	known := map[string]bool{}
	for _, held := range a.resources.Instances() {
		known[held.Instance] = true
	}
	consumers, err := a.resources.Consumers(ctx)
	if err != nil {
		return nil, err
	}
	var unknown []string
	for _, uuid := range consumers {
		if !known[uuid] {
			unknown = append(unknown, uuid)
		}
	}
	if len(unknown) == 0 {
		return nil, nil
	}
	instances, err := a.conductor.With(rpc.AdminContext()).InstancesByFilters(ctx, map[string]any{
		"vm_state": string(nova.VMBuilding), "uuid": unknown,
	})
	if err != nil {
		return nil, fmt.Errorf("look for builds that were lost: %w", err)
	}
	lost := map[string]bool{}
	for _, i := range instances {
		if name, _ := a.queues.busy(i.UUID()); i.Host() == "" && name == "" {
			lost[i.UUID()] = true
		}
	}
	return lost, nil
}

// giveUpLost ends a build of which nothing has been made.
func (t *task) giveUpLost(ctx context.Context) error {
	if err := t.load(ctx); err != nil {
		return err
	}
	if t.inst.Host() != "" || t.inst.VMState() != nova.VMBuilding {
		return nil
	}
	t.log.Warn("build was lost with the process that had its request; giving it up")
	return t.giveUpBuild(ctx, nil)
}
