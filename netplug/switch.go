package netplug

import "context"

// vswitch is Open vSwitch's configuration of this host. Calls are safe for
// concurrent use and repeatable; they end when ctx does.
type vswitch interface {
	// Ensure makes the bridges that are missing and brings the ports to what
	// they should be, all of it at once or nothing. A bridge that is there is
	// left as it is, and so is everything of a port that switchPort does not
	// name: Neutron's agent puts more there.
	Ensure(ctx context.Context, want switchState) error

	// Remove takes ports and bridges away. A port is left alone that says it
	// belongs to another of Neutron's ports than the owner.
	Remove(ctx context.Context, gone switchRemoval) error
}

// switchState is a part of Open vSwitch's configuration.
type switchState struct {
	Bridges []switchBridge
	Ports   []switchPort
}

type switchBridge struct {
	Name     string
	Datapath string // "system" or "netdev"
}

// switchPort is a port of Open vSwitch with its only interface; both have the
// same name, as have all that ovs-vsctl makes.
type switchPort struct {
	Name    string
	Bridge  string
	Type    string            // the interface's: "" for a link of the host, "patch", "dpdkvhostuserclient", …
	Options map[string]string // that the type needs
	IDs     map[string]string // external ids: who the port is
	Tag     int               // the VLAN of a new port; 0 for none. Later it is Neutron's agent's.
	MTU     int               // asked of Open vSwitch, where the host has no link to set it on; 0 for none
}

// The external ids by which Neutron's agent, OVN and people know a port.
const (
	idInterface = "iface-id"
	idStatus    = "iface-status"
	idMAC       = "attached-mac"
	idInstance  = "vm-uuid"
)

// switchRemoval names what is to go.
type switchRemoval struct {
	Owner   string // the iface-id of the ports
	Ports   []string
	Bridges []string // with all their ports
}
