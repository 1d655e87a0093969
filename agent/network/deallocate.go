package network

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"golang.org/x/sync/errgroup"

	"bolide/agent/cloud"
)

// DeallocateRequest gives back an instance's ports.
type DeallocateRequest struct {
	InstanceUUID string
	ProjectID    string
	// Current says which ports existed before the instance.
	Current Info
	// Requested are those of a build that failed, before Current knew of them.
	Requested []Requested
	Records   VIFRecorder
}

// Deallocate deletes the ports that were made for the instance, frees the ones
// that were not, and removes the VIF rows. It may be repeated. Only ports that
// could not be deleted are an error; one that cannot be freed is logged, for it
// must not hold up a delete.
func (s *Service) Deallocate(ctx context.Context, id cloud.Identity, r DeallocateRequest) error {
	if alone(r.Requested, NetworkNone) {
		return nil
	}
	ports, err := s.instancePorts(ctx, id, r.InstanceUUID, r.ProjectID)
	if err != nil {
		return err
	}
	kept := preserved(r.Current)
	for _, want := range r.Requested {
		if want.PortID != "" {
			kept[want.PortID] = true
		}
	}
	var foreign []cloud.Port
	var ours []string
	for _, p := range ports {
		if kept[p.ID] {
			foreign = append(foreign, p)
		} else {
			ours = append(ours, p.ID)
		}
	}
	var g errgroup.Group // one part's failure does not stop the other
	g.Go(func() error { s.unbind(ctx, id, foreign); return nil })
	g.Go(func() error { return s.deletePorts(ctx, id, ours) })
	if err := g.Wait(); err != nil {
		return err
	}
	return r.Records.DeleteVIFs(ctx, r.InstanceUUID)
}

// DeallocatePortRequest takes one port from an instance.
type DeallocatePortRequest struct {
	InstanceUUID string
	ProjectID    string
	PortID       string
	Current      Info
	Records      VIFRecorder
}

// Detached is the outcome of DeallocatePort.
type Detached struct {
	// Info is what the instance has left.
	Info Info
	// Freed is what the port took of resource providers, to be given back to
	// Placement.
	Freed map[string]cloud.Resources
}

// DeallocatePort deletes or frees one port, removes its VIF row and reads the
// rest anew. A port that is gone already is no error.
func (s *Service) DeallocatePort(ctx context.Context, id cloud.Identity, r DeallocatePortRequest) (Detached, error) {
	var out Detached
	var port *cloud.Port
	var ext cloud.Extensions
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		port, err = s.api.ShowPort(gctx, id.Node(), r.PortID)
		if cloud.IsNotFound(err) {
			port, err = nil, nil
		}
		return err
	})
	g.Go(func() (err error) {
		ext, err = s.api.Extensions(gctx, id.Node())
		return err
	})
	if err := g.Wait(); err != nil {
		return out, nodeFailed(fmt.Errorf("read port %s: %w", r.PortID, err))
	}
	if port != nil {
		out.Freed = portAllocation(ext, port)
		if preserved(r.Current)[r.PortID] {
			s.unbind(ctx, id, []cloud.Port{*port})
		} else if err := s.deletePorts(ctx, id, []string{r.PortID}); err != nil {
			return out, err
		}
	}
	if err := r.Records.DeleteVIF(ctx, r.InstanceUUID, r.PortID); err != nil {
		return out, err
	}
	rest := slices.DeleteFunc(slices.Clone(r.Current), func(v VIF) bool { return v.ID == r.PortID })
	var err error
	out.Info, err = s.Refresh(ctx, id, RefreshRequest{InstanceUUID: r.InstanceUUID, ProjectID: r.ProjectID, Current: rest})
	return out, err
}

// instancePorts are the project's ports that carry the instance's uuid, as an
// administrator sees them. The project matters: anybody may write any uuid on a
// port of their own.
func (s *Service) instancePorts(ctx context.Context, id cloud.Identity, instanceUUID, projectID string) ([]cloud.Port, error) {
	filter := cloud.Filter{"device_id": {instanceUUID}}
	if projectID != "" {
		filter.Set("tenant_id", projectID)
	}
	ports, err := s.api.ListPorts(ctx, id.Node(), filter)
	if err != nil {
		return nil, nodeFailed(fmt.Errorf("read ports of instance %s: %w", instanceUUID, err))
	}
	return ports, nil
}

