package network

import (
	"context"
	"slices"

	"bolide/agent/cloud"
)

// RefreshRequest asks for an instance's network information anew.
type RefreshRequest struct {
	InstanceUUID string
	ProjectID    string
	// Current is what is cached; it tells which ports there are, their order and
	// their origin. If it is empty, Neutron tells which ports there are.
	Current Info
	// PortID limits the reading to one port, as the event network-changed names
	// it: it is renewed, added, or dropped if it is no longer the instance's.
	PortID string
	// Records, when set, make Neutron the judge of which ports there are, in
	// the order of the records; ports without a record come last. This heals a
	// cache that has lost ports.
	Records VIFRecorder
}

// Refresh reads Neutron and returns the new network information. Ports that are
// no longer the instance's are dropped. Current is not changed.
func (s *Service) Refresh(ctx context.Context, id cloud.Identity, r RefreshRequest) (Info, error) {
	ports, err := s.instancePorts(ctx, id, r.InstanceUUID, r.ProjectID)
	if err != nil {
		return nil, err
	}
	if r.PortID != "" {
		return s.refreshPort(ctx, id, r, ports)
	}
	order := r.Current.PortIDs()
	switch {
	case len(order) == 0 && r.Records == nil:
		order = recordedOrder(ports, nil)
	case r.Records != nil:
		records, err := r.Records.ListVIFs(ctx, r.InstanceUUID)
		if err != nil {
			return nil, err
		}
		order = recordedOrder(ports, records)
	}
	return s.describePorts(ctx, id, r, inOrder(ports, order))
}

func (s *Service) refreshPort(ctx context.Context, id cloud.Identity, r RefreshRequest, ports []cloud.Port) (Info, error) {
	info := slices.Clone(r.Current)
	at := info.Index(r.PortID)
	fresh, err := s.describePorts(ctx, id, r, inOrder(ports, []string{r.PortID}))
	if err != nil {
		return nil, err
	}
	switch {
	case len(fresh) == 0 && at >= 0:
		return slices.Delete(info, at, at+1), nil
	case len(fresh) == 0:
		return info, nil
	case at >= 0:
		info[at] = fresh[0]
		return info, nil
	}
	return append(info, fresh[0]), nil
}

func (s *Service) describePorts(ctx context.Context, id cloud.Identity, r RefreshRequest, ports []cloud.Port) (Info, error) {
	f, err := s.gather(ctx, id, surroundings{}.and(ports))
	if err != nil {
		return nil, err
	}
	kept := preserved(r.Current)
	info := Info{}
	for _, p := range ports {
		vif, err := f.vif(p, s.opts)
		if err != nil {
			return nil, err
		}
		vif.PreserveOnDelete = kept[p.ID]
		if old := r.Current.Find(p.ID); old != nil && old.VNICType != vif.VNICType {
			s.log.WithField("port", p.ID).WithField("instance", r.InstanceUUID).
				WithField("was", old.VNICType).WithField("is", vif.VNICType).
				Error("vnic_type of a bound port was changed in Neutron, which breaks the guest's connection; change it back")
		}
		info = append(info, vif)
	}
	return info, nil
}

// inOrder picks the ports in this order; ids without a port are left out.
func inOrder(ports []cloud.Port, order []string) []cloud.Port {
	var picked []cloud.Port
	known := byID(ports)
	for _, portID := range order {
		if p, ok := known[portID]; ok {
			picked = append(picked, p)
		}
	}
	return picked
}

// recordedOrder is the ports' order by their records, then those without.
func recordedOrder(ports []cloud.Port, records []VIFRecord) []string {
	known := byID(ports)
	var order []string
	for _, r := range records {
		if _, ok := known[r.UUID]; ok && !slices.Contains(order, r.UUID) {
			order = append(order, r.UUID)
		}
	}
	for _, p := range ports {
		if !slices.Contains(order, p.ID) {
			order = append(order, p.ID)
		}
	}
	return order
}
