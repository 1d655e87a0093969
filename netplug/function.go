package netplug

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
)

// noMAC is how a function's address is taken back.
const noMAC = "00:00:00:00:00:00"

// virtualFunction prepares functions of network cards (SR-IOV) that guests get
// directly or through a macvtap. The card itself is told, through its physical
// function: what a guest does to its own function cannot undo that.
type virtualFunction struct {
	links links
	sys   sysfs
}

var _ Plugger = (*virtualFunction)(nil)

// Ensure has the card trust the function, where the port's owner may ask for
// that, and gives the function below a macvtap its address and VLAN; libvirt does
// so for a function that is passed through.
func (v *virtualFunction) Ensure(ctx context.Context, p Port) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if p.vnicType() == VNICMacvtap {
		return v.set(p, func(f *function) { f.MAC, f.VLAN = p.MAC, p.Function.VLAN }, p.Function.VLAN > 0)
	}
	if !p.Function.Trusted {
		return nil
	}
	return v.set(p, func(f *function) { f.Trusted = true }, false)
}

// Remove takes back what Ensure gave the function, or the next guest would have
// it. A card that was taken out of the host holds nothing.
func (v *virtualFunction) Remove(ctx context.Context, p Port) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	var err error
	if p.vnicType() == VNICMacvtap {
		err = v.set(p, func(f *function) { f.MAC, f.VLAN = noMAC, 0 }, false)
	} else if p.Function.Trusted {
		err = v.set(p, func(f *function) { f.Trusted = false }, false)
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNoLink) {
		return nil
	}
	return err
}

// set changes the function at the card, and the state of the link that the host
// has of it as long as no guest does.
func (v *virtualFunction) set(p Port, change func(*function), up bool) error {
	card, n, err := v.sys.function(p.Function.Address)
	if err != nil {
		return fmt.Errorf("find function %s: %w", p.Function.Address, err)
	}
	is, err := v.links.Function(card, n)
	if err != nil {
		return fmt.Errorf("look up function %d of %s: %w", n, card, err)
	}
	want := is
	change(&want)
	if want != is {
		if err := v.links.SetFunction(card, n, want); err != nil {
			return fmt.Errorf("set function %d of %s: %w", n, card, err)
		}
	}
	if !up {
		return nil
	}
	name, err := v.sys.own(p.Function.Address)
	if err != nil {
		return fmt.Errorf("find the link of function %s: %w", p.Function.Address, err)
	}
	l, err := v.links.Get(name)
	if err != nil {
		return fmt.Errorf("look up %s: %w", name, err)
	}
	return ensureLink(v.links, l, settings{MAC: p.MAC})
}
