package agent

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bolide/agent/config"
	"bolide/agent/network"
	"bolide/netplug"
	"bolide/rpc/nova"
)

func TestPlugPort(t *testing.T) {
	const instance = "0d7c2b1a-3f5e-4d6c-8b9a-7e6f5d4c3b2a"
	flavor := nova.Zed().New("Flavor")
	flavor.Set("vcpus", 2)
	flavor.Set("extra_specs", map[string]string{"hw:vif_multiqueue_enabled": "true"})
	inst := nova.As[nova.Instance](nova.Zed().New("Instance"))
	inst.Set("uuid", instance)
	inst.Set("flavor", flavor)
	inst.Set("system_metadata", map[string]string{})
	cfg := &config.Config{}
	cfg.Libvirt.VirtType, cfg.Libvirt.UseVirtioForBridges = "kvm", true
	task := &task{Agent: &Agent{cfg: cfg}, cfg: cfg, inst: inst}

	const head = `{"id": "3b6bd0c8-9a4f-4f39-9a57-1c2d3e4f5a6b", "address": "fa:16:3e:12:34:56", "vnic_type": "normal", ` +
		`"network": {"id": "n", "bridge": "br-int", "subnets": [], "meta": {"mtu": 1450}}, `
	port := func(change func(*netplug.Port)) netplug.Port {
		p := netplug.Port{
			ID: "3b6bd0c8-9a4f-4f39-9a57-1c2d3e4f5a6b", MAC: "fa:16:3e:12:34:56", InstanceUUID: instance, NetworkID: "n",
			Bridge: "br-int", Device: "tap3b6bd0c8-9a", VNICType: "normal", MTU: 1450,
			Switch: netplug.SwitchPort{ByLibvirt: true},
		}
		change(&p)
		return p
	}
	for name, c := range map[string]struct {
		vif  string
		want netplug.Port
	}{
		"bridge": {
			vif:  `"type": "bridge", "devname": "tap3b6bd0c8-9a"}`,
			want: port(func(p *netplug.Port) { p.VIFType = netplug.VIFBridge }),
		},
		"bridge without Neutron's filter": {
			vif: `"type": "bridge", "details": {"port_filter": false},
				"network": {"id": "n", "bridge": "br-int", "subnets": [], "meta": {"mtu": 1450, "should_create_bridge": true}}}`,
			want: port(func(p *netplug.Port) { p.VIFType, p.Unfiltered = netplug.VIFBridge, true }),
		},
		"ovs": {
			vif: `"type": "ovs", "ovs_interfaceid": "i", "delegate_create": true, "details": {"datapath_type": "netdev"}}`,
			want: port(func(p *netplug.Port) {
				p.VIFType, p.Switch = netplug.VIFOVS, netplug.SwitchPort{InterfaceID: "i", Datapath: "netdev"}
			}),
		},
		"ovs of an instance from before Train": {
			vif:  `"type": "ovs"}`,
			want: port(func(p *netplug.Port) { p.VIFType = netplug.VIFOVS }),
		},
		"ovs, filtered by iptables": {
			vif:  `"type": "ovs", "details": {"ovs_hybrid_plug": true}}`,
			want: port(func(p *netplug.Port) { p.VIFType, p.Switch.Hybrid = netplug.VIFOVS, true }),
		},
		"ovs, switched by a card": {
			vif: `"type": "ovs", "vnic_type": "direct", "delegate_create": true, "profile": {"pci_slot": "0000:81:00.4"}}`,
			want: port(func(p *netplug.Port) {
				p.VIFType, p.VNICType, p.Switch.ByLibvirt, p.Function.Address = netplug.VIFOVS, "direct", false, "0000:81:00.4"
			}),
		},
		"tap": {
			vif: `"type": "tap", "details": {"mac_address": "ee:ee:ee:ee:ee:ee"}}`,
			want: port(func(p *netplug.Port) {
				p.VIFType, p.Tap = netplug.VIFTap, netplug.Tap{MAC: "ee:ee:ee:ee:ee:ee", Multiqueue: true}
			}),
		},
		"macvtap": {
			vif:  `"type": "macvtap", "details": {"macvtap_source": "eth1", "physical_interface": "eth1"}}`,
			want: port(func(p *netplug.Port) { p.VIFType = netplug.VIFMacvtap }),
		},
		"macvtap over a VLAN": {
			vif: `"type": "macvtap", "details": {"macvtap_source": "eth1.12", "physical_interface": "eth1", "vlan": "12"}}`,
			want: port(func(p *netplug.Port) {
				p.VIFType, p.Device, p.VLAN = netplug.VIFMacvtap, "eth1.12", netplug.VLAN{ID: 12, Parent: "eth1"}
			}),
		},
		"function of a card": {
			vif: `"type": "hw_veb", "profile": {"pci_slot": "0000:81:00.4", "trusted": "true"}, "details": {"vlan": "100"}}`,
			want: port(func(p *netplug.Port) {
				p.VIFType, p.Function = netplug.VIFHWVEB, netplug.Function{Address: "0000:81:00.4", VLAN: 100, Trusted: true}
			}),
		},
		"vhost-user of Open vSwitch": {
			vif: `"type": "vhostuser", "details": {"vhostuser_ovs_plug": true, "vhostuser_socket": "/s", "vhostuser_mode": "client"}}`,
			want: port(func(p *netplug.Port) {
				p.VIFType, p.Socket = netplug.VIFVHostUser, netplug.Socket{Path: "/s", Client: true}
			}),
		},
		"vhost-user of a program that finds the socket": {
			vif: `"type": "vhostuser", "details": {"vhostuser_socket": "/s", "vhostuser_mode": "server"}}`,
			want: port(func(p *netplug.Port) {
				p.VIFType, p.Socket, p.Elsewhere = netplug.VIFVHostUser, netplug.Socket{Path: "/s"}, true
			}),
		},
		"vhost-user of 6WIND": {
			vif:  `"type": "vhostuser", "details": {"vhostuser_fp_plug": true, "vhostuser_ovs_plug": true}}`,
			want: port(func(p *netplug.Port) { p.VIFType = "vhostuser_fp" }),
		},
		"vhost-user of Contrail": {
			vif:  `"type": "vhostuser", "details": {"vhostuser_vrouter_plug": true}}`,
			want: port(func(p *netplug.Port) { p.VIFType = "vhostuser_vrouter" }),
		},
	} {
		t.Run(name, func(t *testing.T) {
			vifs, err := network.ParseInfo("[" + head + c.vif + "]")
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, task.plugPort(vifs[0])); d != "" {
				t.Errorf("port (-want +got):\n%s", d)
			}
		})
	}
}

