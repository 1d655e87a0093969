package network

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"bolide/agent/cloud"
)

// HostRequest moves an instance's ports to a host.
type HostRequest struct {
	InstanceUUID     string
	ProjectID        string
	AvailabilityZone string
	// Host to bind to.
	Host string
	// LiveMigration means that the conductor has bound bandwidth and devices
	// already.
	LiveMigration bool
	// ProviderMapping says which resource provider fulfils a port's request for
	// bandwidth, by port or request group.
	ProviderMapping map[string][]string
	// Profiles are added to a port's binding profile, by port: the PCI device
	// that the new host claimed for it.
	Profiles map[string]Dict
}

// BindHost makes sure that the instance's ports are bound to a host, as the end
// of a move, an unshelve or an evacuation needs. Ports that are there already
// are left alone.
func (s *Service) BindHost(ctx context.Context, id cloud.Identity, r HostRequest) error {
	ports, err := s.instancePorts(ctx, id, r.InstanceUUID, r.ProjectID)
	if err != nil {
		return err
	}
	ext, err := s.api.Extensions(ctx, id.Node())
	if err != nil {
		return nodeFailed(err)
	}
	updates := make([]cloud.Attributes, len(ports))
	for i := range ports { // all of them before the first is changed
		if updates[i], err = hostUpdate(ext, &ports[i], r); err != nil {
			return err
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for i, p := range ports {
		if len(updates[i]) == 0 {
			continue
		}
		g.Go(func() error {
			port, err := s.api.UpdatePort(ctx, id.Node(), p.ID, updates[i])
			if err != nil {
				return bindFailed(err, p.ID, p.MACAddress)
			}
			return bound(port)
		})
	}
	return g.Wait()
}

// hostUpdate is what a port lacks to be bound to the host; empty if nothing.
func hostUpdate(ext cloud.Extensions, p *cloud.Port, r HostRequest) (cloud.Attributes, error) {
	profile, err := ParseDict(p.Profile)
	if err != nil {
		return nil, &Error{Class: PortUpdateFailed, Args: Args{"port_id": p.ID, "reason": "binding profile: " + err.Error()}}
	}
	update := cloud.Attributes{}
	if p.HostID != r.Host || p.VIFType == TypeUnbound || p.VIFType == TypeBindingFailed {
		update[cloud.AttrHostID] = r.Host
		update[cloud.AttrDeviceOwner] = deviceOwner(r.AvailabilityZone) // the zone may be another too
		if profile.Has(migratingTo) {
			profile.Delete(migratingTo)
			update[cloud.AttrProfile] = profile
		}
	}
	if r.LiveMigration {
		return update, nil
	}
	if extra := r.Profiles[p.ID]; extra.Len() > 0 {
		for _, name := range extra.Names() {
			profile.put(name, extra.Raw(name))
		}
		update[cloud.AttrProfile] = profile
	}
	if hasResourceRequest(ext, p) {
		if err := setAllocation(&profile, ext, p, r.ProviderMapping); err != nil {
			return nil, err
		}
		update[cloud.AttrProfile] = profile
	}
	return update, nil
}

// migratingTo in a binding profile names the host a port is about to move to.
const migratingTo = "migrating_to"

// BindPorts adds a binding to another host to each port, inactive until
// ActivateBindings, and returns them by port. When one fails the others are
// taken back. Needs BindingsSupported.
func (s *Service) BindPorts(ctx context.Context, id cloud.Identity, host string, info Info) (map[string]cloud.Binding, error) {
	made := make([]*cloud.Binding, len(info))
	errs := make([]error, len(info))
	var g errgroup.Group // a create that was cut off may have happened all the same
	g.SetLimit(parallel)
	for i, v := range info {
		g.Go(func() error {
			made[i], errs[i] = s.api.CreateBinding(ctx, id.Node(), v.ID, cloud.Attributes{
				"host": host, "vnic_type": v.VNICType, "profile": v.Profile,
			})
			return nil
		})
	}
	_ = g.Wait() // never fails: errors are in errs
	bindings := map[string]cloud.Binding{}
	for i, v := range info {
		if errs[i] != nil {
			failed := &Error{Class: PortBindingFailed, Args: Args{"port_id": v.ID}, Err: errs[i]}
			return nil, errors.Join(failed, undo(ctx, func(ctx context.Context) error {
				return s.DeleteBindings(ctx, id, host, info.PortIDs())
			}))
		}
		bindings[v.ID] = *made[i]
	}
	return bindings, nil
}

// ActivateBindings makes the host's bindings the ones in force, which turns the
// source host's off. Ports without a binding to the host end it early: then this
// kind of move does not use bindings, and BindHost follows.
func (s *Service) ActivateBindings(ctx context.Context, id cloud.Identity, host string, info Info) error {
	supported, err := s.BindingsSupported(ctx, id)
	if err != nil || !supported {
		return err
	}
	id = id.Node()
	for _, v := range info {
		binding, err := s.api.ShowBinding(ctx, id, v.ID, host)
		if cloud.IsNotFound(err) {
			return nil
		}
		if err != nil {
			// BindHost repairs what is missed here.
			s.log.WithError(err).WithField("port", v.ID).Warn("binding to the destination is not known")
			continue
		}
		if binding.Status == cloud.BindingActive {
			continue
		}
		err = s.api.ActivateBinding(ctx, id, v.ID, host)
		if err != nil && !cloud.IsConflict(err) { // a conflict: somebody else was faster
			return &Error{Class: PortBindingActivationFailed, Args: Args{"port_id": v.ID, "host": host}, Err: err}
		}
	}
	return nil
}

// DeleteBindings takes the ports' bindings to a host away; those that are gone
// are no error.
func (s *Service) DeleteBindings(ctx context.Context, id cloud.Identity, host string, portIDs []string) error {
	errs := make([]error, len(portIDs))
	var g errgroup.Group
	g.SetLimit(parallel)
	for i, portID := range portIDs {
		g.Go(func() error {
			err := s.api.DeleteBinding(ctx, id.Node(), portID, host)
			if err != nil && !cloud.IsNotFound(err) {
				errs[i] = &Error{Class: PortBindingDeletionFailed, Args: Args{"port_id": portID, "host": host}, Err: err}
			}
			return nil
		})
	}
	_ = g.Wait() // never fails: errors are in errs
	return errors.Join(errs...)
}

// BindingsSupported is whether Neutron knows several bindings of one port.
func (s *Service) BindingsSupported(ctx context.Context, id cloud.Identity) (bool, error) {
	ext, err := s.api.Extensions(ctx, id.Node())
	if err != nil {
		return false, nodeFailed(err)
	}
	return ext.Has(cloud.ExtBindings), nil
}

// MigrationRequest announces or ends a move to Host.
type MigrationRequest struct {
	InstanceUUID string
	ProjectID    string
	// InstanceHost is where the instance is now.
	InstanceHost string
	// Host is where it goes, or where it should not have gone.
	Host string
}

// StartMigration notes in the ports that they are about to move to Host, which
// lets Neutron prepare. It does nothing where the host does not change.
func (s *Service) StartMigration(ctx context.Context, id cloud.Identity, r MigrationRequest) error {
	if r.Host == "" || r.Host == r.InstanceHost {
		return nil
	}
	return s.noteMigration(ctx, id, r, func(p cloud.Port, profile *Dict) error {
		if p.HostID == r.Host || profile.Str(migratingTo) == r.Host {
			return nil
		}
		return profile.Set(migratingTo, r.Host)
	})
}

// CancelMigration takes that note away again, and the bindings to Host unless
// the instance is there.
func (s *Service) CancelMigration(ctx context.Context, id cloud.Identity, r MigrationRequest) error {
	err := s.noteMigration(ctx, id, r, func(_ cloud.Port, profile *Dict) error {
		profile.Delete(migratingTo)
		return nil
	})
	if err != nil || r.Host == "" || r.Host == r.InstanceHost {
		return err
	}
	return s.CleanUpHost(ctx, id, r)
}

// CleanUpHost deletes the bindings of the instance's ports to Host; the ports
// stay the instance's.
func (s *Service) CleanUpHost(ctx context.Context, id cloud.Identity, r MigrationRequest) error {
	supported, err := s.BindingsSupported(ctx, id)
	if err != nil || !supported {
		return err
	}
	ports, err := s.instancePorts(ctx, id, r.InstanceUUID, r.ProjectID)
	if err != nil {
		return err
	}
	var ids []string
	for _, p := range ports {
		ids = append(ids, p.ID)
	}
	return s.DeleteBindings(ctx, id, r.Host, ids)
}

// noteMigration changes the profiles of the ports bound to the instance's
// present host, where the change makes a difference.
func (s *Service) noteMigration(ctx context.Context, id cloud.Identity, r MigrationRequest, change func(cloud.Port, *Dict) error) error {
	ports, err := s.instancePorts(ctx, id, r.InstanceUUID, r.ProjectID)
	if err != nil {
		return err
	}
	ports = slices.DeleteFunc(ports, func(p cloud.Port) bool { return p.HostID != r.InstanceHost })
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for _, p := range ports {
		profile, err := ParseDict(p.Profile)
		if err != nil {
			return fmt.Errorf("port %s: binding profile: %w", p.ID, err)
		}
		was := profile.Str(migratingTo)
		if err := change(p, &profile); err != nil {
			return err
		}
		if profile.Str(migratingTo) == was {
			continue
		}
		g.Go(func() error {
			_, err := s.api.UpdatePort(ctx, id.Node(), p.ID, cloud.Attributes{cloud.AttrProfile: profile})
			if err != nil {
				return nodeFailed(fmt.Errorf("note migration in port %s: %w", p.ID, err))
			}
			return nil
		})
	}
	return g.Wait()
}
