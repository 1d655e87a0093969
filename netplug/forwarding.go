package netplug

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// ForwardingOptions is what the host's packet filter does with what crosses the Linux
// bridges of ports that Neutron does not filter.
type ForwardingOptions struct {
	IPv6       bool     // do so for IPv6 as well
	Interfaces []string // what these bridges may forward to; nothing, or "all": everything
	Drop       string   // the target of iptables for what they may not; "" means DROP
}

const (
	// forwardingChain is that of Nova's own node, which finds its own rules there, and
	// whose rules are found here.
	forwardingChain = "nova-compute-FORWARD"
	// filterLimit bounds one call of iptables, with its waiting for others.
	filterLimit = 30 * time.Second
)

// forwarding keeps the host's packet filter from dropping what crosses a bridge. Such
// packets meet the filter where br_netfilter is loaded and says so, as with Docker, whose
// filter drops what it does not know.
//
// The rules of a bridge stay as long as the bridge.
type forwarding struct {
	options ForwardingOptions
	links   links
	sysctl  string     // /proc/sys/net/bridge
	mu      sync.Mutex // one change at a time: each reads the chain and replaces it
}

// ensure makes sure of a bridge's rules, where packets of bridges are filtered. A host
// without iptables has no filter that it could open.
func (f *forwarding) ensure(ctx context.Context, bridge string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, tool := range []string{"iptables", "ip6tables"} {
		called, err := os.ReadFile(filepath.Join(f.sysctl, "bridge-nf-call-"+tool))
		if err != nil || strings.TrimSpace(string(called)) == "0" || tool == "ip6tables" && !f.options.IPv6 {
			continue
		}
		if err := f.ensureIn(ctx, tool, bridge); err != nil && !errors.Is(err, exec.ErrNotFound) {
			return fmt.Errorf("let %s forward: %w", bridge, err)
		}
	}
	return nil
}

func (f *forwarding) ensureIn(ctx context.Context, tool, bridge string) error {
	all, err := runFilter(ctx, "", tool, "--wait", "-S")
	if err != nil {
		return err
	}
	lines := strings.Split(strings.TrimSpace(all), "\n")
	var is, want []string
	for _, l := range lines {
		if !strings.HasPrefix(l, "-A "+forwardingChain+" ") {
			continue
		}
		is = append(is, l)
		if kept, err := f.keeps(l, bridge); err != nil {
			return err
		} else if kept {
			want = append(want, l)
		}
	}
	want = append(want, f.rules(bridge)...)
	if !sameRules(is, want) {
		table := "*filter\n:" + forwardingChain + " - [0:0]\n" + strings.Join(want, "\n") + "\nCOMMIT\n"
		if _, err := runFilter(ctx, table, tool+"-restore", "--wait", "--noflush"); err != nil {
			return err
		}
	}
	if jump := "-A FORWARD -j " + forwardingChain; !slices.Contains(lines, jump) {
		_, err = runFilter(ctx, "", tool, "--wait", "-I", "FORWARD", "-j", forwardingChain)
	}
	return err
}

// sameRules compares rules but for their order, which matters within those of a bridge
// alone: they are always made together.
func sameRules(is, want []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(is)), slices.Sorted(slices.Values(want)))
}

// rules of a bridge, as iptables shows them.
func (f *forwarding) rules(bridge string) []string {
	rule := func(match, target string) string {
		return fmt.Sprintf("-A %s %s -j %s", forwardingChain, match, target)
	}
	if len(f.options.Interfaces) == 0 || slices.Contains(f.options.Interfaces, "all") {
		return []string{rule("-i "+bridge, "ACCEPT"), rule("-o "+bridge, "ACCEPT")}
	}
	var rules []string
	for _, name := range append(slices.Clone(f.options.Interfaces), bridge) {
		rules = append(rules, rule("-i "+bridge+" -o "+name, "ACCEPT"), rule("-i "+name+" -o "+bridge, "ACCEPT"))
	}
	drop := f.options.Drop
	if drop == "" {
		drop = "DROP"
	}
	return append(slices.Compact(rules), rule("-i "+bridge, drop), rule("-o "+bridge, drop))
}

// keeps reports whether a rule in the chain stays: it is not of the bridge whose rules
// are made anew, and all links that it names are there.
func (f *forwarding) keeps(rule, bridge string) (bool, error) {
	fields := strings.Fields(rule)
	for i, option := range fields[:len(fields)-1] {
		if option != "-i" && option != "-o" {
			continue
		}
		if fields[i+1] == bridge {
			return false, nil
		}
		if _, err := f.links.Get(fields[i+1]); errors.Is(err, errNoLink) {
			return false, nil
		} else if err != nil {
			return false, fmt.Errorf("look up %s: %w", fields[i+1], err)
		}
	}
	return true, nil
}

// runFilter runs a program of iptables.
func runFilter(ctx context.Context, input, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, filterLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.Stdin = strings.NewReader(input)
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%q: %w: %s", cmd.Args, errors.Join(err, context.Cause(ctx)), strings.TrimSpace(complaint.String()))
	}
	return string(out), nil
}
