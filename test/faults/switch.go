package faults

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"

	"bolide/test/openvswitch"
)

// integrationBridge is where Neutron's agent looks for ports.
const integrationBridge = "br-int"

// startSwitch starts an Open vSwitch with an integration bridge, as Neutron's agent
// leaves it.
func (c *Cloud) startSwitch() (err error) {
	if c.Switch, err = openvswitch.New(openvswitch.Options{}); err != nil {
		return err
	}
	if err := c.Switch.StartSwitch(); err != nil {
		return err
	}
	_, err = c.Switch.Ctl("add-br", integrationBridge, "--", "set", "Bridge", integrationBridge, "datapath_type=netdev")
	return err
}

// switchOptions tell the node where the switch is.
func (c *Cloud) switchOptions() string {
	if c.Switch == nil {
		return ""
	}
	return "\n[os_vif_ovs]\novsdb_connection = " + c.Switch.Connection() + "\n"
}

// plugPrefixes begin the names of what connects a port; the beginning of its ID follows.
var plugPrefixes = []string{"tap", "qbr", "qvb", "qvo"}

// leftPlugs looks for links of this host and ports of its switch that connect ports
// which the network service does not have any more.
func (c *Cloud) leftPlugs(ctx context.Context) error {
	if c.Switch == nil {
		return nil
	}
	var out struct{ Ports []Port }
	if err := c.Ask(ctx, http.MethodGet, "network", "/v2.0/ports", nil, &out); err != nil {
		return err
	}
	links, err := netlink.LinkList()
	if err != nil {
		return err
	}
	rows, err := c.Switch.Ctl("list-ports", integrationBridge)
	if err != nil {
		return err
	}
	names := strings.Fields(rows)
	for _, l := range links {
		names = append(names, l.Attrs().Name)
	}
	for _, name := range names {
		plugs := slices.ContainsFunc(plugPrefixes, func(p string) bool { return strings.HasPrefix(name, p) })
		known := slices.ContainsFunc(out.Ports, func(p Port) bool { return plugs && strings.HasPrefix(p.ID, name[3:]) })
		if plugs && !known {
			return fmt.Errorf("%s is left", name)
		}
	}
	return nil
}
