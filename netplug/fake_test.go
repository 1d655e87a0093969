package netplug

import (
	"fmt"
	"sync"
)

// fakeLinks is a link layer in memory. It keeps the rules of the kernel that
// the pluggers rely on; the contract test holds it to them.
type fakeLinks struct {
	mu    sync.Mutex
	links map[string]*fakeLink
	// fail, when set, is asked before every call; its error is returned.
	fail func(call, name string) error
}

type fakeLink struct {
	link
	functions []function // of a card
	plain     bool       // a bridge without spanning tree, forward delay and snooping
	forgetful bool       // a bridge without ageing time
	isolated  bool
	peer      string // the other end of a veth
	vlan      string // "parent.id" of a vlan
}

// String is the form in which the tests compare links.
func (f *fakeLink) String() string {
	s := f.Name + " " + f.Kind
	for _, x := range []struct {
		is   bool
		word string
	}{
		{f.Up, "up"}, {f.plain, "plain"}, {f.forgetful, "forgetful"}, {f.isolated, "isolated"},
		{f.MTU != 1500, fmt.Sprint("mtu=", f.MTU)},
		{f.MAC == tapMAC, "mac=" + tapMAC}, // the others are random
		{f.peer != "", "to=" + f.peer}, {f.vlan != "", "vlan=" + f.vlan}, {f.Bridge != "", "on=" + f.Bridge},
	} {
		if x.is {
			s += " " + x.word
		}
	}
	return s
}

var _ links = (*fakeLinks)(nil)

func newFakeLinks() *fakeLinks {
	return &fakeLinks{links: map[string]*fakeLink{}}
}

// on runs f on the link of that name under the lock.
func (k *fakeLinks) on(call, name string, f func(*fakeLink)) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.failing(call, name); err != nil {
		return err
	}
	l, ok := k.links[name]
	if !ok {
		return errNoLink
	}
	f(l)
	return nil
}

func (k *fakeLinks) failing(call, name string) error {
	if k.fail == nil {
		return nil
	}
	return k.fail(call, name)
}

// put adds links, all or none.
func (k *fakeLinks) put(call string, links ...*fakeLink) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.failing(call, links[0].Name); err != nil {
		return err
	}
	for _, l := range links {
		if k.links[l.Name] != nil {
			return errLinkExists
		}
	}
	for _, l := range links {
		l.MTU = 1500
		k.links[l.Name] = l
	}
	return nil
}

func (k *fakeLinks) Get(name string) (l link, err error) {
	err = k.on("get", name, func(f *fakeLink) { l = f.link })
	return l, err
}

func (k *fakeLinks) AddBridge(name string, o bridgeOptions) error {
	return k.put("add bridge", &fakeLink{link: link{Name: name, Kind: kindBridge}, plain: true, forgetful: o.NoAgeing})
}

func (k *fakeLinks) AddVeth(name, peer string) error {
	return k.put("add veth",
		&fakeLink{link: link{Name: name, Kind: kindVeth}, peer: peer},
		&fakeLink{link: link{Name: peer, Kind: kindVeth}, peer: name})
}

func (k *fakeLinks) AddTap(name string, _ tapOptions) error {
	return k.put("add tap", &fakeLink{link: link{Name: name, Kind: kindTap}})
}

func (k *fakeLinks) AddVLAN(name, parent string, id int) error {
	if err := k.on("get parent", parent, func(*fakeLink) {}); err != nil {
		return err
	}
	return k.put("add vlan", &fakeLink{link: link{Name: name, Kind: kindVLAN}, vlan: fmt.Sprintf("%s.%d", parent, id)})
}

func (k *fakeLinks) Isolate(name string) error {
	return k.on("isolate", name, func(f *fakeLink) { f.isolated = true })
}

func (k *fakeLinks) Up(name string) error {
	return k.on("up", name, func(f *fakeLink) { f.Up = true })
}

func (k *fakeLinks) Down(name string) error {
	return k.on("down", name, func(f *fakeLink) { f.Up = false })
}

func (k *fakeLinks) SetMTU(name string, mtu int) error {
	return k.on("mtu", name, func(f *fakeLink) { f.MTU = mtu; k.shrinkBridge(f.Bridge) })
}

func (k *fakeLinks) SetMAC(name, mac string) error {
	return k.on("mac", name, func(f *fakeLink) { f.MAC = mac })
}

func (k *fakeLinks) SetBridge(name, bridge string) error {
	if err := k.on("get bridge", bridge, func(*fakeLink) {}); err != nil {
		return err
	}
	return k.on("bridge", name, func(f *fakeLink) { f.Bridge = bridge; k.shrinkBridge(bridge) })
}

// shrinkBridge keeps a bridge at the smallest MTU of its ports.
func (k *fakeLinks) shrinkBridge(name string) {
	smallest := 0
	for _, l := range k.links {
		if l.Bridge == name && (smallest == 0 || l.MTU < smallest) {
			smallest = l.MTU
		}
	}
	if br := k.links[name]; br != nil && smallest != 0 {
		br.MTU = smallest
	}
}

func (k *fakeLinks) Function(card string, n int) (f function, err error) {
	err = k.on("get function", card, func(c *fakeLink) { f = c.functions[n] })
	return f, err
}

func (k *fakeLinks) SetFunction(card string, n int, f function) error {
	return k.on("set function", card, func(c *fakeLink) { c.functions[n] = f })
}

func (k *fakeLinks) Delete(name string) error {
	return k.on("delete", name, func(gone *fakeLink) {
		delete(k.links, name)
		delete(k.links, gone.peer)
		for _, l := range k.links {
			if l.Bridge == name {
				l.Bridge = ""
			}
		}
	})
}

// add puts a link there that another program made.
func (k *fakeLinks) add(name, kind string, up bool) {
	made := []*fakeLink{{link: link{Name: name, Kind: kind, Up: up}}}
	if kind == kindVeth {
		other := "to-" + name[:min(len(name), 11)]
		made[0].peer = other
		made = append(made, &fakeLink{link: link{Name: other, Kind: kind}, peer: name})
	}
	if err := k.put("", made...); err != nil {
		panic(err)
	}
}

func (k *fakeLinks) describe() (lines []string) {
	for _, l := range k.links {
		lines = append(lines, l.String())
	}
	return lines
}