// TestUnboundPort: the fault of a port that Neutron did not bind here is Nova's.
func TestUnboundPort(t *testing.T) {
	inst := nova.As[nova.Instance](nova.Zed().New("Instance"))
	inst.Set("uuid", "0d7c2b1a-3f5e-4d6c-8b9a-7e6f5d4c3b2a")
	task := &task{Agent: &Agent{net: netplug.New(netplug.Options{})}, inst: inst}
	for _, kind := range []string{network.TypeUnbound, network.TypeBindingFailed, "fancy"} {
		vifs := network.Info{{ID: "3b6bd0c8-9a4f-4f39-9a57-1c2d3e4f5a6b", Type: kind, VNICType: network.VNICNormal}}
		err := task.plug(context.Background(), vifs)
		if !nova.Is(err, "InternalError") || nova.FaultMessage(err) != "Unexpected vif_type="+kind {
			t.Errorf("%s: error %v, fault %q", kind, err, nova.FaultMessage(err))
		}
		if err := task.unplug(context.Background(), vifs); err != nil {
			t.Errorf("unplug of %s: %v", kind, err)
		}
	}
}

func TestPlugOptions(t *testing.T) {
	cfg := &config.Config{}
	cfg.OVS = config.OVS{
		OVSDBConnection: "ssl:192.0.2.1:6640", OVSVsctlTimeout: 30 * time.Second, NetworkDeviceMTU: 9000,
		IsolateVIF: true, PerPortBridge: true,
	}
	cfg.LinuxBridge = config.LinuxBridge{UseIPv6: true, ForwardBridgeInterface: []string{"eth0"}, IptablesDropAction: "logdrop"}
	cfg.Bolide.OVSDBCAFile, cfg.Bolide.OVSDBCertFile, cfg.Bolide.OVSDBKeyFile = "/ca", "/cert", "/key"
	forwarding := netplug.ForwardingOptions{IPv6: true, Interfaces: []string{"eth0"}, Drop: "logdrop"}
	if d := cmp.Diff(forwarding, plugOptions(cfg, quiet()).Forwarding); d != "" {
		t.Errorf("options (-want +got):\n%s", d)
	}
	want := netplug.OVSOptions{
		Connection: "ssl:192.0.2.1:6640", TLS: netplug.TLSFiles{CA: "/ca", Cert: "/cert", Key: "/key"},
		Timeout: 30 * time.Second, MTU: 9000, Isolate: true, PerPortBridge: true,
	}
	if d := cmp.Diff(want, plugOptions(cfg, quiet()).OVS); d != "" {
		t.Errorf("options (-want +got):\n%s", d)
	}
}
