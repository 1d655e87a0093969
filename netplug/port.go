package netplug

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/sirupsen/logrus"
)

// VIFType is the way a port is connected, as Neutron's binding names it
// (binding:vif_type).
type VIFType string

// The kinds of connection that this package knows by name.
const (
	VIFBridge        VIFType = "bridge"           // a tap on a Linux bridge
	VIFOVS           VIFType = "ovs"              // a port of Open vSwitch
	VIFAgilioOVS     VIFType = "agilio_ovs"       // the same where a card runs the switch
	VIFVHostUser     VIFType = "vhostuser"        // memory shared with a switch in userspace
	VIFTap           VIFType = "tap"              // a tap that whoever routes for it finds by its name
	VIFMacvtap       VIFType = "macvtap"          // a macvtap over a network card or one of its VLANs
	VIFHWVEB         VIFType = "hw_veb"           // a function of a network card (SR-IOV)
	VIFHostdev       VIFType = "hostdev_physical" // a whole PCI device
	VIFUnbound       VIFType = "unbound"          // Neutron was never asked to bind the port
	VIFBindingFailed VIFType = "binding_failed"   // no mechanism of Neutron could bind it here
)

// Virtual NIC types (binding:vnic_type) of the ports that are made here.
const (
	VNICNormal         = "normal"          // needs no special hardware
	VNICMacvtap        = "macvtap"         // a macvtap over a virtual function
	VNICDirect         = "direct"          // a virtual function
	VNICDirectPhysical = "direct-physical" // a physical function
	VNICVDPA           = "vdpa"            // a virtual function that speaks virtio
	VNICRemoteManaged  = "remote-managed"  // a function of a card that manages its ports itself
)

const (
	// maxName is the longest interface name the kernel takes (IFNAMSIZ less its zero).
	maxName = 15
	// nameLength is that of names made from a port's UUID: Neutron's NIC_NAME_LEN.
	nameLength = 14
	// maxVLAN is the highest VLAN that a network can have.
	maxVLAN = 4094
)

// validPCI is what a PCI address may be: it becomes part of a path below /sys.
var validPCI = regexp.MustCompile(`^[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$`)

// errNoBridge refuses a port that has to end on a bridge and names none.
var errNoBridge = errors.New("port has no bridge")

// Port is one NIC of one guest, as Neutron bound it to this host.
type Port struct {
	ID           string  // required; Neutron's port UUID
	MAC          string  // the guest's address
	InstanceUUID string  // whose NIC it is
	NetworkID    string  // Neutron's network UUID
	Bridge       string  // where the port ends: "brq<network>" for linuxbridge, "br-int" for Open vSwitch
	Device       string  // required; the host's end, "tap<first 11 characters of ID>"
	VIFType      VIFType // required
	VNICType     string  // "" means VNICNormal
	MTU          int     // bytes; 0 means that the network has none of its own
	Unfiltered   bool    // Neutron has no filter for the port; of ports on Linux bridges

	Switch    SwitchPort // of ports on Open vSwitch
	Socket    Socket     // of vhost-user ports
	VLAN      VLAN       // of macvtap ports
	Tap       Tap        // of tap ports
	Function  Function   // of ports that are functions of a card
	Elsewhere bool       // another program connects the port; there is nothing to do for it
}

// SwitchPort is what Neutron says of a port on Open vSwitch.
type SwitchPort struct {
	InterfaceID string // how Neutron's agent and OVN know the port (external id iface-id); "" means the port's ID
	Datapath    string // of a bridge that has to be made: "system" or "netdev"; "" means what is usual for the port
	Hybrid      bool   // a Linux bridge of the port's own is between tap and switch, for iptables to filter on
	ByLibvirt   bool   // libvirt makes the switch's port with its guest, as Nova before Train had it
}

// Socket is where a guest and a switch share memory.
type Socket struct {
	Path string
	// Client means that the switch makes the socket and QEMU connects to it;
	// otherwise QEMU makes it.
	Client bool
}

// VLAN is the link below a macvtap; Port.Device is its name.
type VLAN struct {
	ID     int    // 0 means that Port.Device is there already
	Parent string // the network card
}

// Tap says how a tap is made that libvirt only opens.
type Tap struct {
	MAC        string // the host's end's own; "" leaves it to the kernel
	Multiqueue bool   // the guest has a queue for each CPU
}

// Function is the virtual function that a port was given.
type Function struct {
	Address string // PCI, "0000:81:00.4"
	VLAN    int    // 0 for none
	Trusted bool   // the port's owner asked for trust and may have it
}

// DeviceName returns the name of the host's end of a port: the same as Nova and
// Neutron's agents derive from the port's UUID, so that all of them agree.
func DeviceName(portID string) string { return deviceName("tap", portID) }

func deviceName(prefix, portID string) string {
	name := prefix + portID
	return name[:min(len(name), nameLength)]
}

func (p Port) vnicType() string {
	if p.VNICType == "" {
		return VNICNormal
	}
	return p.VNICType
}

// interfaceID is the port's external id iface-id.
func (p Port) interfaceID() string {
	if p.Switch.InterfaceID == "" {
		return p.ID
	}
	return p.Switch.InterfaceID
}

// hybrid is whether there is a Linux bridge of the port's own; a socket shared
// with the switch, or a function of a card, leaves no place for one.
func (p Port) hybrid() bool { return p.Switch.Hybrid && p.VIFType != VIFVHostUser && !p.offloaded() }

// offloaded is whether a card switches for Open vSwitch, and the port is a function of it.
func (p Port) offloaded() bool {
	return p.VIFType == VIFOVS && (p.vnicType() == VNICDirect || p.vnicType() == VNICVDPA)
}

// fields name the port in the log.
func (p Port) fields() logrus.Fields {
	return logrus.Fields{"instance": p.InstanceUUID, "port": p.ID}
}

// validate refuses names that must not reach the kernel: they become parts of
// paths below /proc/sys, and a bridge's name comes from outside the host.
func (p Port) validate() error {
	var errs []error
	if p.ID == "" {
		errs = append(errs, errors.New("port without an id"))
	}
	// names made from the ID: the longest that the kernel sees
	if p.ID != "" && !validName(deviceName("qbr", p.ID)) {
		errs = append(errs, fmt.Errorf("port id %q is not valid", p.ID))
	}
	if !validName(p.Device) {
		errs = append(errs, fmt.Errorf("device name %q is not valid", p.Device))
	}
	if p.Bridge != "" && !validName(p.Bridge) {
		errs = append(errs, fmt.Errorf("bridge name %q is not valid", p.Bridge))
	}
	if p.VLAN.Parent != "" && !validName(p.VLAN.Parent) {
		errs = append(errs, fmt.Errorf("parent link name %q is not valid", p.VLAN.Parent))
	}
	if p.MTU < 0 {
		errs = append(errs, fmt.Errorf("mtu %d is negative", p.MTU))
	}
	for _, id := range []int{p.VLAN.ID, p.Function.VLAN} {
		if id < 0 || id > maxVLAN {
			errs = append(errs, fmt.Errorf("vlan %d is out of range", id))
		}
	}
	if (p.VIFType == VIFHWVEB || p.offloaded()) && !validPCI.MatchString(p.Function.Address) {
		errs = append(errs, fmt.Errorf("PCI address %q is not valid", p.Function.Address))
	}
	return errors.Join(errs...)
}

// validName follows the kernel's dev_valid_name, and refuses control characters
// as well.
func validName(s string) bool {
	if s == "" || s == "." || s == ".." || len(s) > maxName {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		return r == '/' || r == ':' || r <= ' ' || r >= 0x7f
	})
}
