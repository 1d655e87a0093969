// Package hosts gives tests two compute hosts on one machine, between which guests can move: each with mounts, processes, a
// name and a network of its own, with a libvirtd and an sshd. A cable is between them, for migrations and ssh; the control
// plane is where they look for it, on their own loopback, through relays to that of the program that made them.
//
// Everything on the hosts ends with Close, and with that program at the latest.
package hosts

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sync/errgroup"

	"bolide/test/virt"
)

// StatePath is where a node on a host keeps its state and its guests: on both hosts the same, and on each its own.
const StatePath = "/var/lib/libvirt/nova"

// Pair is the hosts "one" and "two". Its methods, and those of each host, are for one goroutine at a time.
type Pair struct {
	One, Two *Host
	ssh      string // what both have as /etc/ssh
}

// Host is a compute host with its libvirtd.
type Host struct {
	*virt.Daemon
	Name    string
	Address string          // on the cable
	Links   *netlink.Handle // of its network; until Close
	network netns.NsHandle
	relays  []*relay
}

// Options say what the hosts are made of.
type Options struct {
	Dir string // where their files lie until Close; "" is the system's directory of temporary files
	// Services are the addresses, host:port on the loopback, at which the hosts reach what listens there on this network's.
	Services []string
}

// New starts the hosts.
func New(o Options) (*Pair, error) {
	p := &Pair{One: &Host{Name: "one", Address: "192.0.2.1"}, Two: &Host{Name: "two", Address: "192.0.2.2"}} // RFC 5737
	if err := p.start(o); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

func (p *Pair) start(o Options) (err error) {
	if p.ssh, err = os.MkdirTemp(o.Dir, "ssh"); err != nil {
		return err
	}
	if err := p.writeSSH(); err != nil {
		return err
	}
	var both errgroup.Group
	for _, h := range p.All() {
		both.Go(func() error {
			if err := h.start(o.Dir, p.ssh); err != nil {
				return fmt.Errorf("host %s: %w", h.Name, err)
			}
			return nil
		})
	}
	if err := both.Wait(); err != nil {
		return err
	}
	if err := p.connect(); err != nil {
		return fmt.Errorf("lay the cable: %w", err)
	}
	for _, h := range p.All() {
		if err := h.startSSH(); err != nil {
			return fmt.Errorf("host %s: %w", h.Name, err)
		}
		for _, address := range o.Services {
			if err := h.relay(address); err != nil {
				return fmt.Errorf("host %s: relay to %s: %w", h.Name, address, err)
			}
		}
	}
	return nil
}

// All returns both hosts.
func (p *Pair) All() []*Host { return []*Host{p.One, p.Two} }

// Other returns the host that h is not.
func (p *Pair) Other(h *Host) *Host {
	if h == p.One {
		return p.Two
	}
	return p.One
}

// Close ends everything on the hosts and removes their files.
func (p *Pair) Close() error {
	errs := []error{p.One.close(), p.Two.close()}
	if p.ssh != "" {
		errs = append(errs, os.RemoveAll(p.ssh))
	}
	return errors.Join(errs...)
}

// start makes the host and its libvirtd.
func (h *Host) start(dir, ssh string) (err error) {
	h.Daemon, err = virt.NewOn(virt.Host{Name: h.Name, Dir: dir, Network: true, Binds: map[string]string{ssh: "/etc/ssh"}})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(h.Path("instances"), 0o755); err != nil {
		return err
	}
	if h.network, err = netns.GetFromPath(h.Network()); err != nil {
		return err
	}
	h.Links, err = netlink.NewHandleAt(h.network)
	return err
}

// close ends what runs on the host before it waits for its relays: they end with those who speak through them.
func (h *Host) close() (err error) {
	for _, r := range h.relays {
		_ = r.listener.Close() // nobody comes any more
	}
	if h.Daemon != nil {
		err = h.Daemon.Close()
	}
	for _, r := range h.relays {
		r.conversations.Wait()
	}
	if h.Links != nil {
		h.Links.Close()
		err = errors.Join(err, h.network.Close())
	}
	return err
}

// Path is a file below StatePath, as those see it who are not on the host.
func (h *Host) Path(elements ...string) string {
	return filepath.Join(append([]string{h.Root(), "nova"}, elements...)...)
}

// Die ends every program and guest of the host at once, as a loss of power does; its files, links and relays stay.
func (h *Host) Die() error { return h.KillAll() }

// Return starts libvirtd and sshd again on a host that has died.
func (h *Host) Return() error {
	if err := h.Launch(); err != nil {
		return err
	}
	return h.startSSH()
}
