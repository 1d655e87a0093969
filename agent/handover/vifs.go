package handover

import (
	"encoding/json"
	"fmt"

	"bolide/agent/network"
	"bolide/rpc/nova"
)

// delegation in a binding's profile tells Neutron and the source that this host makes Open vSwitch ports itself.
const delegation = "os_vif_delegation"

// Skeleton is what the destination says of the instance's ports before the conductor binds them there.
func Skeleton(p nova.Profile, vifs network.Info) []*nova.Object {
	out := make([]*nova.Object, len(vifs))
	for i, v := range vifs {
		o := p.New("VIFMigrateData")
		o.Set("port_id", v.ID)
		o.Set("source_vif", v.JSON())
		o.Set("profile_json", `{"`+delegation+`": true}`)
		out[i] = o
	}
	return out
}

// SourceVIFs are the ports as they are at the source.
func SourceVIFs(d nova.LiveMigrateData) (network.Info, error) {
	var out network.Info
	for _, v := range d.VIFs() {
		vif, err := sourceVIF(v)
		if err != nil {
			return nil, err
		}
		out = append(out, vif)
	}
	return out, nil
}

// DestinationVIFs are the ports as they will be at the destination. A port that the conductor did not bind there, for
// lack of an extension in Neutron, is taken to be the same on both hosts.
func DestinationVIFs(d nova.LiveMigrateData) (network.Info, error) {
	var out network.Info
	for _, v := range d.VIFs() {
		vif, err := sourceVIF(v)
		if err != nil {
			return nil, err
		}
		if v.Bound() {
			if err := rebind(&vif, v); err != nil {
				return nil, err
			}
		}
		out = append(out, vif)
	}
	return out, nil
}

func sourceVIF(v nova.VIFMigrateData) (network.VIF, error) {
	var vif network.VIF
	if err := json.Unmarshal([]byte(v.Source()), &vif); err != nil {
		return vif, fmt.Errorf("port %s at the source: %w", v.PortID(), err)
	}
	return vif, nil
}

// rebind gives the VIF the destination's binding.
func rebind(vif *network.VIF, v nova.VIFMigrateData) error {
	var err error
	if vif.Details, err = network.ParseDict(json.RawMessage(v.Details())); err != nil {
		return fmt.Errorf("details of port %s at the destination: %w", v.PortID(), err)
	}
	if vif.Profile, err = network.ParseDict(json.RawMessage(v.Profile())); err != nil {
		return fmt.Errorf("profile of port %s at the destination: %w", v.PortID(), err)
	}
	vif.Type, vif.VNICType = v.VIFType(), v.VNICType()
	vif.DelegateCreate = vif.Profile.Bool(delegation)
	return nil
}
