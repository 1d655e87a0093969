package hosts

import (
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// cable is the name of its end on each host.
const cable = "mig0"

// connect lays the cable.
func (p *Pair) connect() error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.Namespace = cable, netlink.NsFd(p.One.network)
	if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: cable, PeerNamespace: netlink.NsFd(p.Two.network)}); err != nil {
		return err
	}
	for _, h := range p.All() {
		end, err := h.Links.LinkByName(cable)
		if err != nil {
			return err
		}
		address := &netlink.Addr{IPNet: &net.IPNet{IP: net.ParseIP(h.Address).To4(), Mask: net.CIDRMask(24, 32)}}
		if err := h.Links.AddrAdd(end, address); err != nil {
			return err
		}
		if err := h.Links.LinkSetUp(end); err != nil {
			return err
		}
	}
	return nil
}

// CutCable takes the cable down for a while, as a switch that restarts does.
func (h *Host) CutCable(while time.Duration) error {
	end, err := h.Links.LinkByName(cable)
	if err != nil {
		return err
	}
	if err := h.Links.LinkSetDown(end); err != nil {
		return err
	}
	<-time.After(while)
	return h.Links.LinkSetUp(end)
}

// Plug gives the host a link of this name, whose other end is at a bridge of the caller's network. Both are gone with the host.
func (h *Host) Plug(name, bridge string) error {
	master, err := netlink.LinkByName(bridge)
	if err != nil {
		return fmt.Errorf("find %s: %w", bridge, err)
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MasterIndex, attrs.Flags = "to-"+h.Name, master.Attrs().Index, net.FlagUp
	if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: name, PeerNamespace: netlink.NsFd(h.network)}); err != nil {
		return fmt.Errorf("plug %s into %s: %w", h.Name, bridge, err)
	}
	end, err := h.Links.LinkByName(name)
	if err != nil {
		return err
	}
	return h.Links.LinkSetUp(end)
}

// Taps are the names of the taps on the host.
func (h *Host) Taps() (names []string, err error) {
	all, err := h.Links.LinkList()
	for _, l := range all {
		if strings.HasPrefix(l.Attrs().Name, "tap") {
			names = append(names, l.Attrs().Name)
		}
	}
	return names, err
}

// relay passes on what comes to an address.
type relay struct {
	listener      net.Listener
	conversations sync.WaitGroup // and the listening itself
}

// relay lets the host reach what listens on an address of this network at the same address.
func (h *Host) relay(address string) error {
	l, err := h.listen(address)
	if err != nil {
		return err
	}
	r := &relay{listener: l}
	h.relays = append(h.relays, r)
	r.conversations.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			r.conversations.Go(func() { converse(near, address) })
		}
	})
	return nil
}

// listen listens in the host's network.
func (h *Host) listen(address string) (l net.Listener, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // not unlocked: the thread ends with the goroutine
		if err = netns.Set(h.network); err == nil {
			l, err = net.Listen("tcp", address)
		}
	}()
	<-done
	return l, err
}

// converse passes on what both ends say until one of them has no more to say.
func converse(near net.Conn, address string) {
	defer near.Close()
	far, err := net.Dial("tcp", address)
	if err != nil {
		return // the near end sees its connection closed
	}
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
		both.Go(func() {
			_, _ = io.Copy(way[1], way[0]) // however it ended, it is over
			near.Close()
			far.Close()
		})
	}
	both.Wait()
}
