package netplug

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netns"

	"bolide/test/child"
)

// settleTime bounds how long a program of Open vSwitch takes to answer or end.
const settleTime = 20 * time.Second

// ovs is an Open vSwitch of a test's own: a database in a directory of the test,
// and a switch in its network namespace.
type ovs struct {
	tb     testing.TB
	dir    string
	ns     *namespace
	server *program
}

// program is a running one.
type program struct {
	*exec.Cmd
	ended <-chan struct{}
}

// newOVS starts ovsdb-server alone; the rows need no more.
func newOVS(tb testing.TB, ns *namespace) *ovs {
	tb.Helper()
	for _, tool := range []string{"ovsdb-server", "ovs-vswitchd", "ovsdb-tool", "ovs-vsctl"} {
		if _, err := exec.LookPath(tool); err != nil {
			tb.Skip("needs Open vSwitch: ", err)
		}
	}
	dir, err := os.MkdirTemp("", "ovs") // short: a unix socket's path has 108 bytes
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	o := &ovs{tb: tb, dir: dir, ns: ns}
	o.run("ovsdb-tool", "create", o.path("conf.db"), schemaFile(tb))
	o.startServer()
	o.vsctl("init")
	return o
}

func schemaFile(tb testing.TB) string {
	for _, dir := range []string{"/usr/share/openvswitch", "/usr/local/share/openvswitch"} {
		if path := filepath.Join(dir, "vswitch.ovsschema"); exists(path) {
			return path
		}
	}
	tb.Skip("needs the schema of Open vSwitch's database")
	return ""
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func (o *ovs) path(name string) string { return filepath.Join(o.dir, name) }
func (o *ovs) connection() string      { return "unix:" + o.path("db.sock") }
func (o *ovs) database() *database {
	return &database{options: OVSOptions{Connection: o.connection(), Timeout: settleTime}, log: Options{}.logger()}
}

// start runs a program in the namespace until stop or the end of the test.
func (o *ovs) start(name string, args ...string) *program {
	o.tb.Helper()
	var output bytes.Buffer
	p := &program{Cmd: exec.Command(name, args...)}
	p.Env = append(os.Environ(), "OVS_RUNDIR="+o.dir, "OVS_DBDIR="+o.dir, "OVS_LOGDIR="+o.dir, "LC_ALL=C")
	p.Stdout, p.Stderr = io.Discard, &output
	p.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var err error
	if p.ended, err = child.StartAfter(p.Cmd, func() error { return netns.Set(o.ns.handle) }); err != nil {
		o.tb.Fatal(err)
	}
	o.tb.Cleanup(func() {
		p.stop(o.tb)
		if o.tb.Failed() {
			o.tb.Logf("%s:\n%s", name, output.Bytes())
		}
	})
	return p
}

// stop ends a program and waits for its end.
func (p *program) stop(tb testing.TB) {
	_ = p.Process.Kill() // an error means that it has ended
	select {
	case <-p.ended:
	case <-time.After(settleTime):
		tb.Errorf("%s does not end", p.Path)
	}
}

func (o *ovs) startServer(remotes ...string) {
	o.tb.Helper()
	args := []string{o.path("conf.db"), "--remote=p" + o.connection(), "--unixctl=" + o.path("server.ctl"), "-vconsole:warn"}
	o.server = o.start("ovsdb-server", append(args, remotes...)...)
	o.until("ovsdb-server answers", func() bool { return o.try("ovs-vsctl", "--db="+o.connection(), "--no-wait", "show") == nil })
}

// startSwitch starts the switch itself.
func (o *ovs) startSwitch() {
	o.tb.Helper()
	o.start("ovs-vswitchd", o.connection(), "--unixctl="+o.path("switch.ctl"), "-vconsole:warn")
}

// until waits for a condition that no event tells of.
func (o *ovs) until(what string, is func() bool) {
	o.tb.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	end := time.After(settleTime)
	for !is() {
		select {
		case <-tick.C:
		case <-end:
			o.tb.Fatalf("waiting until %s: still not after %v", what, settleTime)
		}
	}
}

func (o *ovs) try(name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, out)
	}
	return nil
}

func (o *ovs) run(name string, args ...string) {
	o.tb.Helper()
	if err := o.try(name, args...); err != nil {
		o.tb.Fatal(err)
	}
}

// vsctl asks or changes the database as an administrator does.
func (o *ovs) vsctl(args ...string) string {
	o.tb.Helper()
	out, err := exec.Command("ovs-vsctl", append([]string{"--db=" + o.connection(), "--no-wait", "--timeout=10"}, args...)...).CombinedOutput()
	if err != nil {
		o.tb.Fatalf("ovs-vsctl %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
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
