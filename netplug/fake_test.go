package netplug

import (
	"errors"
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
	plain    bool // a bridge without spanning tree, forward delay and snooping
	isolated bool
}

var _ links = (*fakeLinks)(nil)

func newFakeLinks() *fakeLinks {
	return &fakeLinks{links: map[string]*fakeLink{}}
}

// on runs f on the link of that name under the lock.
func (k *fakeLinks) on(call, name string, f func(*fakeLink)) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.fail != nil {
		if err := k.fail(call, name); err != nil {
			return err
		}
	}
	l, ok := k.links[name]
	if !ok {
		return errNoLink
	}
	f(l)
	return nil
}

func (k *fakeLinks) Get(name string) (l link, err error) {
	err = k.on("get", name, func(f *fakeLink) { l = f.link })
	return l, err
}

func (k *fakeLinks) AddBridge(name string) error {
	err := k.on("add bridge", name, func(*fakeLink) {})
	if err == nil {
		return errLinkExists
	}
	if !errors.Is(err, errNoLink) {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.links[name] = &fakeLink{link: link{Name: name, Kind: "bridge"}, plain: true}
	return nil
}

func (k *fakeLinks) Isolate(name string) error {
	return k.on("isolate", name, func(f *fakeLink) { f.isolated = true })
}

func (k *fakeLinks) Up(name string) error {
	return k.on("up", name, func(f *fakeLink) { f.Up = true })
}

func (k *fakeLinks) Delete(name string) error {
	return k.on("delete", name, func(*fakeLink) { delete(k.links, name) })
}

// add puts a link there that another program made.
func (k *fakeLinks) add(name, kind string, up bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.links[name] = &fakeLink{link: link{Name: name, Kind: kind, Up: up}}
}
