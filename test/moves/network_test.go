package moves

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"bolide/test/controller/network"
)

// The hosts of a test have networks of their own, so that each can have the tap of a guest that is on its way. A cable is
// between them, for migrations and ssh; the control plane is where they look for it, on their own loopback.

// addresses of the hosts on the cable (RFC 5737).
var addresses = map[string]string{"one": "192.0.2.1", "two": "192.0.2.2"}

// cable is the name of its end on each host.
const cable = "mig0"

// connect lays the cable.
func (c *cloud) connect() {
	c.t.Helper()
	one, two := c.hosts["one"].network(), c.hosts["two"].network()
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.Namespace = cable, netlink.NsFd(one)
	if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: cable, PeerNamespace: netlink.NsFd(two)}); err != nil {
		c.t.Fatal(err)
	}
	for _, h := range c.hosts {
		links := h.links()
		end, err := links.LinkByName(cable)
		if err == nil {
			err = links.AddrAdd(end, &netlink.Addr{IPNet: &net.IPNet{IP: net.ParseIP(h.address()).To4(), Mask: net.CIDRMask(24, 32)}})
		}
		if err == nil {
			err = links.LinkSetUp(end)
		}
		if err != nil {
			c.t.Fatalf("cable of %s: %v", h.name, err)
		}
	}
}

// cutLink takes the cable down for a while, as a switch that restarts does.
func (h *host) cutLink(while time.Duration) {
	h.c.t.Helper()
	links := h.links()
	end, err := links.LinkByName(cable)
	if err == nil {
		err = links.LinkSetDown(end)
	}
	if err != nil {
		h.c.t.Fatal(err)
	}
	<-time.After(while)
	if err := links.LinkSetUp(end); err != nil {
		h.c.t.Fatal(err)
	}
}

func (h *host) address() string { return addresses[h.name] }

// network is the host's, until the end of the test.
func (h *host) network() netns.NsHandle {
	h.c.t.Helper()
	n, err := netns.GetFromPath(h.daemon.Network())
	if err != nil {
		h.c.t.Fatal(err)
	}
	h.c.t.Cleanup(func() { n.Close() })
	return n
}

func (h *host) links() *netlink.Handle {
	h.c.t.Helper()
	links, err := netlink.NewHandleAt(h.network())
	if err != nil {
		h.c.t.Fatal(err)
	}
	h.c.t.Cleanup(links.Close)
	return links
}

// taps are the taps on the host.
func (h *host) taps() []string {
	h.c.t.Helper()
	names, err := tapsOf(h.links())
	if err != nil {
		h.c.t.Fatal(err)
	}
	return names
}

func tapsOf(links *netlink.Handle) (names []string, err error) {
	all, err := links.LinkList()
	for _, l := range all {
		if strings.HasPrefix(l.Attrs().Name, "tap") {
			names = append(names, l.Attrs().Name)
		}
	}
	return names, err
}

// agents are the layer-2 agents on all hosts: a port is connected as long as there is its tap.
type agents struct {
	mu    sync.Mutex
	hosts []*netlink.Handle
}

var _ network.Wire = (*agents)(nil)

// Bound implements network.Wire.
func (*agents) Bound(string) {}

// Prepare implements network.Wire.
func (*agents) Prepare(string, string) error { return nil }

// Run implements network.Wire.
func (a *agents) Run(ctx context.Context, report func(tap string, up bool)) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	seen := map[string]bool{}
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		now := a.all()
		for tap := range now {
			report(tap, true) // also of one that was there: it may have been bound anew
		}
		for tap := range seen {
			if !now[tap] {
				report(tap, false)
			}
		}
		seen = now
	}
}

func (a *agents) all() map[string]bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := map[string]bool{}
	for _, links := range a.hosts {
		names, _ := tapsOf(links) // a host that is going has none
		for _, name := range names {
			all[name] = true
		}
	}
	return all
}

// follow has the agents look after one more host until the test ends.
func (a *agents) follow(t *testing.T, links *netlink.Handle) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.hosts = append(a.hosts, links)
	t.Cleanup(func() { // before links are closed
		a.mu.Lock()
		defer a.mu.Unlock()
		a.hosts = slices.DeleteFunc(a.hosts, func(h *netlink.Handle) bool { return h == links })
	})
}

// relay lets the host reach what listens on an address of the test's loopback at the same address.
func (h *host) relay(address string) {
	t := h.c.t
	t.Helper()
	l, err := h.listen(address)
	if err != nil {
		t.Fatal(err)
	}
	var conversations sync.WaitGroup
	conversations.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			conversations.Go(func() { converse(near, address) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		conversations.Wait() // the host's programs have ended before
	})
}

// listen listens in the host's network.
func (h *host) listen(address string) (l net.Listener, err error) {
	ns, done := h.network(), make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // not unlocked: the thread ends with the goroutine
		if err = netns.Set(ns); err == nil {
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

// services are the addresses that a node speaks to.
func (c *cloud) services() []string {
	c.t.Helper()
	var all []string
	for _, text := range []string{
		rabbit.Get(c.t).URL(), c.URL("identity"), c.URL("image"), c.URL("network"), c.URL("placement"), c.URL("compute"),
	} {
		u, err := url.Parse(text)
		if err != nil {
			c.t.Fatal(err)
		}
		all = append(all, u.Host)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// sshFiles makes what the hosts have below /etc/ssh: keys with which each reaches the other.
func sshFiles(t *testing.T) string {
	t.Helper()
	for _, tool := range []string{"sshd", "ssh", "scp", "ssh-keygen"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip("needs OpenSSH: ", err)
		}
	}
	dir := t.TempDir()
	for _, key := range []string{"host", "client"} {
		if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(dir, key)).CombinedOutput(); err != nil {
			t.Fatalf("make a key: %v: %s", err, out)
		}
	}
	client := "IdentityFile /etc/ssh/client\nIdentitiesOnly yes\nStrictHostKeyChecking no\nUserKnownHostsFile /dev/null\nLogLevel ERROR\n"
	for name, address := range addresses {
		client += fmt.Sprintf("Host %s\n HostName %s\n", name, address)
	}
	for name, text := range map[string]string{
		"ssh_config": client,
		"sshd_config": "HostKey /etc/ssh/host\nAuthorizedKeysFile /etc/ssh/client.pub\nStrictModes no\nUsePAM no\n" +
			"PermitRootLogin yes\nPidFile /var/lib/libvirt/sshd.pid\nSubsystem sftp internal-sftp\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil { // where sshd separates its privileges
		t.Fatal(err)
	}
	return dir
}

// startSSH lets the other host in.
func (h *host) startSSH() {
	t := h.c.t
	t.Helper()
	program, err := exec.LookPath("sshd") // it insists on its full name
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.daemon.Run(io.Discard, program, "-D", "-o", "ListenAddress="+h.address()); err != nil {
		t.Fatal(err)
	}
	h.c.until("sshd listens on "+h.name, func() bool {
		_, err := os.Stat(filepath.Join(h.daemon.Root(), "sshd.pid"))
		return !errors.Is(err, os.ErrNotExist)
	})
}
