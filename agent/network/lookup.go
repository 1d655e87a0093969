package network

import (
	"context"
	"fmt"
	"net/url"
	"slices"

	"golang.org/x/sync/errgroup"

	"bolide/agent/cloud"
)

// lookUp finds what the request names and checks that the user may have it. It
// fills in a.requests, a.groups and a.ext.
func (a *allocation) lookUp(ctx context.Context) error {
	var ports map[string]cloud.Port
	var networks []cloud.NetworkRecord
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		a.ext, err = a.api.Extensions(gctx, a.id.Node())
		return err
	})
	g.Go(func() (err error) {
		a.groups, err = a.findGroups(gctx)
		return err
	})
	g.Go(func() (err error) {
		ports, err = a.findPorts(gctx)
		return err
	})
	named := namedNetworks(a.Requested)
	if len(named) > 0 {
		g.Go(func() (err error) {
			networks, err = a.networks(gctx, url.Values{"id": named})
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if err := a.plan(ports); err != nil {
		return err
	}
	return a.findNetworks(ctx, networks)
}

// plan lists the requests in order, with their ports checked.
func (a *allocation) plan(ports map[string]cloud.Port) error {
	if alone(a.Requested, NetworkAuto) {
		return nil
	}
	for _, want := range a.Requested {
		r := request{Requested: want}
		if want.PortID != "" {
			port, ok := ports[want.PortID]
			if !ok {
				return refuse(PortNotFound, Args{"port_id": want.PortID})
			}
			if err := a.usable(port); err != nil {
				return err
			}
			r.port, r.NetworkID = &port, port.NetworkID
		}
		if r.NetworkID != "" {
			a.requests = append(a.requests, r)
		}
	}
	return nil
}

// usable is whether the instance may have an existing port.
func (a *allocation) usable(p cloud.Port) error {
	switch {
	case p.TenantID != a.ProjectID:
		return refuse(PortNotUsable, Args{"port_id": p.ID, "instance": a.InstanceUUID})
	case p.DeviceID != "":
		return refuse(PortInUse, Args{"port_id": p.ID})
	case p.DNSName != "" && p.DNSName != a.Hostname:
		return refuse(PortNotUsableDNS, Args{
			"port_id": p.ID, "instance": a.InstanceUUID, "value": p.DNSName, "hostname": a.Hostname,
		})
	}
	return bound(&p)
}

// findPorts reads the requested ports in the node's name: only an administrator
// is shown a port's request for bandwidth.
func (a *allocation) findPorts(ctx context.Context) (map[string]cloud.Port, error) {
	var ids []string
	for _, r := range a.Requested {
		if r.PortID != "" {
			ids = append(ids, r.PortID)
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	ports, err := a.api.ListPorts(ctx, a.id.Node(), cloud.Filter{"id": ids})
	if err != nil {
		return nil, nodeFailed(fmt.Errorf("read requested ports: %w", err))
	}
	return byID(ports), nil
}

// findNetworks gives each request its network; where no network was asked for
// it makes the one request there is to make. known are the networks read
// already.
func (a *allocation) findNetworks(ctx context.Context, known []cloud.NetworkRecord) error {
	if len(a.requests) == 0 {
		return a.defaultNetwork(ctx)
	}
	has := func(networkID string) bool {
		return slices.ContainsFunc(known, func(n cloud.NetworkRecord) bool { return n.ID == networkID })
	}
	var missing []string
	for _, r := range a.requests { // ports bring networks that were not named
		if r.port != nil && !has(r.NetworkID) {
			missing = append(missing, r.NetworkID)
		}
	}
	if len(missing) > 0 {
		more, err := a.networks(ctx, url.Values{"id": unique(missing)})
		if err != nil {
			return err
		}
		known = append(known, more...)
	}
	var kept []request
	for _, r := range a.requests {
		i := slices.IndexFunc(known, func(n cloud.NetworkRecord) bool { return n.ID == r.NetworkID })
		if i < 0 && r.port == nil {
			return refuse(NetworkNotFound, Args{"network_id": r.NetworkID})
		}
		if i < 0 {
			continue // a port on a network that is not the user's to see
		}
		r.network = known[i]
		kept = append(kept, r)
	}
	a.requests = kept
	return a.checkExternal()
}

// defaultNetwork is the project's only network, or the one Neutron makes.
func (a *allocation) defaultNetwork(ctx context.Context) error {
	auto := alone(a.Requested, NetworkAuto)
	networks, err := a.availableNetworks(ctx, auto)
	if err != nil {
		return err
	}
	switch {
	case len(networks) == 0 && auto:
		n, err := a.autoAllocate(ctx)
		if err != nil {
			return err
		}
		networks = []cloud.NetworkRecord{*n}
	case len(networks) == 0 && len(a.Requested) == 0:
		return nil
	case len(networks) == 0:
		return refuse(InterfaceAttachFailedNoNetwork, Args{"project_id": a.ProjectID})
	case len(networks) > 1:
		return &Error{
			Class: NetworkAmbiguous, Message: "Multiple possible networks found, use a Network ID to be more specific.",
		}
	}
	r := request{network: networks[0]}
	if len(a.Requested) == 1 && !auto {
		r.Requested = a.Requested[0] // its tag and address still count
	}
	r.NetworkID = networks[0].ID
	a.requests = []request{r}
	return a.checkExternal()
}

// availableNetworks are the project's own and the shared ones.
func (a *allocation) availableNetworks(ctx context.Context, auto bool) ([]cloud.NetworkRecord, error) {
	filter := url.Values{"tenant_id": {a.ProjectID}, "shared": {"False"}}
	if auto {
		// A topology is built in steps; what is not up yet is not ready.
		filter.Set("admin_state_up", "True")
	}
	var own, shared []cloud.NetworkRecord
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		own, err = a.networks(ctx, filter)
		return err
	})
	g.Go(func() (err error) {
		shared, err = a.networks(ctx, url.Values{"shared": {"True"}})
		return err
	})
	err := g.Wait()
	return append(own, shared...), err
}

func (a *allocation) autoAllocate(ctx context.Context) (*cloud.NetworkRecord, error) {
	networkID, err := a.api.AutoAllocatedNetwork(ctx, a.id, a.ProjectID)
	if cloud.IsConflict(err) {
		return nil, &Error{Class: UnableToAutoAllocateNetwork, Args: Args{"project_id": a.ProjectID}, Err: err}
	}
	if err != nil {
		return nil, userFailed(fmt.Errorf("allocate a network for project %s: %w", a.ProjectID, err))
	}
	n, err := a.api.ShowNetwork(ctx, a.id, networkID)
	if cloud.IsNotFound(err) {
		return nil, &Error{Class: UnableToAutoAllocateNetwork, Args: Args{"project_id": a.ProjectID}, Err: err}
	}
	if err != nil {
		return nil, userFailed(fmt.Errorf("read network %s: %w", networkID, err))
	}
	return n, nil
}

// checkExternal keeps users off external networks that are not shared.
func (a *allocation) checkExternal() error {
	if a.AllowExternal {
		return nil
	}
	for _, r := range a.requests {
		if r.network.External && !r.network.Shared {
			return refuse(ExternalNetworkAttachForbidden, Args{"network_uuid": r.NetworkID})
		}
	}
	return nil
}

// networks reads in the user's name, so that only what the user may see is
// found.
func (a *allocation) networks(ctx context.Context, filter url.Values) ([]cloud.NetworkRecord, error) {
	networks, err := a.api.ListNetworks(ctx, a.id, filter)
	if err != nil {
		return nil, userFailed(fmt.Errorf("read networks: %w", err))
	}
	return networks, nil
}

// findGroups turns names and ids of security groups into ids. "default" alone
// is what Neutron gives a port anyway.
func (a *allocation) findGroups(ctx context.Context) ([]string, error) {
	if len(a.SecurityGroups) == 0 || len(a.SecurityGroups) == 1 && a.SecurityGroups[0] == "default" {
		return nil, nil
	}
	groups, err := a.api.ListSecurityGroups(ctx, a.id, cloud.Filter{"tenant_id": {a.ProjectID}})
	if err != nil {
		return nil, userFailed(fmt.Errorf("read security groups: %w", err))
	}
	var ids []string
	for _, want := range a.SecurityGroups {
		byName, byID := "", ""
		for _, g := range groups {
			if g.Name == want {
				if byName != "" {
					return nil, &Error{Class: NoUniqueMatch, Message: fmt.Sprintf(
						"Multiple security groups found matching '%s'. Use an ID to be more specific.", want)}
				}
				byName = g.ID
			}
			if g.ID == want {
				byID = g.ID
			}
		}
		switch {
		case byName != "": // a name that looks like another group's id is a name
			ids = append(ids, byName)
		case byID != "":
			ids = append(ids, byID)
		default:
			return nil, refuse(SecurityGroupNotFound, Args{"security_group_id": want})
		}
	}
	return ids, nil
}

// namedNetworks are the ids of the networks asked for by name.
func namedNetworks(requested []Requested) []string {
	if alone(requested, NetworkAuto) {
		return nil
	}
	var ids []string
	for _, r := range requested {
		if r.NetworkID != "" && r.PortID == "" {
			ids = append(ids, r.NetworkID)
		}
	}
	return unique(ids)
}

func unique(ids []string) []string {
	ids = slices.Clone(ids)
	slices.Sort(ids)
	return slices.Compact(ids)
}
