package network

import (
	"context"
	"errors"
	"slices"

	"golang.org/x/sync/errgroup"

	"bolide/agent/cloud"
)

// Requested network ids that are no network: let Neutron make one, or have no
// network at all. They stand alone in a request.
const (
	NetworkAuto = "auto"
	NetworkNone = "none"
)

// Requested is one card that the user asked for: on a network, or an existing
// port. Neither means "whatever network there is" and stands alone.
type Requested struct {
	NetworkID string
	PortID    string
	// Address is a fixed IP for a new port; optional.
	Address string
	// Tag is the device tag; optional.
	Tag string
	// Profile is added to the port's binding profile: what a claimed PCI device
	// or accelerator needs Neutron to know.
	Profile Dict
	// MAC replaces the port's address, for a whole PCI device that brings its
	// own.
	MAC string
}

// AllocateRequest asks for an instance's ports.
type AllocateRequest struct {
	InstanceUUID     string
	ProjectID        string
	Hostname         string
	AvailabilityZone string
	// Host to bind to; empty is this host.
	Host string
	// Requested in the order of the guest's cards; empty means the project's
	// only network.
	Requested []Requested
	// SecurityGroups by name or id, for the ports that are made here.
	SecurityGroups []string
	// AllowExternal lets the request use an external network that is not
	// shared; by default an administrator may.
	AllowExternal bool
	// ProviderMapping says which resource provider fulfils a port's request for
	// bandwidth, by port or request group.
	ProviderMapping map[string][]string
	// Current is what the instance has already.
	Current Info
	Records VIFRecorder
}

// request is one port to be: what was asked for and what was found of it.
type request struct {
	Requested
	network cloud.NetworkRecord
	port    *cloud.Port
	created bool // by us, and ours to delete
	bound   bool // already to the host
}

// Allocate makes or takes the ports, binds them to the host, records them and
// returns the network information of the whole instance. When it fails, ports
// it made are deleted and ports it took are free again. Failures that a user
// should understand are *Error.
func (s *Service) Allocate(ctx context.Context, id cloud.Identity, r AllocateRequest) (Info, error) {
	a, err := s.allocate(ctx, id, r)
	if err != nil {
		return nil, err
	}
	return a.info, nil
}

// Attached is the outcome of AllocatePort.
type Attached struct {
	// New are the VIFs that were added, All every VIF of the instance.
	New, All Info
}

// AllocatePort is Allocate for an instance that exists: its other VIFs are read
// anew too.
func (s *Service) AllocatePort(ctx context.Context, id cloud.Identity, r AllocateRequest) (Attached, error) {
	a, err := s.allocate(ctx, id, r)
	if err != nil {
		return Attached{}, err
	}
	out := Attached{All: a.info}
	for _, p := range a.requests {
		if vif := a.info.Find(p.port.ID); vif != nil {
			out.New = append(out.New, *vif)
		}
	}
	return out, nil
}

// allocation is one Allocate on its way.
type allocation struct {
	*Service
	AllocateRequest
	id       cloud.Identity
	ext      cloud.Extensions
	groups   []string // ids of the security groups
	requests []request
	info     Info
}

func (s *Service) allocate(ctx context.Context, id cloud.Identity, r AllocateRequest) (*allocation, error) {
	a := &allocation{Service: s, AllocateRequest: r, id: id}
	if a.Host == "" {
		a.Host = s.host
	}
	if r.ProjectID == "" {
		return nil, refuse(InvalidInput, Args{"reason": "empty project id for instance " + r.InstanceUUID})
	}
	if alone(r.Requested, NetworkNone) {
		a.info = r.Current
		return a, nil
	}
	if err := a.lookUp(ctx); err != nil {
		return nil, err
	}
	if len(a.requests) == 0 {
		a.info = r.Current
		return a, nil
	}
	if err := a.takePorts(ctx); err != nil {
		return nil, errors.Join(err, undo(ctx, a.release))
	}
	return a, nil
}

