package agent

import (
	"context"
	"errors"
	"fmt"

	"github.com/sirupsen/logrus"

	"bolide/agent/cloud"
	"bolide/agent/config"
	"bolide/agent/network"
	"bolide/rpc/nova"
)

// This file joins the rooms that deal with ports: Neutron (agent/network), the host's links (netplug) and the
// instance's record of both, the info cache.

func networkOptions(c *config.Config, log *logrus.Entry) network.Options {
	return network.Options{OVSBridge: c.Neutron.OVSBridge, FlatInjected: c.Default.FlatInjected, Log: log.WithField("part", "network")}
}

// vifRecords keeps the instance's rows of virtual interfaces at the conductor.
type vifRecords struct{ cond *nova.Conductor }

var _ network.VIFRecorder = vifRecords{}

func (v vifRecords) CreateVIF(ctx context.Context, r network.VIFRecord) error {
	row := nova.As[nova.VirtualInterface](v.cond.Profile().New("VirtualInterface"))
	row.Set("uuid", r.UUID)
	row.Set("instance_uuid", r.InstanceUUID)
	row.Set("address", r.Address)
	if r.Tag == "" {
		row.Set("tag", nil)
	} else {
		row.Set("tag", r.Tag)
	}
	return v.cond.CreateVirtualInterface(ctx, row)
}

func (v vifRecords) DeleteVIF(ctx context.Context, _, portID string) error {
	row, err := v.cond.VirtualInterface(ctx, portID)
	if err != nil || row == nil {
		return err
	}
	return v.cond.DestroyVirtualInterface(ctx, row)
}

func (v vifRecords) DeleteVIFs(ctx context.Context, instanceUUID string) error {
	return v.cond.DeleteVirtualInterfaces(ctx, instanceUUID)
}

func (v vifRecords) ListVIFs(ctx context.Context, instanceUUID string) ([]network.VIFRecord, error) {
	rows, err := v.cond.VirtualInterfaces(ctx, instanceUUID)
	if err != nil {
		return nil, err
	}
	out := make([]network.VIFRecord, len(rows))
	for i, r := range rows {
		out[i] = network.VIFRecord{UUID: r.UUID(), Address: r.Address(), InstanceUUID: r.InstanceUUID(), Tag: r.Tag()}
	}
	return out, nil
}

// cachedPorts is what the instance's info cache says; a cache that cannot be read says nothing.
func (t *task) cachedPorts() network.Info {
	vifs, err := network.ParseInfo(t.inst.InfoCache().NetworkInfo())
	if err != nil {
		t.log.WithError(err).Warn("info cache cannot be read; asking Neutron instead")
		return nil
	}
	return vifs
}

// currentPorts is what the info cache says or, if it is empty, what Neutron says.
func (t *task) currentPorts(ctx context.Context) (network.Info, error) {
	if vifs := t.cachedPorts(); len(vifs) > 0 {
		return vifs, nil
	}
	return t.readPorts(ctx, network.RefreshRequest{})
}

// readPorts asks Neutron for the instance's ports.
func (t *task) readPorts(ctx context.Context, r network.RefreshRequest) (network.Info, error) {
	r.InstanceUUID, r.ProjectID = t.inst.UUID(), t.inst.ProjectID()
	vifs, err := t.ports.Refresh(ctx, t.id.Node(), r)
	if err != nil {
		return nil, portError(err)
	}
	return vifs, nil
}

// renewPorts reads all the guest's ports anew and writes them to the info cache, as the parts of a move do when Neutron
// has bound them elsewhere.
func (s *spawn) renewPorts(ctx context.Context) error {
	cache, err := s.cond.InfoCache(ctx, s.inst.UUID())
	if err != nil {
		return fmt.Errorf("read the info cache: %w", err)
	}
	current, err := network.ParseInfo(cache.NetworkInfo())
	if err != nil {
		return err
	}
	if s.vifs, err = s.readPorts(ctx, network.RefreshRequest{Current: current}); err != nil {
		return err
	}
	cache.Unset("network_info") // written even where this copy says the same
	cache.SetNetworkInfo(s.vifs.JSON())
	if err := s.cond.SaveInfoCache(ctx, cache); err != nil {
		return fmt.Errorf("write the info cache: %w", err)
	}
	return nil
}

// refreshPorts reads the port that changed anew and puts it into the info cache, which is read anew first: another
// operation may have written it since the request was made.
func (t *task) refreshPorts(ctx context.Context, portID string) error {
	cache, err := t.cond.InfoCache(ctx, t.inst.UUID())
	if err != nil {
		return fmt.Errorf("read the info cache: %w", err)
	}
	current, err := network.ParseInfo(cache.NetworkInfo())
	if err != nil {
		return err
	}
	vifs, err := t.readPorts(ctx, network.RefreshRequest{Current: current, PortID: portID})
	if err != nil {
		return err
	}
	cache.SetNetworkInfo(vifs.JSON())
	return t.cond.SaveInfoCache(ctx, cache)
}

// cachePorts writes the instance's ports to its info cache.
func (t *task) cachePorts(ctx context.Context, vifs network.Info) error {
	cache := t.inst.InfoCache()
	if !cache.Exists() {
		cache = nova.InstanceInfoCache{Object: t.cond.Profile().New("InstanceInfoCache")}
		t.inst.Set("info_cache", cache.Object)
	}
	cache.Set("instance_uuid", t.inst.UUID())
	cache.Unset("network_info") // written even where this copy says the same
	cache.SetNetworkInfo(vifs.JSON())
	if err := t.cond.SaveInfoCache(ctx, &cache); err != nil {
		return fmt.Errorf("write the info cache: %w", err)
	}
	return nil
}

// givePortsBack deletes the ports that were made for the instance, frees the others, and empties the info cache.
func (t *task) givePortsBack(ctx context.Context, vifs network.Info, requested []network.Requested) error {
	err := t.ports.Deallocate(ctx, t.id.Node(), network.DeallocateRequest{
		InstanceUUID: t.inst.UUID(), ProjectID: t.inst.ProjectID(),
		Current: vifs, Requested: requested, Records: vifRecords{t.cond},
	})
	if err != nil {
		return portError(err)
	}
	if err := t.cachePorts(ctx, nil); err != nil && !nova.Is(err, "InstanceInfoCacheNotFound") {
		return err
	}
	return nil
}

// foreignPorts are those among the requested that their user made and that outlive the instance.
func foreignPorts(requested []network.Requested) []string {
	var ids []string
	for _, r := range requested {
		if r.PortID != "" {
			ids = append(ids, r.PortID)
		}
	}
	return ids
}

// portError makes Nova's exception of a failure that package network has a name for.
func portError(err error) error {
	var e *network.Error
	if errors.As(err, &e) {
		kwargs := make(map[string]any, len(e.Args))
		for k, v := range e.Args {
			kwargs[k] = v
		}
		exception := nova.NewError(string(e.Class), kwargs).Because(err)
		if e.Message != "" {
			exception.Message = e.Message
		}
		return exception
	}
	var refused *cloud.Error
	if errors.As(err, &refused) {
		return fmt.Errorf("neutron: %w", err)
	}
	return err
}
