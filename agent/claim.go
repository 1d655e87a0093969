package agent

import (
	"context"

	"bolide/agent/resources"
	"bolide/rpc/nova"
)

// takeHost holds what the guest takes of this host and puts the host on its record.
func (s *spawn) takeHost(ctx context.Context, limits *resources.NUMALimits) error {
	var err error
	if s.claim, err = s.resources.Claim(ctx, s.inst, limits); err != nil {
		return err
	}
	s.inst.SetHost(s.cfg.Default.Host)
	s.inst.SetLaunchedOn(s.cfg.Default.Host)
	s.inst.SetNode(s.resources.NodeName())
	if s.claim.NUMA != nil {
		s.inst.Set("numa_topology", s.claim.NUMA)
	}
	if err := s.cond.SaveInstance(ctx, s.inst, nova.Expect{}); err != nil {
		return err
	}
	return s.resources.Tell(ctx, s.cond.With(s.rc.Elevated()))
}

// numaLimits is how far the scheduler promised this host over, from its SchedulerLimits object or, in
// filter_properties, the dictionary of it. Nil: not at all.
func numaLimits(scheduler any) *resources.NUMALimits {
	switch l := scheduler.(type) {
	case *nova.Object:
		return resources.LimitsOf(l.Obj("numa_topology"))
	case map[string]any:
		over, _ := l["numa_topology"].(*nova.Object)
		return resources.LimitsOf(over)
	}
	return nil
}

// unclaim gives the resources back. That the record names this host no longer is settled with the outcome.
func (s *spawn) unclaim(ctx context.Context) error {
	if s.claim == nil {
		return nil
	}
	s.claim.Abort()
	return s.resources.Tell(ctx, s.cond.With(s.rc.Elevated()))
}
