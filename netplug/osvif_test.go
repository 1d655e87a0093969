package netplug

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// osVIF is what testdata/osvif.py is to do.
type osVIF struct {
	Port    Port
	Unplug  bool
	Options map[string]string // [os_vif_ovs]
}

// TestSameAsOSVIF: what a port is on the host equals what os-vif, with which
// Nova's own node plugs, makes of the same port: every column of every row, every
// setting of every link.
func TestSameAsOSVIF(t *testing.T) {
	python := osVIFPython()
	if python == "" {
		t.Skip("no python3 with os-vif")
	}
	cases := map[string]struct {
		port    Port
		options map[string]string
	}{
		"native":                      {port: ovsPort().with(func(p *Port) { p.MTU = 1450 })},
		"native, isolated":            {port: ovsPort(), options: map[string]string{"isolate_vif": "true"}},
		"hybrid":                      {port: hybridPort()},
		"own bridge":                  {port: ovsPort(), options: map[string]string{"per_port_bridge": "true"}},
		"vhost-user":                  {port: vhostUserPort()},
		"vhost-user, switch's socket": {port: vhostUserPort().with(func(p *Port) { p.Socket.Client = true })},
		"offloaded":                   {port: offloadedPort()},
		"trunk":                       {port: ovsPort().with(func(p *Port) { p.Bridge = "tbr-1a2b3c4d-5" })},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if _, err := os.Stat("/sys/bus/pci/devices"); err != nil && c.port.offloaded() {
				t.Skip("needs a host with PCI: ", err)
			}
			var plugged, unplugged [2]string
			for i, plug := range []func(*testing.T, *ovs, osVIF){plugOSVIF, plugOurselves} {
				ns := newNamespace(t)
				ns.add(representor, kindBridge, false) // of the offloaded port
				o := newOVS(t, ns)
				o.must(o.StartSwitch())
				options := map[string]string{"ovsdb_connection": o.Connection(), "ovs_vsctl_timeout": "10"}
				for name, value := range c.options {
					options[name] = value
				}
				plug(t, o, osVIF{Port: c.port, Options: options})
				plugged[i] = o.everything()
				plug(t, o, osVIF{Port: c.port, Options: options, Unplug: true})
				unplugged[i] = o.everything()
			}
			if d := cmp.Diff(plugged[0], plugged[1]); d != "" {
				t.Errorf("plugged by os-vif (-) and by netplug (+):\n%s", d)
			}
			if d := cmp.Diff(unplugged[0], unplugged[1]); d != "" {
				t.Errorf("unplugged by os-vif (-) and by netplug (+):\n%s", d)
			}
		})
	}
}

// osVIFPython finds a Python that has os-vif; "" if there is none.
var osVIFPython = sync.OnceValue(func() string {
	for _, p := range []string{"/usr/bin/python3", "python3"} {
		if exec.Command(p, "-c", "import vif_plug_ovs.ovs").Run() == nil {
			return p
		}
	}
	return ""
})

func plugOSVIF(t *testing.T, o *ovs, v osVIF) {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), osVIFPython(), "testdata/osvif.py")
	if v.Port.offloaded() { // os-vif looks for cards in /sys and nowhere else
		cmd = exec.CommandContext(t.Context(), "unshare", "--mount", "sh", "-ec", `
			mount --bind "$0/bus/pci/devices" /sys/bus/pci/devices
			mount --bind "$0/class/net" /sys/class/net
			exec "$@"`, cardTree(t), osVIFPython(), "testdata/osvif.py")
	}
	cmd.Stdin = bytes.NewReader(text)
	var out []byte
	o.ns.do(func() { out, err = cmd.CombinedOutput() })
	if err != nil {
		t.Fatalf("os-vif: %v: %s", err, out)
	}
}

func plugOurselves(t *testing.T, o *ovs, v osVIF) {
	t.Helper()
	options := OVSOptions{
		Connection: v.Options["ovsdb_connection"], Timeout: settleTime, MTU: 1500,
		Isolate: v.Options["isolate_vif"] == "true", PerPortBridge: v.Options["per_port_bridge"] == "true",
	}
	d := &database{options: options, letGo: letGo, log: Options{}.logger()}
	n := newNet(Options{OVS: options}, kernel{}, d)
	if v.Port.offloaded() {
		n.pluggers[kindOfPort{VIFOVS, VNICDirect}].(*openVSwitch).sys = sysfs{cardTree(t)}
	}
	do := n.Ensure
	if v.Unplug {
		do = n.Remove
	}
	var err error
	o.ns.do(func() { err = do(t.Context(), v.Port) })
	if err != nil {
		t.Fatal(err)
	}
}

// passing are the columns and settings that say what the switch or the kernel
// observed or drew at random, not what a port was made to be.
var passing = []string{
	"_uuid", "_version", "statistics", "status", "rstp_statistics", "rstp_status", "error", "ifindex", "mac_in_use", "ofport",
	"link_resets", "link_speed", "link_state", "duplex", "admin_state", "datapath_id", "datapath_version", "mtu", "ports",
	"interfaces", "lacp_current", "cfm_fault", "cfm_health",
	"address", "link_index", "operstate", "stats64", "stats", "root_id", "bridge_id", "gc_timer", "hello_timer", "tcn_timer",
	"topology_change_timer", "id", "designated_port", "designated_bridge", "designated_root", "cost", "root_port",
}

// everything is what there is of the switch and the links, a line per value.
func (o *ovs) everything() string {
	o.tb.Helper()
	o.must(o.Settle())
	var lines []string
	for _, table := range []string{tableBridge, tablePort, tableInterface} {
		var shown struct {
			Headings []string
			Data     [][]any
		}
		out := o.vsctl("--format=json", "list", table)
		if err := json.Unmarshal([]byte(out), &shown); err != nil {
			o.tb.Fatalf("list %s: %q: %v", table, out, err)
		}
		name := slices.Index(shown.Headings, "name")
		for _, row := range shown.Data {
			for i, value := range row {
				if !slices.Contains(passing, shown.Headings[i]) {
					lines = append(lines, fmt.Sprint(table, " ", row[name], " ", shown.Headings[i], " = ", value))
				}
			}
		}
	}
	var out []byte
	var err error
	o.ns.do(func() { out, err = exec.Command("ip", "-json", "-details", "link").Output() })
	var links []map[string]any
	if err == nil {
		err = json.Unmarshal(out, &links)
	}
	if err != nil {
		o.tb.Fatalf("ip link: %v: %s", err, out)
	}
	for _, l := range links {
		lines = append(lines, flatten(fmt.Sprint("link ", l["ifname"]), l)...)
	}
	return strings.Join(slices.Sorted(slices.Values(lines)), "\n")
}

// flatten makes a line of every value below v.
func flatten(path string, v any) (lines []string) {
	m, ok := v.(map[string]any)
	if !ok {
		return []string{fmt.Sprint(path, " = ", v)}
	}
	for key, value := range m {
		if !slices.Contains(passing, key) {
			lines = append(lines, flatten(path+" "+key, value)...)
		}
	}
	return lines
}
