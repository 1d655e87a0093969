package agent

import (
	"net"
	"strconv"
	"strings"
	"testing"

	"bolide/rpc/nova"
	"bolide/test/virt"
)

// freePort is a TCP port that nobody has.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// withConsoles is a node with all kinds of consoles, and a guest that has them; the port of the serial one is known.
func withConsoles(t *testing.T) (*node, int) {
	t.Helper()
	n := newNode(t, map[string]string{
		"vnc.enabled": "true", "spice.enabled": "true", "serial_console.enabled": "true",
		"vnc.novncproxy_base_url": "http://vnc.example/vnc.html", "spice.html5proxy_base_url": "http://spice.example/spice.html",
		"serial_console.base_url":        "ws://serial.example/",
		"vnc.server_proxyclient_address": "192.0.2.1", "spice.server_proxyclient_address": "192.0.2.2", "serial_console.proxyclient_address": "192.0.2.3",
	})
	serial := freePort(t)
	g := n.daemon.NewGuest(t, virt.GuestOptions{Devices: `
		<graphics type='vnc' autoport='yes' listen='127.0.0.1'/>
		<graphics type='spice' autoport='yes' listen='127.0.0.1'/>
		<console type='tcp'><source mode='bind' host='127.0.0.1' service='` + strconv.Itoa(serial) + `'/><target type='virtio'/></console>`})
	n.define(t, g.XML)
	n.start(t, g)
	return n, serial
}

func TestConsoles(t *testing.T) {
	n, serial := withConsoles(t)
	n.conductor.answers["ConsoleAuthToken.authorize"] = "sesame"
	for _, c := range []struct {
		op         func(*Agent) operation
		kind, host string
		url        string
		fields     int
	}{
		{opVNCConsole, "novnc", "192.0.2.1", "http://vnc.example/vnc.html?path=%3Ftoken%3D", 5},
		{opSPICEConsole, "spice-html5", "192.0.2.2", "http://spice.example/spice.html?token=", 6},
		{opSerialConsole, "serial", "192.0.2.3", "ws://serial.example/?token=", 5},
	} {
		t.Run(c.kind, func(t *testing.T) {
			answer, err := n.ask(t, c.op, "", map[string]any{"console_type": c.kind})
			if err != nil {
				t.Fatal(err)
			}
			info := answer.(map[string]any)
			if info["host"] != c.host || !strings.HasPrefix(info["access_url"].(string), c.url) || len(info) != c.fields {
				t.Errorf("answer: %v", info)
			}
			port := info["port"].(string)
			conn, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", port))
			if err != nil {
				t.Fatalf("nobody listens at the console's port: %v", err)
			}
			conn.Close()
			if c.kind == "serial" && port != strconv.Itoa(serial) {
				t.Errorf("port %s, want %d", port, serial)
			}
			for asked, valid := range map[any]bool{port: true, mustInt(t, port): true, "1": false} {
				got, err := n.ask(t, opValidateConsolePort, "", map[string]any{"console_type": c.kind, "port": asked})
				if err != nil || got != valid {
					t.Errorf("port %v is valid: %v, %v", asked, got, err)
				}
			}
		})
	}
}

func mustInt(t *testing.T, text string) int {
	t.Helper()
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestConsolesRefused holds the refusals against the exceptions that Nova's API makes answers of.
func TestConsolesRefused(t *testing.T) {
	n := newNode(t, map[string]string{"spice.enabled": "false", "serial_console.enabled": "true"})
	n.boot(t) // has no screen and no serial port of TCP
	for name, c := range map[string]struct {
		op          func(*Agent) operation
		kind, class string
	}{
		"switched off":      {opSPICEConsole, "spice-html5", "ConsoleTypeUnavailable"},
		"of another kind":   {opVNCConsole, "xvpvnc", "ConsoleTypeInvalid"},
		"guest has none":    {opSerialConsole, "serial", "ConsoleTypeUnavailable"},
		"other hypervisors": {opRDPConsole, "rdp-html5", "ConsoleTypeUnavailable"},
	} {
		if _, err := n.ask(t, c.op, "", map[string]any{"console_type": c.kind}); !nova.Is(err, c.class) {
			t.Errorf("%s: %v, want %s", name, err, c.class)
		}
	}
}
