package netplug

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// fakeSwitch is Open vSwitch's configuration in memory.
type fakeSwitch struct {
	mu      sync.Mutex
	bridges map[string]switchBridge
	ports   map[string]switchPort
	fail    func(call, name string) error // as fakeLinks has it
}

var _ vswitch = (*fakeSwitch)(nil)

func newFakeSwitch() *fakeSwitch {
	return &fakeSwitch{bridges: map[string]switchBridge{}, ports: map[string]switchPort{}}
}

func (f *fakeSwitch) Ensure(ctx context.Context, want switchState) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.begin(ctx, "ensure"); err != nil {
		return err
	}
	for _, p := range want.Ports {
		if owner := f.ports[p.Name].IDs[idInterface]; owner != "" && p.IDs[idInterface] != "" && owner != p.IDs[idInterface] {
			return fmt.Errorf("open vswitch: port %s belongs to %s", p.Name, owner)
		}
	}
	f.put(want)
	return nil
}

func (f *fakeSwitch) put(want switchState) {
	for _, b := range want.Bridges {
		if _, there := f.bridges[b.Name]; !there {
			f.bridges[b.Name] = b
		}
	}
	for _, p := range want.Ports {
		if old, there := f.ports[p.Name]; there && old.Bridge == p.Bridge {
			ids, options := maps.Clone(old.IDs), maps.Clone(old.Options)
			p.Tag = old.Tag
			if ids == nil {
				ids = map[string]string{}
			}
			if options == nil {
				options = map[string]string{}
			}
			maps.Copy(ids, p.IDs)
			maps.Copy(options, p.Options)
			p.IDs, p.Options = ids, options
		}
		f.ports[p.Name] = p
	}
}

func (f *fakeSwitch) Remove(ctx context.Context, gone switchRemoval) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.begin(ctx, "remove"); err != nil {
		return err
	}
	for _, name := range gone.Ports {
		if owner := f.ports[name].IDs[idInterface]; owner == "" || owner == gone.Owner {
			delete(f.ports, name)
		}
	}
	for _, name := range gone.Bridges {
		delete(f.bridges, name)
		maps.DeleteFunc(f.ports, func(_ string, p switchPort) bool { return p.Bridge == name })
	}
	return nil
}

func (f *fakeSwitch) begin(ctx context.Context, call string) error {
	if f.fail != nil {
		if err := f.fail(call, "switch"); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (f *fakeSwitch) describe() (lines []string) {
	for _, b := range f.bridges {
		lines = append(lines, b.String())
	}
	for _, p := range f.ports {
		lines = append(lines, p.String())
	}
	return lines
}

func (b switchBridge) String() string { return "switch " + b.Name + " " + b.Datapath }

// String is the form in which the tests compare ports.
func (p switchPort) String() string {
	s := "port " + p.Name + " on=" + p.Bridge
	if p.Type != "" {
		s += " type=" + p.Type
	}
	if p.Tag != 0 {
		s += fmt.Sprint(" tag=", p.Tag)
	}
	if p.MTU != 0 {
		s += fmt.Sprint(" mtu=", p.MTU)
	}
	for _, m := range []map[string]string{p.Options, p.IDs} {
		for _, key := range slices.Sorted(maps.Keys(m)) {
			s += " " + key + "=" + m[key]
		}
	}
	return strings.TrimSpace(s)
}
