package netplug

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netns"

	"bolide/test/openvswitch"
)

// settleTime bounds how long a call to the database may take.
const settleTime = 20 * time.Second

// ovs is an Open vSwitch of a test's own, in the network namespace of the test.
type ovs struct {
	*openvswitch.Switch
	tb testing.TB
	ns *namespace
}

// newOVS starts ovsdb-server alone; the rows need no more.
func newOVS(tb testing.TB, ns *namespace) *ovs {
	tb.Helper()
	if err := openvswitch.Missing(); err != nil {
		tb.Skip(err)
	}
	s, err := openvswitch.New(openvswitch.Options{Enter: func() error { return netns.Set(ns.handle) }})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return &ovs{Switch: s, tb: tb, ns: ns}
}

func (o *ovs) database() *database {
	return &database{options: OVSOptions{Connection: o.Connection(), Timeout: settleTime}, log: Options{}.logger()}
}

// must fails the test.
func (o *ovs) must(err error) {
	o.tb.Helper()
	if err != nil {
		o.tb.Fatal(err)
	}
}

// until waits for a condition that no event tells of.
func (o *ovs) until(what string, is func() bool) {
	o.tb.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	end := time.After(openvswitch.Limit)
	for !is() {
		select {
		case <-tick.C:
		case <-end:
			o.tb.Fatalf("waiting until %s: still not after %v", what, openvswitch.Limit)
		}
	}
}

// vsctl asks or changes the database as an administrator does.
func (o *ovs) vsctl(args ...string) string {
	o.tb.Helper()
	out, err := o.Ctl(args...)
	o.must(err)
	return out
}

// put makes what another program made.
func (o *ovs) put(s switchState) {
	o.tb.Helper()
	for _, b := range s.Bridges {
		o.vsctl("add-br", b.Name, "--", "set", "Bridge", b.Name, "datapath_type="+b.Datapath)
	}
	for _, p := range s.Ports {
		args := []string{"add-port", p.Bridge, p.Name, "--", "set", "Interface", p.Name, fmt.Sprintf("type=%q", p.Type)}
		for key, value := range p.IDs {
			args = append(args, fmt.Sprintf("external_ids:%s=%q", key, value))
		}
		for key, value := range p.Options {
			args = append(args, fmt.Sprintf("options:%s=%q", key, value))
		}
		if p.Tag != 0 {
			args = append(args, "--", "set", "Port", p.Name, fmt.Sprint("tag=", p.Tag))
		}
		o.vsctl(args...)
	}
}

// describe returns a line per bridge and port, in the form of fakeSwitch's.
func (o *ovs) describe() (lines []string) {
	o.tb.Helper()
	for _, bridge := range strings.Fields(o.vsctl("list-br")) {
		lines = append(lines, switchBridge{Name: bridge, Datapath: o.text("Bridge", bridge, "datapath_type")}.String())
		for _, port := range strings.Fields(o.vsctl("list-ports", bridge)) {
			p := switchPort{
				Name: port, Bridge: bridge, Type: o.text("Interface", port, "type"),
				Options: o.table("Interface", port, "options"), IDs: o.table("Interface", port, "external_ids"),
			}
			fmt.Sscan(o.vsctl("get", "Port", port, "tag"), &p.Tag) // "[]" leaves 0
			fmt.Sscan(o.vsctl("get", "Interface", port, "mtu_request"), &p.MTU)
			lines = append(lines, p.String())
		}
	}
	// nothing may be left without a bridge either
	if ports, bridges := o.count("Port"), o.count("Bridge"); ports != len(lines) {
		o.tb.Errorf("%d ports in the database of which %d are on its %d bridges", ports, len(lines), bridges)
	}
	return lines
}

func (o *ovs) count(table string) int {
	return len(strings.Fields(o.vsctl("--bare", "--columns=_uuid", "list", table)))
}

func (o *ovs) text(table, record, column string) string {
	return strings.Trim(o.vsctl("get", table, record, column), `"`)
}

// table reads a column that is a map.
func (o *ovs) table(table, record, column string) map[string]string {
	out := o.vsctl("--format=json", "--columns="+column, "list", table, record)
	var shown struct {
		Data [][][2]json.RawMessage
	}
	if err := json.Unmarshal([]byte(out), &shown); err != nil || len(shown.Data) != 1 || len(shown.Data[0]) != 1 {
		o.tb.Errorf("%s of %s %s: %q: %v", column, table, record, out, err)
		return nil
	}
	var pairs [][2]string
	if err := json.Unmarshal(shown.Data[0][0][1], &pairs); err != nil {
		o.tb.Errorf("%s of %s %s: %q: %v", column, table, record, out, err)
	}
	m := map[string]string{}
	for _, p := range pairs {
		m[p[0]] = p[1]
	}
	return m
}

// sorted is what describe returned as one text.
func sorted(lines []string) string {
	return strings.Join(slices.Sorted(slices.Values(lines)), "\n")
}
