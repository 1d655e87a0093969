package agent

import (
	"context"
	"errors"
	"time"

	"bolide/agent/cloud"
	"bolide/agent/recovery"
	"bolide/hypervisor"
	"bolide/rpc"
	"bolide/rpc/nova"
)

const (
	// mendLimit bounds the mending of one instance, with all its waiting for services that are away.
	mendLimit = 10 * time.Minute
	// requestGrace is how long after the node has begun to take requests one that waited for it has come.
	requestGrace = 5 * time.Second
)

// mend puts the mending of an instance into its queue.
func (a *Agent) mend(p patient) {
	t := a.ownTask("recover", p.uuid, contextOf(p))
	_, err := a.queues.add(p.uuid, &job{name: t.op.method, interruptible: true, run: func(ctx context.Context) {
		if err := a.awaitService(ctx); err != nil {
			return
		}
		if !p.interrupted() {
			t.inst = p.inst
			t.replug(ctx)
			return
		}
		t.entry = a.board.Begin(t.describe())
		remedy, err := t.mended(ctx, p)
		if errors.Is(context.Cause(ctx), errDeleted) {
			err = nil // the delete that interrupted has the rest
		}
		t.entry.End(err)
		log := t.log.WithField("remedy", string(remedy)).WithField("dur", time.Since(t.began).Round(time.Millisecond).String())
		switch {
		case errors.Is(context.Cause(ctx), errShutdown):
			log.Info("stopped before the instance was recovered; the next start will")
			return // the journal keeps its pages
		case err != nil:
			log.WithError(err).Error("instance not recovered")
		default:
			log.Info("instance recovered")
		}
		for _, page := range p.pages {
			page.End()
		}
	}})
	if err != nil {
		t.log.WithError(err).Debug("not recovered")
	}
}

// contextOf is that of the last request that was cut short, or else the node's own: its action is still open.
func contextOf(p patient) rpc.Context {
	rc := rpc.AdminContext()
	if n := len(p.pages); n > 0 && p.pages[n-1].Record().RequestID != "" {
		rc["request_id"] = p.pages[n-1].Record().RequestID
	}
	return rc
}

// awaitService waits until requests are served: from then on the host is measured, and what has come for an instance
// while the node was away stands in line behind its mending.
func (a *Agent) awaitService(ctx context.Context) error {
	select {
	case <-a.open:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// mended reads the instance again, takes back what the journal tells of, and does what the table says.
func (t *task) mended(ctx context.Context, p patient) (remedy recovery.Remedy, err error) {
	ctx, cancel := context.WithTimeout(ctx, mendLimit)
	defer cancel()
	if err := t.mending.Acquire(ctx, 1); err != nil {
		return p.remedy, context.Cause(ctx)
	}
	defer t.mending.Release(1)
	err = t.persist(ctx, func(ctx context.Context) error { return t.load(ctx) })
	if nova.Is(err, "InstanceNotFound") {
		return recovery.Delete, t.sweepDeleted(ctx, p.pages)
	}
	if err != nil {
		return p.remedy, err
	}
	if t.inst.Host() != t.cfg.Default.Host {
		return t.mendElsewhere(ctx, p)
	}
	remedy, err = t.remedy(ctx, p)
	if err != nil {
		return remedy, err
	}
	if err := t.takeBack(ctx, p.pages, remedy); err != nil {
		return remedy, err
	}
	return remedy, t.treat(ctx, remedy, p.pages)
}

// remedy looks the instance up in the table as it is now. It leaves an instance alone whose task is a new one, or whose
// request turns out to have waited for this node to start.
func (t *task) remedy(ctx context.Context, p patient) (recovery.Remedy, error) {
	if p.inst != nil && t.inst.TaskState() != p.inst.TaskState() && t.inst.TaskState() != nova.TaskDeleting {
		return recovery.Leave, nil
	}
	var power nova.PowerState
	err := t.persist(ctx, func(ctx context.Context) (err error) {
		power, err = t.powerNow(ctx)
		return err
	})
	if err != nil {
		return p.remedy, err
	}
	remedy := recovery.For(finding(t.inst, power))
	if remedy == recovery.Leave && t.pageOfMove(p.pages) != "" {
		remedy = recovery.EndMove // the record alone cannot tell that nobody is at it
	}
	if recovery.AsRequested(t.inst.TaskState()) && !p.pages.began(remedy) && t.requestFollows(ctx) {
		return recovery.Leave, nil
	}
	return remedy, ctx.Err()
}

// requestFollows waits for the time in which a request that was under way arrives, and reports whether one did.
func (t *task) requestFollows(ctx context.Context) bool {
	ctx, cancel := context.WithDeadline(ctx, t.openedAt.Add(requestGrace))
	defer cancel()
	return t.queues.awaitRequest(ctx, t.inst.UUID())
}

// persist repeats work while what it needs is away, until ctx ends.
func (t *task) persist(ctx context.Context, work func(context.Context) error) error {
	const first, last = time.Second, 15 * time.Second
	for pause := first; ; pause = min(2*pause, last) {
		err := work(ctx)
		if err == nil || !away(err) || ctx.Err() != nil {
			return err
		}
		t.log.WithError(err).Debug("trying again")
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		}
	}
}

// away reports whether err says that a service or libvirt does not do its work at present, rather than that it refused.
func away(err error) bool {
	var service *cloud.Error
	return errors.Is(err, rpc.ErrTimeout) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, hypervisor.ErrUnavailable) || errors.Is(err, hypervisor.ErrTimeout) ||
		cloud.IsUnreachable(err) || errors.As(err, &service) && service.Status >= 500
}

// replug makes sure that the links of a running guest's ports are there, as they are before a guest starts. A failure
// is the operator's to look at; the guest runs.
func (t *task) replug(ctx context.Context) {
	if err := t.plug(ctx, t.cachedPorts()); err != nil && ctx.Err() == nil {
		t.log.WithError(err).Warn("ports of a running guest not looked after")
	}
}

// mendElsewhere takes back what an operation made here for an instance that is on no host or on another: a build that
// had not put this host on its record, or a request that was handed on.
func (t *task) mendElsewhere(ctx context.Context, p patient) (recovery.Remedy, error) {
	if move := t.pageOfMove(p.pages); move != "" {
		return recovery.EndMove, t.endMove(ctx, move, p.pages)
	}
	if _, ours := p.pages.built(); ours && t.inst.Host() == "" && t.inst.VMState() == nova.VMBuilding {
		return recovery.GiveUpBuild, t.treat(ctx, recovery.GiveUpBuild, p.pages)
	}
	if p.pages.last().Operation == "unshelve_instance" && t.inst.Host() == "" && t.inst.VMState() == nova.VMShelvedOffloaded {
		return recovery.GiveUpUnshelve, t.treat(ctx, recovery.GiveUpUnshelve, p.pages)
	}
	return recovery.Leave, t.takeBack(ctx, p.pages, recovery.Leave)
}
