package status

import (
	"context"
	"errors"
	"io"
)

// ErrNoGuest is what Guests answer of a guest that is not on the node.
var ErrNoGuest = errors.New("no such guest on this node")

// Guests looks into single guests. Unlike a Source it asks libvirt and reads the
// guest's files, and may take as long as its context allows. Safe for concurrent
// use; errors may be ErrNoGuest.
type Guests interface {
	Inspect(ctx context.Context, uuid string) (Inspection, error)
	// DomainXML is the guest as libvirt has it, without passwords.
	DomainXML(ctx context.Context, uuid string) (string, error)
	// Console opens the guest's serial console, for the caller to close.
	Console(ctx context.Context, uuid string, o ConsoleOptions) (io.ReadWriteCloser, error)
}

// ConsoleOptions says how a console is opened.
type ConsoleOptions struct {
	Force bool // take it from who has it
}

// Inspection is one guest as libvirt and the disk see it.
type Inspection struct {
	Domain    *Domain    `json:"domain,omitempty"` // nil = libvirt knows none
	Directory *Directory `json:"directory,omitempty"`
	Disks     []Disk     `json:"disks,omitempty"`
	Ports     []Port     `json:"ports,omitempty"`
	// Problems is what does not fit together, a sentence each.
	Problems []string `json:"problems,omitempty"`
}

// Domain is the guest in libvirt.
type Domain struct {
	State      string `json:"state"`            // running, paused, shut off, …
	Reason     string `json:"reason,omitempty"` // booted, crashed, …
	Persistent bool   `json:"persistent"`       // has a definition that outlives it
}

// Directory is where a guest's files are.
type Directory struct {
	Path  string   `json:"path"`
	Files []string `json:"files"` // names, sorted
}

// Disk is one disk of a guest.
type Disk struct {
	Device    string `json:"device"` // vda
	Path      string `json:"path"`
	Format    string `json:"format"`
	Base      string `json:"base,omitempty"`  // image below it
	Size      int64  `json:"size,omitempty"`  // as the guest sees it, in bytes
	Allocated int64  `json:"alloc,omitempty"` // on the host, in bytes
}

// Port is one network port of a guest.
type Port struct {
	ID        string   `json:"id,omitempty"` // in Neutron
	MAC       string   `json:"mac"`
	Device    string   `json:"device"` // the tap on the host
	Bridge    string   `json:"bridge,omitempty"`
	Addresses []string `json:"addresses,omitempty"`
}
