package netplug

import "errors"

// errNoLink says that the host has no link of that name.
var errNoLink = errors.New("no such link")

// errLinkExists says that another link has that name already.
var errLinkExists = errors.New("link exists")

// link is what this package needs to know of a network interface.
type link struct {
	Name string
	Kind string // as `ip -d link` shows it: "bridge", "tun", "veth", …
	Up   bool   // set up by an administrator or a program; says nothing of the carrier
}

// links is the host's link layer. Calls act on the network namespace of the
// calling thread and are safe for concurrent use.
type links interface {
	// Get returns the link of that name, or errNoLink.
	Get(name string) (link, error)
	// AddBridge makes a bridge that is down, forwards at once (no spanning
	// tree, no forward delay) and floods multicast (no snooping); errLinkExists
	// when the name is taken.
	AddBridge(name string) error
	// Isolate keeps the host itself off the link: no IPv6 address of its own,
	// no answer to ARP requests for addresses of other links.
	Isolate(name string) error
	// Up sets the link up.
	Up(name string) error
	// Delete removes the link; errNoLink when it is gone.
	Delete(name string) error
}
