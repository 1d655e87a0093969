package netplug

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestForwarding: the host's filter lets a bridge forward, for both kinds of addresses;
// the rules of bridges that are gone go, and those of others stay.
func TestForwarding(t *testing.T) {
	for _, tool := range []string{"iptables", "ip6tables", "iptables-restore"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip("needs ", tool)
		}
	}
	var err error
	newNamespace(t).do(func() { _, err = runFilter(t.Context(), "", "iptables", "-S") })
	if err != nil {
		t.Skip("needs a kernel with a packet filter: ", err)
	}
	const head = "-A " + forwardingChain + " "
	for name, c := range map[string]struct {
		options ForwardingOptions
		want    []string // of the bridge, in the chain
	}{
		"everything": {want: []string{head + "-i brq -j ACCEPT", head + "-o brq -j ACCEPT"}},
		"one interface": {
			options: ForwardingOptions{IPv6: true, Interfaces: []string{"lo"}, Drop: "RETURN"},
			want: []string{
				head + "-i brq -o lo -j ACCEPT", head + "-i lo -o brq -j ACCEPT", head + "-i brq -o brq -j ACCEPT",
				head + "-i brq -j RETURN", head + "-o brq -j RETURN",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNamespace(t)
			n.add("other", kindBridge, true)
			filter := func(input, tool string, args ...string) []string {
				t.Helper()
				var out string
				var err error
				n.do(func() { out, err = runFilter(t.Context(), input, tool, args...) })
				if err != nil {
					t.Fatal(err)
				}
				return strings.Split(strings.TrimSpace(out), "\n")
			}
			// of Nova's own node, and of an administrator
			filter("*filter\n:"+forwardingChain+" -\n"+head+"-i gone -j ACCEPT\n"+head+"-i other -j ACCEPT\n"+
				"-A FORWARD -s 192.0.2.1/32 -j DROP\nCOMMIT\n", "iptables-restore", "--noflush")
			called := t.TempDir()
			f := &forwarding{options: c.options, links: kernel{}, sysctl: called}
			b := &linuxBridge{links: kernel{}, forwarding: f, log: Options{}.logger()}
			p := bridgePort().with(func(p *Port) { p.Bridge, p.Unfiltered = "brq", true })
			before := filter("", "iptables", "-S")
			n.do(func() {
				if err := b.Ensure(t.Context(), p); err != nil {
					t.Error(err)
				}
			})
			if d := cmp.Diff(before, filter("", "iptables", "-S")); d != "" {
				t.Errorf("where bridged packets are not filtered (-before +after):\n%s", d)
			}
			makeFile(t, filepath.Join(called, "bridge-nf-call-iptables"), "1")
			makeFile(t, filepath.Join(called, "bridge-nf-call-ip6tables"), "1")
			for range 2 {
				var err error
				n.do(func() { err = b.Ensure(t.Context(), p) })
				if err != nil {
					t.Fatal(err)
				}
				want := append([]string{head + "-i other -j ACCEPT"}, c.want...)
				if d := cmp.Diff(want, filter("", "iptables", "-S", forwardingChain)[1:]); d != "" {
					t.Fatalf("rules (-want +got):\n%s", d)
				}
				forward := []string{"-P FORWARD ACCEPT", "-A FORWARD -j " + forwardingChain, "-A FORWARD -s 192.0.2.1/32 -j DROP"}
				if d := cmp.Diff(forward, filter("", "iptables", "-S", "FORWARD")); d != "" {
					t.Fatalf("rules of FORWARD (-want +got):\n%s", d)
				}
			}
			if six := filter("", "ip6tables", "-S"); slices.Contains(six, c.want[0]) != c.options.IPv6 {
				t.Errorf("rules for IPv6: %q", six)
			}
		})
	}
}
