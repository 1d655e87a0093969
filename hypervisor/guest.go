package hypervisor

import (
	"context"

	"libvirt.org/go/libvirt"
)

// Guest is a libvirt domain as it was when asked for.
type Guest struct {
	UUID, Name string
	ID         int // of the running guest; 0 when it does not run
	State      State
	Reason     string // libvirt's word for why, as in "crashed" for Shutoff
	Persistent bool   // has a definition that outlives it
}

// State is the state of a guest.
type State string

// States of a guest (virDomainState).
const (
	NoState      State = "no state"
	Running      State = "running"
	Blocked      State = "blocked"
	Paused       State = "paused"
	ShuttingDown State = "shutting down"
	Shutoff      State = "shut off"
	Crashed      State = "crashed"
	PMSuspended  State = "pm suspended"
)

// states is virDomainState with the reasons of each state, all numbered from zero.
var states = []struct {
	state   State
	reasons []string
}{
	{NoState, nil},
	{Running, []string{"unknown", "booted", "migrated", "restored", "from snapshot", "unpaused",
		"migration canceled", "save canceled", "wakeup", "crashed", "post-copy", "post-copy failed"}},
	{Blocked, nil},
	{Paused, []string{"unknown", "user", "migration", "save", "dump", "I/O error", "watchdog", "from snapshot",
		"shutting down", "snapshot", "crashed", "starting up", "post-copy", "post-copy failed", "API error"}},
	{ShuttingDown, []string{"unknown", "user"}},
	{Shutoff, []string{"unknown", "shutdown", "destroyed", "crashed", "migrated", "saved", "failed",
		"from snapshot", "daemon"}},
	{Crashed, []string{"unknown", "panicked"}},
	{PMSuspended, nil},
}

// stateOf translates a state and its reason; a state it does not know is NoState.
func stateOf(state libvirt.DomainState, reason int) (State, string) {
	if int(state) < 0 || int(state) >= len(states) {
		return NoState, word(nil, reason)
	}
	s := states[state]
	if s.reasons == nil {
		return s.state, ""
	}
	return s.state, word(s.reasons, reason)
}

// Guests lists every guest that libvirt knows, running or not, in no order.
func (h *Host) Guests(ctx context.Context) ([]Guest, error) {
	return ask(ctx, h, call{op: "list guests"}, func(conn *libvirt.Connect) ([]Guest, error) {
		transient, err := transientGuests(conn)
		if err != nil {
			return nil, err
		}
		stats, err := conn.GetAllDomainStats(nil, libvirt.DOMAIN_STATS_STATE, 0)
		if err != nil {
			return nil, err
		}
		guests := make([]Guest, 0, len(stats))
		for _, s := range stats {
			g, err := nameGuest(s.Domain)
			free(s.Domain)
			if err != nil || s.State == nil {
				continue // gone while libvirt looked
			}
			g.State, g.Reason = stateOf(s.State.State, s.State.Reason)
			g.Persistent = !transient[g.UUID]
			guests = append(guests, g)
		}
		return guests, nil
	})
}

// transientGuests returns the UUIDs of guests without a definition.
func transientGuests(conn *libvirt.Connect) (map[string]bool, error) {
	domains, err := conn.ListAllDomains(libvirt.CONNECT_LIST_DOMAINS_TRANSIENT)
	if err != nil {
		return nil, err
	}
	uuids := make(map[string]bool, len(domains))
	for _, d := range domains {
		if uuid, err := d.GetUUIDString(); err == nil {
			uuids[uuid] = true
		}
		free(&d)
	}
	return uuids, nil
}

// nameGuest fills in what a handle knows without asking libvirtd.
func nameGuest(d *libvirt.Domain) (Guest, error) {
	var g Guest
	var err error
	if g.UUID, err = d.GetUUIDString(); err != nil {
		return g, err
	}
	if g.Name, err = d.GetName(); err != nil {
		return g, err
	}
	if id, err := d.GetID(); err == nil { // an error says that it does not run
		g.ID = int(id)
	}
	return g, nil
}

// Guest returns one guest; ErrNotFound if there is none.
func (h *Host) Guest(ctx context.Context, uuid string) (Guest, error) {
	return askGuest(ctx, h, call{op: "look up", guest: uuid}, func(d *libvirt.Domain) (Guest, error) {
		g, err := nameGuest(d)
		if err != nil {
			return Guest{}, err
		}
		state, reason, err := d.GetState()
		if err != nil {
			return Guest{}, err
		}
		g.State, g.Reason = stateOf(state, reason)
		g.Persistent, err = d.IsPersistent()
		return g, err
	})
}

// XMLOptions says which description of a guest is wanted.
type XMLOptions struct {
	Inactive   bool // as it will be after its next start
	Secure     bool // with passwords
	Migratable bool // as another libvirt understands it
}

// XML returns the description of a guest.
func (h *Host) XML(ctx context.Context, uuid string, o XMLOptions) (string, error) {
	var flags libvirt.DomainXMLFlags
	for _, f := range []struct {
		set  bool
		flag libvirt.DomainXMLFlags
	}{
		{o.Inactive, libvirt.DOMAIN_XML_INACTIVE},
		{o.Secure, libvirt.DOMAIN_XML_SECURE},
		{o.Migratable, libvirt.DOMAIN_XML_MIGRATABLE},
	} {
		if f.set {
			flags |= f.flag
		}
	}
	return askGuest(ctx, h, call{op: "describe", guest: uuid}, func(d *libvirt.Domain) (string, error) {
		return d.GetXMLDesc(flags)
	})
}
