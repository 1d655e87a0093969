package netplug

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// kernel is the real link layer, over rtnetlink and /proc/sys. Every call opens
// a socket of its own, which is what ties it to the calling thread's namespace.
type kernel struct{}

var _ links = kernel{}

func (kernel) Get(name string) (link, error) {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return link{}, linkError(err)
	}
	a := l.Attrs()
	out := link{
		Name: name, Kind: kind(l), MTU: a.MTU, MAC: a.HardwareAddr.String(),
		Up: a.RawFlags&unix.IFF_UP != 0, InUse: inUse(l),
	}
	if a.MasterIndex != 0 {
		// the bridge may go between the two questions
		if bridge, err := netlink.LinkByIndex(a.MasterIndex); err == nil {
			out.Bridge = bridge.Attrs().Name
		}
	}
	return out, nil
}

// inUse goes by the carrier: a tap has one when a program has it open.
func inUse(l netlink.Link) bool { return l.Attrs().RawFlags&unix.IFF_LOWER_UP != 0 }

// kind names a link's kind as the kernel does; the library calls taps "tuntap".
func kind(l netlink.Link) string {
	if _, ok := l.(*netlink.Tuntap); ok {
		return kindTap
	}
	return l.Type()
}

// AddBridge sends one request with all settings, because the library's own has
// no fields for the spanning tree and the forward delay, and because a bridge
// made in steps could be seen, and used, half done.
func (kernel) AddBridge(name string, o bridgeOptions) error {
	req := nl.NewNetlinkRequest(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL|unix.NLM_F_ACK)
	req.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
	req.AddData(nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(name)))
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(nl.IFLA_INFO_KIND, nl.NonZeroTerminated(kindBridge))
	data := info.AddRtAttr(nl.IFLA_INFO_DATA, nil)
	data.AddRtAttr(nl.IFLA_BR_FORWARD_DELAY, nl.Uint32Attr(0))
	data.AddRtAttr(nl.IFLA_BR_STP_STATE, nl.Uint32Attr(0))
	data.AddRtAttr(nl.IFLA_BR_MCAST_SNOOPING, []byte{0})
	if o.NoAgeing {
		data.AddRtAttr(nl.IFLA_BR_AGEING_TIME, nl.Uint32Attr(0))
	}
	req.AddData(info)
	_, err := req.Execute(unix.NETLINK_ROUTE, 0)
	return linkError(err)
}

func (kernel) AddVeth(name, peer string) error {
	pair := netlink.NewVeth(named(name)) // which leaves the other end's queue to the kernel
	pair.PeerName = peer
	return linkError(netlink.LinkAdd(pair))
}

// AddTap asks the kernel itself, because the library gives the tap an owner and
// hides the kernel's error.
func (kernel) AddTap(name string, o tapOptions) error {
	flags := unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_TUN_EXCL
	if o.Multiqueue {
		flags |= unix.IFF_MULTI_QUEUE
	}
	request, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	request.SetUint16(uint16(flags))
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open /dev/net/tun: %w", err)
	}
	defer unix.Close(fd)
	err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	switch {
	case errors.Is(err, unix.EBUSY): // IFF_TUN_EXCL
		return errLinkExists
	case err == nil:
		err = unix.IoctlSetInt(fd, unix.TUNSETPERSIST, 1)
	}
	if err != nil {
		return fmt.Errorf("tun: %w", err)
	}
	return nil
}

func (kernel) AddVLAN(name, parent string, id int) error {
	below, err := netlink.LinkByName(parent)
	if err != nil {
		return linkError(err)
	}
	attrs := named(name)
	attrs.ParentIndex = below.Attrs().Index
	return linkError(netlink.LinkAdd(&netlink.Vlan{LinkAttrs: attrs, VlanId: id, VlanProtocol: netlink.VLAN_PROTOCOL_8021Q}))
}

func named(name string) netlink.LinkAttrs {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	return attrs
}

func (kernel) Isolate(name string) error {
	for _, s := range []struct{ path, value string }{
		{"ipv6/conf/" + name + "/disable_ipv6", "1"},
		{"ipv4/conf/" + name + "/arp_ignore", "1"},   // answer only for addresses of this link
		{"ipv4/conf/" + name + "/arp_announce", "2"}, // and ask with the best of them
	} {
		if err := writeSysctl(filepath.Join("/proc/sys/net", s.path), s.value); err != nil {
			return err
		}
	}
	return nil
}

// writeSysctl sets a value; a kernel without that family has no such file and
// nothing to switch off.
func writeSysctl(path, value string) error {
	err := os.WriteFile(path, []byte(value), 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (kernel) Up(name string) error {
	return change(name, netlink.LinkSetUp)
}

func (kernel) Down(name string) error {
	return change(name, netlink.LinkSetDown)
}

func (kernel) SetMTU(name string, mtu int) error {
	return change(name, func(l netlink.Link) error { return netlink.LinkSetMTU(l, mtu) })
}

func (kernel) SetMAC(name, mac string) error {
	address, err := net.ParseMAC(mac)
	if err != nil {
		return err
	}
	return change(name, func(l netlink.Link) error { return netlink.LinkSetHardwareAddr(l, address) })
}

func (kernel) SetBridge(name, bridge string) error {
	br, err := netlink.LinkByName(bridge)
	if err != nil {
		return linkError(err)
	}
	return change(name, func(l netlink.Link) error { return netlink.LinkSetMasterByIndex(l, br.Attrs().Index) })
}

func (kernel) Function(card string, n int) (function, error) {
	l, err := netlink.LinkByName(card)
	if err != nil {
		return function{}, linkError(err)
	}
	for _, f := range l.Attrs().Vfs {
		if f.ID == n {
			return function{MAC: f.Mac.String(), VLAN: f.Vlan, Trusted: f.Trust == 1}, nil
		}
	}
	return function{}, errNoLink
}

func (k kernel) SetFunction(card string, n int, want function) error {
	is, err := k.Function(card, n)
	if err != nil {
		return err
	}
	address, err := net.ParseMAC(want.MAC)
	if err != nil {
		return err
	}
	return change(card, func(l netlink.Link) error {
		var errs []error // drivers differ in what they can do: no more than is needed
		if is.MAC != want.MAC {
			errs = append(errs, netlink.LinkSetVfHardwareAddr(l, n, address))
		}
		if is.VLAN != want.VLAN {
			errs = append(errs, netlink.LinkSetVfVlan(l, n, want.VLAN))
		}
		if is.Trusted != want.Trusted {
			errs = append(errs, netlink.LinkSetVfTrust(l, n, want.Trusted))
		}
		return errors.Join(errs...)
	})
}

func (kernel) Delete(name string) error {
	return change(name, netlink.LinkDel)
}

// change does something to the link of that name.
func change(name string, do func(netlink.Link) error) error {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return linkError(err)
	}
	return linkError(do(l))
}

// linkError translates the errors that callers tell apart.
func linkError(err error) error {
	var missing netlink.LinkNotFoundError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &missing), errors.Is(err, unix.ENODEV):
		return errNoLink
	case errors.Is(err, unix.EEXIST):
		return errLinkExists
	}
	return fmt.Errorf("netlink: %w", err)
}
