package agent

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"bolide/agent/resources"
	"bolide/agent/status"
	"bolide/rpc/nova"
	"bolide/test/virt"
)

const portsOfGuest = `<metadata><nova:instance xmlns:nova="http://openstack.org/xmlns/libvirt/nova/1.1"><nova:ports>
<nova:port uuid="9a8b"><nova:ip type="fixed" address="10.0.0.4" ipVersion="4"/></nova:port></nova:ports></nova:instance></metadata>`

func TestInspect(t *testing.T) {
	n := newNode(t, nil)
	g := n.daemon.NewGuest(t, virt.GuestOptions{
		Devices: "<interface type='ethernet'><mac address='fa:16:3e:00:00:01'/><target dev='tap9a8b' managed='no'/></interface>",
	})
	n.define(t, strings.Replace(g.XML, "<memory", portsOfGuest+"<memory", 1))
	dir := n.instanceDir(g.UUID)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/console.log", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	in, err := n.Inspect(within(t, patience), g.UUID)
	if err != nil {
		t.Fatal(err)
	}
	if in.Domain == nil || in.Domain.State != "shut off" || !in.Domain.Persistent {
		t.Errorf("domain: %+v", in.Domain)
	}
	if in.Directory == nil || in.Directory.Path != dir || !slices.Equal(in.Directory.Files, []string{"console.log"}) {
		t.Errorf("directory: %+v", in.Directory)
	}
	if len(in.Disks) != 1 || in.Disks[0].Device != "vda" || in.Disks[0].Path != g.Disk || in.Disks[0].Size != 1<<20 {
		t.Errorf("disks: %+v", in.Disks)
	}
	if len(in.Ports) != 1 || in.Ports[0].ID != "9a8b" || in.Ports[0].Device != "tap9a8b" || !slices.Equal(in.Ports[0].Addresses, []string{"10.0.0.4"}) {
		t.Errorf("ports: %+v", in.Ports)
	}
	if len(in.Problems) != 0 {
		t.Errorf("problems: %q", in.Problems)
	}

	if err := os.Remove(g.Disk); err != nil {
		t.Fatal(err)
	}
	if in, err = n.Inspect(within(t, patience), g.UUID); err != nil || len(in.Problems) != 1 || !strings.Contains(in.Problems[0], "disk vda") {
		t.Errorf("without its disk: %q, %v", in.Problems, err)
	}
	const nobody = "00000000-0000-0000-0000-000000000000"
	if in, err = n.Inspect(within(t, patience), nobody); err != nil || in.Domain != nil || len(in.Problems) != 2 {
		t.Errorf("nobody: %+v, %v", in, err)
	}
	if _, err := n.DomainXML(within(t, patience), nobody); !errors.Is(err, status.ErrNoGuest) {
		t.Errorf("domain of nobody: %v", err)
	}
	if _, err := n.Console(within(t, patience), nobody, status.ConsoleOptions{}); !errors.Is(err, status.ErrNoGuest) {
		t.Errorf("console of nobody: %v", err)
	}
}

func TestDiscord(t *testing.T) {
	for _, tt := range []struct {
		held  resources.Held
		power nova.PowerState
		want  string
	}{
		{resources.Held{VMState: "active"}, nova.PowerRunning, ""},
		{resources.Held{VMState: "active"}, nova.PowerShutdown, "active in Nova, shutdown in libvirt"},
		{resources.Held{VMState: "active"}, nova.PowerNoState, ""},
		{resources.Held{VMState: "active", TaskState: "rebooting"}, nova.PowerShutdown, ""},
		{resources.Held{VMState: "stopped"}, nova.PowerRunning, "stopped in Nova, running in libvirt"},
		{resources.Held{VMState: "error"}, nova.PowerRunning, ""},
	} {
		if got := discord(tt.held, tt.power); got != tt.want {
			t.Errorf("%+v, %s: %q, want %q", tt.held, tt.power, got, tt.want)
		}
	}
}

// Every room that names itself in the log can be given a level.
func TestLogRooms(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`WithField\("part", "([a-z]+)"\)`).FindAllSubmatch(text, -1) {
			named[string(m[1])] = true
		}
	}
	if got, want := LogRooms(), slices.Sorted(maps.Keys(named)); !slices.Equal(got, want) {
		t.Errorf("rooms %q, want %q", got, want)
	}
}
