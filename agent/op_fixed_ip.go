package agent

import (
	"context"
	"time"

	"bolide/agent/cloud"
	"bolide/agent/network"
	"bolide/rpc/nova"
)

// fixedIPChange is one of the changes that package network makes to an instance's addresses.
type fixedIPChange func(context.Context, cloud.Identity, network.FixedIPRequest) (network.Info, error)

// opAddFixedIP gives a guest one more address on a network: action addFixedIp.
func opAddFixedIP(*Agent) operation {
	return operation{
		method: "add_fixed_ip_to_instance",
		queued: true, keepsFault: true,
		do: func(ctx context.Context, t *task) (any, error) {
			r := network.FixedIPRequest{}
			if err := t.req.Arg("network_id", &r.NetworkID); err != nil {
				return nil, err
			}
			return nil, t.changeAddresses(ctx, newsAddAddress, r, t.ports.AddFixedIP)
		},
	}
}

// opRemoveFixedIP takes an address from a guest: action removeFixedIp.
func opRemoveFixedIP(*Agent) operation {
	return operation{
		method: "remove_fixed_ip_from_instance",
		queued: true, keepsFault: true,
		do: func(ctx context.Context, t *task) (any, error) {
			r := network.FixedIPRequest{}
			if err := t.req.Arg("address", &r.Address); err != nil {
				return nil, err
			}
			return nil, t.changeAddresses(ctx, newsDropAddress, r, t.ports.RemoveFixedIP)
		},
	}
}

// changeAddresses makes the change in Neutron and writes what it left to the info cache, and that the server has changed,
// which clients wait for.
func (t *task) changeAddresses(ctx context.Context, n news, r network.FixedIPRequest, change fixedIPChange) error {
	if err := t.load(ctx); err != nil {
		return err
	}
	r.InstanceUUID, r.ProjectID, r.AvailabilityZone = t.inst.UUID(), t.inst.ProjectID(), t.inst.AvailabilityZone()
	r.Current = t.cachedPorts()
	t.inform(ctx, n, phaseStart, detail{})
	vifs, err := change(ctx, t.id, r)
	if err != nil {
		return portError(err)
	}
	if err := t.cachePorts(ctx, vifs); err != nil {
		return err
	}
	t.inst.Unset("updated_at") // written even where this copy says the same
	t.inst.Set("updated_at", time.Now())
	if err := t.cond.SaveInstance(ctx, t.inst, nova.Expect{}); err != nil {
		return err
	}
	t.inform(ctx, n, phaseEnd, detail{ports: vifs})
	return nil
}

// opInjectNetworkInfo reads the guest's ports anew: action injectNetworkInfo. libvirt guests have nothing to be told.
func opInjectNetworkInfo(*Agent) operation {
	return operation{
		method: "inject_network_info", queued: true, keepsFault: true,
		do: func(ctx context.Context, t *task) (any, error) {
			if err := t.load(ctx); err != nil {
				return nil, err
			}
			vifs, err := t.readPorts(ctx, network.RefreshRequest{Current: t.cachedPorts()})
			if err != nil {
				return nil, err
			}
			return nil, t.cachePorts(ctx, vifs)
		},
	}
}
