package netplug

import (
	"context"
	"errors"
	"fmt"
)

// macvtap makes the link of a VLAN that libvirt puts a macvtap over. Many ports
// share it, and Neutron's agent uses it as well; nobody takes it away.
type macvtap struct {
	links links
}

var _ Plugger = (*macvtap)(nil)

// Ensure makes sure that the link of the VLAN is there and up.
func (m *macvtap) Ensure(ctx context.Context, p Port) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if p.VLAN.ID == 0 {
		return nil
	}
	l, err := lookUp(m.links, p.Device, kindVLAN)
	if errors.Is(err, errNoLink) {
		err = m.links.AddVLAN(p.Device, p.VLAN.Parent, p.VLAN.ID)
		if err != nil && !errors.Is(err, errLinkExists) { // another build made it meanwhile
			return fmt.Errorf("add vlan %d of %s as %s: %w", p.VLAN.ID, p.VLAN.Parent, p.Device, err)
		}
		l, err = lookUp(m.links, p.Device, kindVLAN)
	}
	if err != nil {
		return err
	}
	return ensureLink(m.links, l, settings{})
}

// Remove has nothing to take away.
func (m *macvtap) Remove(ctx context.Context, _ Port) error { return ctx.Err() }