// deletePorts deletes in the name of the ports' owner; ports that are gone are
// no error.
func (s *Service) deletePorts(ctx context.Context, id cloud.Identity, portIDs []string) error {
	errs := make([]error, len(portIDs))
	var g errgroup.Group
	g.SetLimit(parallel)
	for i, portID := range portIDs {
		g.Go(func() error {
			if err := s.api.DeletePort(ctx, id, portID); err != nil && !cloud.IsNotFound(err) {
				errs[i] = userFailed(fmt.Errorf("delete port %s: %w", portID, err))
			}
			return nil
		})
	}
	_ = g.Wait() // never fails: errors are in errs
	return errors.Join(errs...)
}

// hostKeys are the members of a binding profile that describe a device of the
// host, which the port leaves behind.
var hostKeys = []string{
	"pci_vendor_info", "pci_slot", "allocation", "arq_uuid", "physical_network", "card_serial_number",
	"vf_num", "pf_mac_address", "device_mac_address",
}

// unbind frees ports that outlive the instance. Failures are logged only.
func (s *Service) unbind(ctx context.Context, id cloud.Identity, ports []cloud.Port) {
	if len(ports) == 0 {
		return
	}
	ext, domains := s.dnsDomains(ctx, id, ports)
	var g errgroup.Group
	g.SetLimit(parallel)
	for _, p := range ports {
		g.Go(func() error {
			if err := s.unbindPort(ctx, id, p, ext, domains[p.NetworkID]); err != nil {
				s.log.WithError(err).WithField("port", p.ID).Warn("port is not freed")
			}
			return nil
		})
	}
	_ = g.Wait() // never fails: errors are logged
}

func (s *Service) unbindPort(ctx context.Context, id cloud.Identity, p cloud.Port, ext cloud.Extensions, dnsDomain string) error {
	profile, err := ParseDict(p.Profile)
	if err != nil {
		profile = Dict{}
	}
	profile.Delete(hostKeys...)
	attributes := cloud.Attributes{
		cloud.AttrDeviceID: "", cloud.AttrDeviceOwner: "", cloud.AttrHostID: nil, cloud.AttrProfile: profile,
	}
	if ext.Has(cloud.ExtDNS) && dnsDomain == "" {
		attributes[cloud.AttrDNSName] = ""
	}
	_, err = s.api.UpdatePort(ctx, id.Node(), p.ID, attributes)
	if cloud.IsNotFound(err) {
		return nil
	}
	if err != nil || !ext.Has(cloud.ExtDNS) || dnsDomain == "" {
		return err
	}
	_, err = s.api.UpdatePort(ctx, id, p.ID, cloud.Attributes{cloud.AttrDNSName: ""})
	return err
}

// dnsDomains reads the DNS domain of each port's network, where DNS matters at
// all. What cannot be read counts as having none.
func (s *Service) dnsDomains(ctx context.Context, id cloud.Identity, ports []cloud.Port) (cloud.Extensions, map[string]string) {
	ext, err := s.api.Extensions(ctx, id.Node())
	if err != nil || !ext.Has(cloud.ExtDNS) {
		return ext, nil
	}
	var ids []string
	for _, p := range ports {
		ids = append(ids, p.NetworkID)
	}
	networks, err := s.api.ListNetworks(ctx, id.Node(), cloud.Filter{"id": unique(ids), "fields": {"id", "dns_domain"}})
	if err != nil {
		s.log.WithError(err).Warn("DNS domains of networks are not known")
	}
	domains := map[string]string{}
	for _, n := range networks {
		domains[n.ID] = n.DNSDomain
	}
	return ext, domains
}

// setExternalDNS names a port on a network with a DNS domain of its own. Its
// record is in the user's zone, so the user must write it.
func (s *Service) setExternalDNS(ctx context.Context, id cloud.Identity, portID, hostname string) error {
	_, err := s.api.UpdatePort(ctx, id, portID, cloud.Attributes{cloud.AttrDNSName: hostname})
	if cloud.IsStatus(err, http.StatusBadRequest) {
		reason := fmt.Sprintf("Instance hostname %s is not a valid DNS name", hostname)
		return &Error{Class: InvalidInput, Args: Args{"reason": reason}, Err: err}
	}
	if err != nil {
		return userFailed(fmt.Errorf("name port %s: %w", portID, err))
	}
	return nil
}

func preserved(info Info) map[string]bool {
	ids := map[string]bool{}
	for _, v := range info {
		if v.PreserveOnDelete {
			ids[v.ID] = true
		}
	}
	return ids
}
