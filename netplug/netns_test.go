package netplug

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// namespace is a network namespace of a test's own; it ends with the test.
type namespace struct {
	tb     testing.TB
	handle netns.NsHandle
}

func newNamespace(tb testing.TB) *namespace {
	tb.Helper()
	if os.Geteuid() != 0 {
		tb.Skip("needs root to make a network namespace")
	}
	n := &namespace{tb: tb}
	inThread(func() {
		h, err := netns.New()
		if err != nil {
			tb.Errorf("new network namespace: %v", err)
			return
		}
		n.handle = h
	})
	if tb.Failed() {
		tb.FailNow()
	}
	tb.Cleanup(func() { _ = n.handle.Close() })
	return n
}

// do runs f in the namespace and waits for it.
func (n *namespace) do(f func()) {
	inThread(func() {
		if err := netns.Set(n.handle); err != nil {
			n.tb.Errorf("enter network namespace: %v", err)
			return
		}
		f()
	})
}

// inThread runs f on a thread that ends with it, so that no other goroutine
// ever runs in a namespace that f entered.
func inThread(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // not unlocked: the thread ends with the goroutine
		f()
	}()
	<-done
}

// add makes a link as another program would.
func (n *namespace) add(name, kind string, up bool) {
	n.do(func() {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = name
		var l netlink.Link
		switch kind {
		case kindBridge:
			l = &netlink.Bridge{LinkAttrs: attrs}
		case kindVeth:
			l = &netlink.Veth{LinkAttrs: attrs, PeerName: "to-" + name[:min(len(name), 11)]}
		case kindTap:
			l = &netlink.Tuntap{LinkAttrs: attrs, Mode: netlink.TUNTAP_MODE_TAP}
		default:
			n.tb.Errorf("unknown kind %q", kind)
			return
		}
		err := netlink.LinkAdd(l)
		if err == nil && up {
			err = netlink.LinkSetUp(l)
		}
		if err != nil {
			n.tb.Errorf("add %s %s: %v", kind, name, err)
		}
	})
}

// describe returns a line per link except the loopback, in the form of fakeLink's.
func (n *namespace) describe() (lines []string) {
	n.do(func() {
		all, err := netlink.LinkList()
		if err != nil {
			n.tb.Errorf("list links: %v", err)
			return
		}
		for _, l := range all {
			name := l.Attrs().Name
			if name == "lo" {
				continue
			}
			k, err := kernel{}.Get(name)
			if err != nil {
				n.tb.Errorf("get %s: %v", name, err)
			}
			f := fakeLink{link: k, peer: peer(l), vlan: vlan(l), isolated: sysctl("ipv6", name, "disable_ipv6") == "1" &&
				sysctl("ipv4", name, "arp_ignore") == "1" && sysctl("ipv4", name, "arp_announce") == "2"}
			if k.Kind == "bridge" {
				f.plain, f.forgetful = n.bridgeSettings(name)
			}
			lines = append(lines, f.String())
		}
	})
	return lines
}

// peer returns the name of a veth's other end in the same namespace.
func peer(l netlink.Link) string {
	veth, ok := l.(*netlink.Veth)
	if !ok {
		return ""
	}
	other, err := netlink.LinkByIndex(veth.Attrs().ParentIndex)
	if err != nil {
		return ""
	}
	return other.Attrs().Name
}

func vlan(l netlink.Link) string {
	v, ok := l.(*netlink.Vlan)
	if !ok {
		return ""
	}
	below, err := netlink.LinkByIndex(v.ParentIndex)
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%s.%d", below.Attrs().Name, v.VlanId)
}

// bridgeSettings reads a bridge's settings as iproute2 shows them.
func (n *namespace) bridgeSettings(name string) (plain, forgetful bool) {
	out, err := exec.Command("ip", "-json", "-details", "link", "show", "dev", name).Output()
	if err != nil {
		n.tb.Errorf("ip link show %s: %v", name, err)
		return false, false
	}
	var shown []struct {
		Info struct {
			Data struct {
				ForwardDelay int `json:"forward_delay"`
				Stp          int `json:"stp_state"`
				Snooping     int `json:"mcast_snooping"`
				Ageing       int `json:"ageing_time"`
			} `json:"info_data"`
		} `json:"linkinfo"`
	}
	if err := json.Unmarshal(out, &shown); err != nil || len(shown) != 1 {
		n.tb.Errorf("ip link show %s: %q: %v", name, out, err)
		return false, false
	}
	d := shown[0].Info.Data
	return d.ForwardDelay == 0 && d.Stp == 0 && d.Snooping == 0, d.Ageing == 0
}

func sysctl(family, name, key string) string {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/sys/net/%s/conf/%s/%s", family, name, key))
	return strings.TrimSpace(string(b))
}
