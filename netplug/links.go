package netplug

import "errors"

// errNoLink says that the host has no link of that name.
var errNoLink = errors.New("no such link")

// errLinkExists says that another link has that name already.
var errLinkExists = errors.New("link exists")

// Kinds of links, as `ip -d link` shows them.
const (
	kindBridge = "bridge"
	kindTap    = "tun"
	kindVeth   = "veth"
	kindVLAN   = "vlan"
)

// link is what this package needs to know of a network interface.
type link struct {
	Name   string
	Kind   string // "bridge", "tun", "veth", …
	Up     bool   // set up by an administrator or a program; says nothing of the carrier
	MTU    int    // bytes
	MAC    string // lower case, with colons
	Bridge string // the Linux bridge it is a port of; "" for none
	InUse  bool   // works at present; a tap does when a program has it open
}

// bridgeOptions says what is particular about a bridge.
type bridgeOptions struct {
	NoAgeing bool // forget addresses at once, that is, flood: for a bridge of two ports
}

// tapOptions says what is particular about a tap.
type tapOptions struct {
	Multiqueue bool // one queue for each of the guest's CPUs
}

// function is what a card knows of one of its virtual functions.
type function struct {
	MAC     string // lower case, with colons
	VLAN    int    // 0 for none
	Trusted bool   // may change its address and see what is not for it
}

// links is the host's link layer. Calls act on the network namespace of the
// calling thread and are safe for concurrent use. Those that change a link
// return errNoLink when there is none of that name, and those that add one
// return errLinkExists when the name is taken.
type links interface {
	// Get returns the link of that name.
	Get(name string) (link, error)
	// AddBridge makes a bridge that is down, forwards at once (no spanning
	// tree, no forward delay) and floods multicast (no snooping).
	AddBridge(name string, o bridgeOptions) error
	// AddVeth makes two links that are each other's other end; both are down.
	AddVeth(name, peer string) error
	// AddTap makes a tap that lasts, and is down.
	AddTap(name string, o tapOptions) error
	// AddVLAN makes a link for one VLAN of another link; it is down.
	AddVLAN(name, parent string, id int) error
	// Isolate keeps the host itself off the link: no IPv6 address of its own,
	// no answer to ARP requests for addresses of other links.
	Isolate(name string) error
	// Up sets the link up.
	Up(name string) error
	// Down sets the link down.
	Down(name string) error
	// SetMTU sets the link's MTU in bytes.
	SetMTU(name string, mtu int) error
	// SetMAC sets the link's address.
	SetMAC(name, mac string) error
	// SetBridge makes the link a port of a Linux bridge.
	SetBridge(name, bridge string) error
	// Function returns what a card knows of its virtual function of that number.
	Function(card string, n int) (function, error)
	// SetFunction changes what differs.
	SetFunction(card string, n int, f function) error
	// Delete removes the link.
	Delete(name string) error
}
