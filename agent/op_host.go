package agent

import (
	"context"
	"os/exec"
	"time"

	"bolide/agent/resources"
	"bolide/rpc/nova"
)

// uptimeLimit bounds the one command that asks the system how long it has been up.
const uptimeLimit = 10 * time.Second

// opHostUptime answers os-hypervisors uptime with the line of uptime(1), which is what Nova's API parses.
func opHostUptime(*Agent) operation {
	return operation{
		method: "get_host_uptime", hostwide: true,
		do: func(ctx context.Context, t *task) (any, error) {
			ctx, cancel := context.WithTimeout(ctx, uptimeLimit)
			defer cancel()
			cmd := exec.CommandContext(ctx, "uptime")
			cmd.Env = []string{"LC_ALL=C", "PATH=/usr/bin:/bin"}
			out, err := cmd.Output()
			if err != nil {
				return nil, err
			}
			return string(out), nil
		},
	}
}

// opSetHostEnabled follows the administrator's enabling or disabling of the service: the provider's trait keeps
// the scheduler away. Enabling it ends a drain: it says that the host is to take guests.
func opSetHostEnabled(*Agent) operation {
	return operation{
		method: "set_host_enabled", hostwide: true,
		do: func(ctx context.Context, t *task) (any, error) {
			var enabled bool
			if err := t.req.Arg("enabled", &enabled); err != nil {
				return nil, err
			}
			state, answer := resources.Disabled, "disabled"
			if enabled {
				state, answer = resources.Enabled, "enabled"
				if err := t.draining.end(); err != nil {
					return nil, err
				}
				t.draining.setTold(nil) // this is the control plane's own doing
			}
			if err := t.resources.SetDisabled(ctx, t.cond, state); err != nil {
				return nil, err
			}
			return answer, nil
		},
	}
}

// opHostPowerAction and opHostMaintenance are refused by this hypervisor as Nova's libvirt driver refuses them.
func opHostPowerAction(*Agent) operation { return notSupported("host_power_action") }

func opHostMaintenance(*Agent) operation { return notSupported("host_maintenance_mode") }

// notSupported answers a method that no libvirt host has, as Nova's own node does.
func notSupported(method string) operation {
	return operation{
		method: method, hostwide: true,
		do: func(context.Context, *task) (any, error) {
			return nil, nova.NotImplemented(method)
		},
	}
}
