package netplug

import (
	"errors"
	"fmt"
	"io/fs"
)

// ensureRepresentor brings the link up that stands for p's function, and returns its
// name: that is the switch's port. It belongs to the card and is never made or deleted.
func (o *openVSwitch) ensureRepresentor(p Port) (string, error) {
	name, err := o.sys.representor(p.Function.Address)
	if err != nil {
		return "", fmt.Errorf("find the representor of function %s: %w", p.Function.Address, err)
	}
	l, err := o.links.Get(name)
	if err != nil {
		return "", fmt.Errorf("look up representor %s: %w", name, err)
	}
	return name, ensureLink(o.links, l, settings{MTU: o.mtu(p)})
}

// findRepresentor returns the name of that link; "" for other ports, and for a card that
// was taken out of the host.
func (o *openVSwitch) findRepresentor(p Port) (string, error) {
	if !p.offloaded() {
		return "", nil
	}
	name, err := o.sys.representor(p.Function.Address)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("find the representor of function %s: %w", p.Function.Address, err)
	}
	return name, nil
}

// setDown sets a representor down, if there is one.
func (o *openVSwitch) setDown(representor string) error {
	if representor == "" {
		return nil
	}
	l, err := o.links.Get(representor)
	if err == nil && l.Up {
		err = o.links.Down(representor)
	}
	if err != nil && !errors.Is(err, errNoLink) {
		return fmt.Errorf("set representor %s down: %w", representor, err)
	}
	return nil
}
