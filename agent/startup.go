package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"bolide/rpc"
)

// start brings the node from nothing to serving, in the order that Nova's control plane knows from its own nodes:
// guests are looked after before the service record says that the node is there, and requests are taken last.
func (a *Agent) start(ctx context.Context) (*rpc.Server, error) {
	for _, s := range []step{
		{name: "reach a conductor", do: func(ctx context.Context) error { return awaitConductor(ctx, a.conductor, a.log) }},
		{name: "check the cloud's version", do: a.checkVersion},
		{name: "check that nobody else is this host", do: a.checkAlone},
		{name: "reach libvirt", do: a.hypervisor.WaitReady},
		{name: "check the hypervisor", do: a.checkHypervisor},
		{name: "check this host's identity", do: a.checkIdentity},
		{name: "look after guests that leave", do: a.resumeDepartures},
		{name: "look after guests", do: a.recover},
		{name: "register", do: a.registration.register},
		{name: "report resources", do: a.reportFirst},
	} {
		if err := a.patiently(ctx, s); err != nil {
			return nil, err
		}
	}
	server := a.link.Serve(serviceTopic, a.endpoints()...)
	server.Start()
	// whoever hears that the node is there sends at once, and what finds no queue is lost
	if err := a.link.WaitUp(ctx); err != nil {
		return nil, err
	}
	a.serving.Store(true)
	a.openedAt = time.Now()
	close(a.open)
	a.log.WithField("host", a.cfg.Default.Host).WithField("release", a.profile.Name).Info("serving")
	return server, nil
}

// patiently does a step of the start again while what it needs is away: a node that gave up would only be started
// again.
func (a *Agent) patiently(ctx context.Context, s step) error {
	const first, last = 500 * time.Millisecond, 10 * time.Second
	for pause := first; ; pause = min(2*pause, last) {
		err := s.attempt(ctx)
		if err == nil || !away(err) || ctx.Err() != nil {
			return err
		}
		if pause == first {
			a.log.WithError(err).Warn("start waits for what is away")
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// reportFirst tells the control plane what the host has. A Placement that is away keeps nobody from deleting guests or
// using them: it is told by and by.
func (a *Agent) reportFirst(ctx context.Context) error {
	if err := a.resources.Update(ctx, a.conductor); err != nil && ctx.Err() == nil {
		a.log.WithError(err).Error("resources not reported; trying again, and no guest is built here until then")
	}
	return ctx.Err()
}

// reportUntilTaken goes on trying where reportFirst failed.
func (a *Agent) reportUntilTaken(ctx context.Context) error {
	const first, last = time.Second, 15 * time.Second
	for pause := first; a.resources.Capacity().Told.IsZero(); pause = min(2*pause, last) {
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		}
		if err := a.resources.Update(ctx, a.freshConductor()); err != nil {
			a.log.WithError(err).Debug("resources not reported yet")
			continue
		}
		a.log.Info("resources reported")
	}
	return nil
}

// checkVersion refuses to join a cloud whose other nodes are too old for this release to work beside.
func (a *Agent) checkVersion(ctx context.Context) error {
	floor, err := a.conductor.MinimumServiceVersion(ctx, serviceBinary)
	if err != nil {
		return err
	}
	if floor != 0 && floor < a.profile.OldestService && !a.cfg.Workarounds.DisableComputeServiceCheckForFFU {
		return fmt.Errorf("the oldest compute service of this cloud has version %d, but release %s needs %d: upgrade that service first, or set [bolide] release",
			floor, a.profile.Name, a.profile.OldestService)
	}
	return nil
}

// checkHypervisor reads what libvirt says of the host and refuses a host that could not run the guests it is
// configured for.
func (a *Agent) checkHypervisor(ctx context.Context) error {
	facts, err := a.hypervisor.Facts(ctx)
	if err != nil {
		return err
	}
	return errors.Join(facts.CheckVirtType(a.cfg.Libvirt.VirtType), checkEmulator(a.cfg.Libvirt))
}

// checkAlone refuses to be a second compute service of one name: each would take half of the requests, and both would
// write the same records.
func (a *Agent) checkAlone(ctx context.Context) error {
	served, err := a.link.Served(ctx, rpc.Target{Topic: serviceTopic, Server: a.cfg.Default.Host})
	if err == nil && served {
		name, _ := os.Hostname() // for the message only
		err = fmt.Errorf("another compute service serves host %q, which this one on %q is to be: stop it, or set [DEFAULT] host", a.cfg.Default.Host, name)
	}
	return err
}

func (a *Agent) checkIdentity(ctx context.Context) error {
	facts, err := a.hypervisor.Facts(ctx)
	if err != nil {
		return err
	}
	return guardIdentity(a.cfg.Default.StatePath, hostIdentity{Host: a.cfg.Default.Host, Node: facts.Hostname, Machine: machineNumber()})
}

// endpoints are the versions of the compute RPC API that this node serves: the current one, and the one before
// for callers that are still pinned to it.
func (a *Agent) endpoints() []rpc.Endpoint {
	methods := map[string]rpc.Handler{}
	for _, make := range operations {
		op := make(a)
		methods[op.method] = a.handler(op)
	}
	for _, method := range computeMethods {
		if methods[method] == nil {
			methods[method] = a.handler(refused(method))
		}
	}
	return []rpc.Endpoint{
		{Version: a.profile.ComputeRPC, Methods: methods},
		olderEndpoint(methods),
	}
}
