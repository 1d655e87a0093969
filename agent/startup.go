package agent

import (
	"context"
	"fmt"

	"bolide/rpc"
)

// start brings the node from nothing to serving, in the order that Nova's control plane knows from its own nodes:
// guests are looked after before the service record says that the node is there, and requests are taken last.
func (a *Agent) start(ctx context.Context) (*rpc.Server, error) {
	for _, s := range []step{
		{name: "reach a conductor", do: func(ctx context.Context) error { return awaitConductor(ctx, a.conductor, a.log) }},
		{name: "check the cloud's version", do: a.checkVersion},
		{name: "reach libvirt", do: a.hypervisor.WaitReady},
		{name: "check the hypervisor", do: a.checkHypervisor},
		{name: "check this host's identity", do: a.checkIdentity},
		{name: "look after guests", do: a.recover},
		{name: "register", do: a.registration.register},
		{name: "report resources", do: func(ctx context.Context) error { return a.resources.Update(ctx, a.conductor) }},
	} {
		if err := s.attempt(ctx); err != nil {
			return nil, err
		}
	}
	server := a.link.Serve(serviceTopic, a.endpoints()...)
	server.Start()
	a.serving.Store(true)
	a.log.WithField("host", a.cfg.Default.Host).WithField("release", a.profile.Name).Info("serving")
	return server, nil
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
	return facts.CheckVirtType(a.cfg.Libvirt.VirtType)
}

func (a *Agent) checkIdentity(ctx context.Context) error {
	facts, err := a.hypervisor.Facts(ctx)
	if err != nil {
		return err
	}
	return guardIdentity(a.cfg.Default.StatePath, hostIdentity{Host: a.cfg.Default.Host, Node: facts.Hostname})
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