// takePorts makes the ports while it reads what else the network information
// needs, then binds and records them.
func (a *allocation) takePorts(ctx context.Context) error {
	if err := a.checkSecurity(); err != nil {
		return err
	}
	var f *facts
	var others []cloud.Port
	around := a.surroundings() // before the requests change
	var g errgroup.Group
	g.Go(func() error { return a.createPorts(ctx) })
	g.Go(func() (err error) {
		f, others, err = a.read(ctx, around)
		return err
	})
	if err := g.Wait(); err != nil {
		return err
	}
	if err := a.bindPorts(ctx); err != nil {
		return err
	}
	if err := a.record(ctx); err != nil {
		return err
	}
	return a.assemble(f, others)
}

// surroundings are those of the requested ports.
func (a *allocation) surroundings() surroundings {
	var around surroundings
	for _, r := range a.requests {
		around.networkIDs = append(around.networkIDs, r.NetworkID)
		if r.PortID != "" { // a new port has no floating address yet
			around.portIDs = append(around.portIDs, r.PortID)
		}
		if shownToAdmin(r.network) {
			around.known = append(around.known, r.network)
		}
	}
	return around
}

// read gathers what there is to know around the new ports and around those that
// the instance has already, which it returns too.
func (a *allocation) read(ctx context.Context, around surroundings) (*facts, []cloud.Port, error) {
	var others []cloud.Port
	if len(a.Current) > 0 {
		var err error
		if others, err = a.instancePorts(ctx, a.id, a.InstanceUUID, a.ProjectID); err != nil {
			return nil, nil, err
		}
	}
	f, err := a.gather(ctx, a.id, around.and(others))
	return f, others, err
}

// assemble builds the network information: what was there before, then what is
// new, in the order asked for.
func (a *allocation) assemble(f *facts, others []cloud.Port) error {
	ports := byID(others)
	preserved := map[string]bool{}
	var order []string
	for _, vif := range a.Current {
		order = append(order, vif.ID)
		preserved[vif.ID] = vif.PreserveOnDelete
	}
	for _, r := range a.requests {
		if a.Current.Index(r.port.ID) < 0 {
			order = append(order, r.port.ID)
		}
		ports[r.port.ID] = *r.port
		preserved[r.port.ID] = preserved[r.port.ID] || !r.created
	}
	a.info = Info{}
	for _, portID := range order {
		port, ok := ports[portID]
		if !ok {
			continue
		}
		vif, err := f.vif(port, a.opts)
		if err != nil {
			return err
		}
		vif.PreserveOnDelete = preserved[portID]
		a.info = append(a.info, vif)
	}
	return nil
}

// release undoes everything: ports that were made are deleted, ports that were
// taken are freed, and the rows of both are removed. It asks Neutron what there
// is, for the answer to a create may have been lost.
func (a *allocation) release(ctx context.Context) error {
	ports, err := a.instancePorts(ctx, a.id, a.InstanceUUID, a.ProjectID)
	if err != nil {
		return err
	}
	var taken []cloud.Port
	var made []string
	for _, p := range ports {
		switch {
		case a.Current.Index(p.ID) >= 0:
		case slices.ContainsFunc(a.Requested, func(r Requested) bool { return r.PortID == p.ID }):
			taken = append(taken, p)
		default:
			made = append(made, p.ID)
		}
	}
	a.unbind(ctx, a.id, taken)
	errs := []error{a.deletePorts(ctx, a.id, made)}
	for _, r := range a.requests {
		if r.port != nil && a.Current.Index(r.port.ID) < 0 {
			errs = append(errs, a.Records.DeleteVIF(ctx, a.InstanceUUID, r.port.ID))
		}
	}
	return errors.Join(errs...)
}

func deviceOwner(zone string) string { return "compute:" + zone }

func alone(requested []Requested, networkID string) bool {
	return len(requested) == 1 && requested[0].NetworkID == networkID
}

func byID(ports []cloud.Port) map[string]cloud.Port {
	m := make(map[string]cloud.Port, len(ports))
	for _, p := range ports {
		m[p.ID] = p
	}
	return m
}
