package netplug

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestGuestsTalk plugs two guests' ports, in every way that Open vSwitch knows
// without special hardware, and has frames pass between their cards: small ones,
// ones as large as the MTU, and to everybody.
func TestGuestsTalk(t *testing.T) {
	ns := newNamespace(t)
	o := newOVS(t, ns)
	o.must(o.StartSwitch())
	switched := o.database()
	switched.letGo = letGo
	type way struct {
		port    Port
		options OVSOptions
	}
	ways := map[string]way{
		"native":     {port: ovsPort()},
		"hybrid":     {port: hybridPort()},
		"own bridge": {port: ovsPort(), options: OVSOptions{PerPortBridge: true}},
	}
	for _, pair := range [][2]string{{"native", "native"}, {"hybrid", "hybrid"}, {"native", "hybrid"}, {"own bridge", "native"}} {
		t.Run(pair[0]+" to "+pair[1], func(t *testing.T) {
			var cards [2]*card
			var remove [2]func()
			for i, name := range pair {
				w := ways[name]
				p := w.port.with(func(p *Port) {
					p.ID = fmt.Sprintf("%08x-9a4f-4f39-9a57-1c2d3e4f5a6b", i+1)
					p.Device, p.MAC, p.MTU = DeviceName(p.ID), fmt.Sprintf("fa:16:3e:00:00:%02x", i+1), 1450
				})
				n := newNet(Options{OVS: w.options}, kernel{}, switched)
				var err error
				ns.do(func() { err = n.Ensure(t.Context(), p) })
				if err != nil {
					t.Fatal(err)
				}
				cards[i] = o.insertCard(t, p)
				remove[i] = func() {
					cards[i].close()
					ns.do(func() { err = n.Remove(t.Context(), p) })
					if err != nil {
						t.Error(err)
					}
				}
			}
			everybody := net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
			for _, size := range []int{46, 1450} {
				cards[0].talk(t, cards[1], everybody, size)
				cards[1].talk(t, cards[0], cards[0].mac, size)
				cards[0].talk(t, cards[1], cards[1].mac, size)
			}
			remove[0]()
			remove[1]()
			if got := sorted(append(o.describe(), ns.guestLinks()...)); got != "switch br-int netdev" {
				t.Errorf("left is\n%s", got)
			}
		})
	}
}

// guestLinks are the links of a namespace without the switch's own.
func (n *namespace) guestLinks() (lines []string) {
	for _, l := range n.describe() {
		if !bytes.HasPrefix([]byte(l), []byte("br-int ")) && !bytes.HasPrefix([]byte(l), []byte("ovs-netdev ")) {
			lines = append(lines, l)
		}
	}
	return lines
}

// card is a guest's network card: the end of a tap that QEMU holds.
type card struct {
	file *os.File
	mac  net.HardwareAddr
	id   byte // distinguishes frames
}

// insertCard does what libvirt and QEMU do when a guest starts: it makes the
// tap, puts it on the bridge that the domain names, and sets it up later, when
// the guest runs. Open vSwitch has taken it by then; if it did so at the same
// moment, it could set it down again.
func (o *ovs) insertCard(t *testing.T, p Port) *card {
	t.Helper()
	mac, err := net.ParseMAC(p.MAC)
	if err != nil {
		t.Fatal(err)
	}
	c := &card{mac: mac}
	o.ns.do(func() { c.file, err = openTap(p) })
	if err != nil {
		t.Fatalf("insert card: %v", err)
	}
	want := settings{MTU: p.MTU}
	if p.hybrid() {
		want.Bridge, _, _ = hybridNames(p)
	} else {
		o.until("the switch has "+p.Device, func() bool {
			n, err := strconv.Atoi(o.vsctl("get", "Interface", p.Device, "ofport")) // "[]" before, -1 without a link
			return err == nil && n > 0
		})
	}
	o.ns.do(func() { err = ensureLink(kernel{}, link{Name: p.Device}, want) })
	if err != nil {
		t.Fatalf("insert card: %v", err)
	}
	return c
}

func openTap(p Port) (*os.File, error) {
	request, err := unix.NewIfreq(p.Device)
	if err != nil {
		return nil, err
	}
	request.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, request); err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), p.Device), nil
}

func (c *card) close() { _ = c.file.Close() }

// talk sends frames until the other card gets one: the switch takes a tap some
// time after it appeared.
func (c *card) talk(t *testing.T, other *card, to net.HardwareAddr, size int) {
	t.Helper()
	const experimental = "\x88\xb5" // an EtherType that is free to use
	c.id++
	payload := bytes.Repeat([]byte{c.id}, size)
	frame := append(append(append(append([]byte{}, to...), c.mac...), experimental...), payload...)
	for end := time.Now().Add(settleTime); time.Now().Before(end); {
		if _, err := c.file.Write(frame); err != nil {
			t.Fatalf("send: %v", err)
		}
		if other.receives(t, frame, 100*time.Millisecond) {
			return
		}
	}
	t.Fatalf("frame of %d bytes from %s to %s did not arrive", size, c.mac, to)
}

// receives waits for one frame among all that come.
func (c *card) receives(t *testing.T, frame []byte, patience time.Duration) bool {
	t.Helper()
	if err := c.file.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	for buffer := make([]byte, 2048); ; {
		n, err := c.file.Read(buffer)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return false
		}
		if err != nil {
			t.Fatalf("receive: %v", err)
		}
		if bytes.Equal(buffer[:n], frame) {
			return true
		}
	}
}
