package network

import (
	"context"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"bolide/agent/cloud"
)

// FixedIPRequest changes the addresses of an instance that exists.
type FixedIPRequest struct {
	InstanceUUID     string
	ProjectID        string
	AvailabilityZone string
	// NetworkID to add an address of; for AddFixedIP.
	NetworkID string
	// Address to take away; for RemoveFixedIP.
	Address string
	Current Info
}

// AddFixedIP gives one of the instance's ports on the network one more address,
// from the first of its subnets that has one.
func (s *Service) AddFixedIP(ctx context.Context, id cloud.Identity, r FixedIPRequest) (Info, error) {
	var subnets []cloud.Subnet
	var ports []cloud.Port
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		subnets, err = s.api.ListSubnets(gctx, id, cloud.Filter{"network_id": {r.NetworkID}})
		return err
	})
	g.Go(func() (err error) {
		ports, err = s.api.ListPorts(gctx, id, r.filter("network_id", r.NetworkID))
		return err
	})
	if err := g.Wait(); err != nil {
		return nil, userFailed(fmt.Errorf("read network %s: %w", r.NetworkID, err))
	}
	var last error
	for _, p := range ports {
		for _, subnet := range subnets {
			addresses := append(slices.Clone(p.FixedIPs), cloud.FixedIP{SubnetID: subnet.ID})
			_, err := s.api.UpdatePort(ctx, id, p.ID, cloud.Attributes{"fixed_ips": addresses})
			if err == nil {
				return s.Refresh(ctx, id, r.refresh())
			}
			last = err
		}
	}
	return nil, &Error{Class: NetworkNotFoundForInstance, Args: Args{"instance_id": r.InstanceUUID}, Err: last}
}

// RemoveFixedIP takes an address from the port that has it.
func (s *Service) RemoveFixedIP(ctx context.Context, id cloud.Identity, r FixedIPRequest) (Info, error) {
	ports, err := s.api.ListPorts(ctx, id, r.filter("fixed_ips", "ip_address="+r.Address))
	if err != nil {
		return nil, userFailed(fmt.Errorf("find port with address %s: %w", r.Address, err))
	}
	if len(ports) == 0 {
		return nil, refuse(FixedIPNotFoundForInstance, Args{"instance_uuid": r.InstanceUUID, "ip": r.Address})
	}
	p := ports[0]
	left := []cloud.FixedIP{}
	for _, ip := range p.FixedIPs {
		if ip.IPAddress != r.Address {
			left = append(left, ip)
		}
	}
	if _, err := s.api.UpdatePort(ctx, id, p.ID, cloud.Attributes{"fixed_ips": left}); err != nil {
		return nil, userFailed(fmt.Errorf("take address %s from port %s: %w", r.Address, p.ID, err))
	}
	return s.Refresh(ctx, id, r.refresh())
}

func (r FixedIPRequest) filter(name, value string) cloud.Filter {
	return cloud.Filter{"device_id": {r.InstanceUUID}, "device_owner": {deviceOwner(r.AvailabilityZone)}, name: {value}}
}

func (r FixedIPRequest) refresh() RefreshRequest {
	return RefreshRequest{InstanceUUID: r.InstanceUUID, ProjectID: r.ProjectID, Current: r.Current}
}
