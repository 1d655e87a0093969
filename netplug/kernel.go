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
	return link{Name: name, Kind: kind(l), Up: l.Attrs().Flags&net.FlagUp != 0}, nil
}

// kind names a link's kind as the kernel does; the library calls taps "tuntap".
func kind(l netlink.Link) string {
	if _, ok := l.(*netlink.Tuntap); ok {
		return "tun"
	}
	return l.Type()
}

// AddBridge sends one request with all settings, because the library's own has
// no fields for the spanning tree and the forward delay, and because a bridge
// made in steps could be seen, and used, half done.
func (kernel) AddBridge(name string) error {
	req := nl.NewNetlinkRequest(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL|unix.NLM_F_ACK)
	req.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
	req.AddData(nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(name)))
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(nl.IFLA_INFO_KIND, nl.NonZeroTerminated("bridge"))
	data := info.AddRtAttr(nl.IFLA_INFO_DATA, nil)
	data.AddRtAttr(nl.IFLA_BR_FORWARD_DELAY, nl.Uint32Attr(0))
	data.AddRtAttr(nl.IFLA_BR_STP_STATE, nl.Uint32Attr(0))
	data.AddRtAttr(nl.IFLA_BR_MCAST_SNOOPING, []byte{0})
	req.AddData(info)
	_, err := req.Execute(unix.NETLINK_ROUTE, 0)
	return linkError(err)
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
	l, err := netlink.LinkByName(name)
	if err != nil {
		return linkError(err)
	}
	return linkError(netlink.LinkSetUp(l))
}

func (kernel) Delete(name string) error {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return linkError(err)
	}
	return linkError(netlink.LinkDel(l))
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
