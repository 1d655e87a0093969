package network

import (
	"context"

	"golang.org/x/sync/errgroup"

	"bolide/agent/cloud"
)

// checkSecurity refuses security groups where Neutron could not apply them.
func (a *allocation) checkSecurity() error {
	for _, r := range a.requests {
		protected := r.network.PortSecurityEnabled == nil || *r.network.PortSecurityEnabled
		if protected && len(r.network.Subnets) == 0 || !protected && len(a.groups) > 0 {
			return refuse(SecurityGroupCannotBeApplied, nil)
		}
	}
	return nil
}

// createPorts makes the ports that do not exist yet. All of them are waited for
// even if one fails: a create that is cut off may happen all the same.
func (a *allocation) createPorts(ctx context.Context) error {
	var g errgroup.Group
	g.SetLimit(parallel)
	for i := range a.requests {
		if r := &a.requests[i]; r.port == nil {
			g.Go(func() error { return a.createPort(ctx, r) })
		}
	}
	return g.Wait()
}

// createPort makes a port in the user's name, so that quota and policy are the
// user's. Binding is an administrator's matter and a request of its own, which
// costs Neutron as much again; for a user who is one it goes along.
func (a *allocation) createPort(ctx context.Context, r *request) error {
	attributes := cloud.Attributes{
		cloud.AttrDeviceID: a.InstanceUUID, "network_id": r.NetworkID,
		"admin_state_up": true, "tenant_id": a.ProjectID,
	}
	if r.Address != "" {
		attributes["fixed_ips"] = []cloud.FixedIP{{IPAddress: r.Address}}
	}
	if len(a.groups) > 0 {
		attributes["security_groups"] = a.groups
	}
	port, err := a.createBound(ctx, r, attributes)
	if port == nil && err == nil {
		port, err = a.api.CreatePort(ctx, a.id, attributes)
	}
	if err != nil {
		return createFailed(err, r, a.ProjectID)
	}
	r.port, r.created = port, true
	if hasResourceRequest(a.ext, port) {
		// Bandwidth was not scheduled for a port nobody knew of.
		return refuse(NetworksWithQoSNotSupported, Args{"instance_uuid": a.InstanceUUID, "network_id": r.NetworkID})
	}
	return bound(port)
}

// createBound makes the port and binds it, if the user may; no port and no error
// if not.
func (a *allocation) createBound(ctx context.Context, r *request, attributes cloud.Attributes) (*cloud.Port, error) {
	if !shownToAdmin(r.network) {
		return nil, nil
	}
	all, err := a.binding(r)
	if err != nil {
		return nil, err
	}
	for name, value := range attributes {
		all[name] = value
	}
	port, err := a.api.CreatePort(ctx, a.id, all)
	if cloud.IsForbidden(err) {
		return nil, nil
	}
	r.bound = err == nil
	return port, err
}

// shownToAdmin is whether the record has what Neutron shows to administrators
// only.
func shownToAdmin(n cloud.NetworkRecord) bool { return n.NetworkType != "" || len(n.Segments) > 0 }

// bindPorts gives the ports to the instance on this host. All of them are waited
// for, as in createPorts.
func (a *allocation) bindPorts(ctx context.Context) error {
	var g errgroup.Group
	g.SetLimit(parallel)
	for i := range a.requests {
		g.Go(func() error { return a.bind(ctx, &a.requests[i]) })
	}
	return g.Wait()
}

func (a *allocation) bind(ctx context.Context, r *request) error {
	if !r.bound {
		attributes, err := a.binding(r)
		if err != nil {
			return err
		}
		port, err := a.api.UpdatePort(ctx, a.id.Node(), r.port.ID, attributes)
		if err != nil {
			return bindFailed(err, r.port.ID, r.MAC)
		}
		if err := bound(port); err != nil {
			return err
		}
		r.port = port
	}
	if a.ext.Has(cloud.ExtDNS) && r.network.DNSDomain != "" {
		return a.setExternalDNS(ctx, a.id, r.port.ID, a.Hostname)
	}
	return nil
}

// binding are the attributes that bind a port.
func (a *allocation) binding(r *request) (cloud.Attributes, error) {
	attributes := cloud.Attributes{
		cloud.AttrDeviceID:    a.InstanceUUID,
		cloud.AttrDeviceOwner: deviceOwner(a.AvailabilityZone),
		cloud.AttrHostID:      a.Host,
	}
	var profile Dict
	if r.PortID != "" {
		var err error
		if profile, err = existingProfile(a.ext, r.port, a.ProviderMapping); err != nil {
			return nil, err
		}
	}
	for _, name := range r.Profile.Names() {
		profile.put(name, r.Profile.Raw(name))
	}
	if profile.Len() > 0 {
		attributes[cloud.AttrProfile] = profile
	}
	if r.MAC != "" {
		attributes["mac_address"] = r.MAC
	}
	if a.ext.Has(cloud.ExtDNS) && r.network.DNSDomain == "" {
		attributes[cloud.AttrDNSName] = a.Hostname
	}
	return attributes, nil
}

// record writes the VIF rows one after the other: their order is that of the
// guest's cards.
func (a *allocation) record(ctx context.Context) error {
	for _, r := range a.requests {
		err := a.Records.CreateVIF(ctx, VIFRecord{
			UUID: r.port.ID, Address: r.port.MACAddress + "/" + r.port.ID, InstanceUUID: a.InstanceUUID, Tag: r.Tag,
		})
		if err != nil {
			return err
		}
	}
	return nil
}
