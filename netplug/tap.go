package netplug

import (
	"context"
	"errors"
	"fmt"
)

// bareTap makes taps that libvirt only opens. Who routes for them, Calico's agent
// for one, finds them by their names.
type bareTap struct {
	links links
}

var _ Plugger = (*bareTap)(nil)

// Ensure makes sure that the tap is there and up.
func (t *bareTap) Ensure(ctx context.Context, p Port) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	l, err := lookUp(t.links, p.Device, kindTap)
	if errors.Is(err, errNoLink) {
		if err := t.links.AddTap(p.Device, tapOptions{Multiqueue: p.Tap.Multiqueue}); err != nil {
			return fmt.Errorf("add tap %s: %w", p.Device, err)
		}
		l, err = lookUp(t.links, p.Device, kindTap)
	}
	if err != nil {
		return err
	}
	return ensureLink(t.links, l, settings{MAC: p.Tap.MAC, MTU: p.MTU})
}

// Remove deletes the tap.
func (t *bareTap) Remove(ctx context.Context, p Port) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	_, err := removeLink(t.links, p.Device, kindTap)
	return err
}
