package agent

import (
	"errors"
	"testing"

	"bolide/agent/config"
	"bolide/agent/network"
	"bolide/rpc"
	"bolide/rpc/nova"
)

// elsewhere is a port that this host has not to plug.
func elsewhere(t *testing.T) network.Info {
	t.Helper()
	vifs, err := network.ParseInfo(`[{"id": "a", "type": "vhostuser", "vnic_type": "normal", "active": true, "details": {"vhostuser_socket": "/run/a"}}]`)
	if err != nil {
		t.Fatal(err)
	}
	return vifs
}

// TestHardRebootWaitsForPorts looks that only the ports of the kinds that the workaround names are waited for.
func TestHardRebootWaitsForPorts(t *testing.T) {
	for name, c := range map[string]struct {
		kinds, timeout string
		waits          bool
	}{
		"not configured": {"", "300", false},
		"one kind":       {"normal,direct", "300", true},
		"another kind":   {"direct", "300", false},
		"no patience":    {"normal", "0", false},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, map[string]string{
				"workarounds.wait_for_vif_plugged_event_during_hard_reboot": c.kinds, "DEFAULT.vif_plugging_timeout": c.timeout,
			})
			n.conductor.instance = n.newInstance("0fba2a70-9a8b-4f2b-a38b-6b0a8f1d6a3b")
			s := &spawn{task: n.ownTask("reboot", "0fba2a70-9a8b-4f2b-a38b-6b0a8f1d6a3b", rpc.AdminContext()), vifs: elsewhere(t)}
			s.inst = nova.As[nova.Instance](n.conductor.instance.Clone())
			ctx := within(t, patience)
			if err := s.plugForRestart(ctx); err != nil {
				t.Fatal(err)
			}
			if s.plugged.expected() != c.waits {
				t.Fatalf("waits for ports: %v", !c.waits)
			}
			if got := n.waiters.deliver(eventKey{Instance: s.inst.UUID(), Name: eventPlugged, Tag: "a"}, "completed"); got != c.waits {
				t.Errorf("somebody waits for the port: %v", got)
			}
			if err := s.plugged.wait(ctx); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestPortsAreAskedForAgain fails the first requests to Neutron.
func TestPortsAreAskedForAgain(t *testing.T) {
	for name, c := range map[string]struct {
		retries int
		fails   bool
	}{"no retries": {0, true}, "one retry": {1, false}} {
		t.Run(name, func(t *testing.T) {
			cfg := &config.Config{}
			cfg.Default.NetworkAllocateRetries = c.retries
			b := &build{spawn: &spawn{task: &task{cfg: cfg, log: quiet()}}}
			asked := 0
			_, err := b.askAgain(within(t, patience), func() (network.Info, error) {
				if asked++; asked == 1 {
					return nil, errors.New("away")
				}
				return network.Info{}, nil
			})
			if (err != nil) != c.fails {
				t.Errorf("after %d requests: %v", asked, err)
			}
		})
	}
}

func TestAccessAddresses(t *testing.T) {
	vifs, err := network.ParseInfo(`[
		{"id": "a", "network": {"label": "inside", "subnets": [{"ips": [{"address": "10.0.0.7", "version": 4, "type": "fixed"}]}]}},
		{"id": "b", "network": {"label": "outside", "subnets": [
			{"ips": [{"address": "192.0.2.7", "version": 4, "type": "fixed"}, {"address": "192.0.2.8", "version": 4, "type": "fixed"}]},
			{"ips": [{"address": "2001:db8::7", "version": 6, "type": "fixed"}]}]}}]`)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ network, given, v4, v6 string }{
		"not configured":    {"", "", "", ""},
		"first of each":     {"outside", "", "192.0.2.7", "2001:db8::7"},
		"another network":   {"nowhere", "", "", ""},
		"given by the user": {"outside", "198.51.100.1", "198.51.100.1", ""},
	} {
		t.Run(name, func(t *testing.T) {
			i := nova.As[nova.Instance](nova.Zed().New("Instance"))
			i.Set("access_ip_v4", nil)
			i.Set("access_ip_v6", nil)
			if c.given != "" {
				i.Set("access_ip_v4", c.given)
			}
			setAccessAddresses(i, vifs, c.network)
			if v4, v6 := i.Str("access_ip_v4"), i.Str("access_ip_v6"); v4 != c.v4 || v6 != c.v6 {
				t.Errorf("reached at %q and %q", v4, v6)
			}
		})
	}
}

// TestFailedBuildsAreCounted looks which of them make the scheduler avoid the host.
func TestFailedBuildsAreCounted(t *testing.T) {
	for name, c := range map[string]struct {
		threshold int
		failure   error
		counted   bool
	}{
		"a failure":     {10, errors.New("disk full"), true},
		"switched off":  {0, errors.New("disk full"), false},
		"by the policy": {10, nova.NewError("GroupAffinityViolation", nil), false},
	} {
		cfg := &config.Config{}
		cfg.Compute.ConsecutiveBuildServiceDisableThreshold = c.threshold
		b := &build{spawn: &spawn{task: &task{cfg: cfg}}}
		if got := b.isHostsFault(c.failure); got != c.counted {
			t.Errorf("%s: counted %v", name, got)
		}
	}
}
