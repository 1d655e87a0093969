package netplug

import (
	"errors"
	"fmt"
	"strings"
)

// VIFType is the way a port is connected, as Neutron's binding names it
// (binding:vif_type).
type VIFType string

// The kinds of connection that this package knows by name.
const (
	VIFBridge        VIFType = "bridge"         // a tap on a Linux bridge
	VIFUnbound       VIFType = "unbound"        // Neutron was never asked to bind the port
	VIFBindingFailed VIFType = "binding_failed" // no mechanism of Neutron could bind it here
)

// VNICNormal is the virtual NIC type of a port that needs no special hardware.
const VNICNormal = "normal"

// maxName is the longest interface name the kernel takes (IFNAMSIZ less its zero).
const maxName = 15

// Port is one NIC of one guest, as Neutron bound it to this host.
type Port struct {
	ID           string  // required; Neutron's port UUID
	MAC          string  // the guest's address
	InstanceUUID string  // whose NIC it is
	NetworkID    string  // Neutron's network UUID
	Bridge       string  // where the port ends: "brq<network>" for linuxbridge
	Device       string  // required; the host's end, "tap<first 11 characters of ID>"
	VIFType      VIFType // required
	VNICType     string  // "" means VNICNormal
	MTU          int     // bytes; 0 leaves the kernel's default
}

// DeviceName returns the name of the host's end of a port: the same as Nova and
// Neutron's agents derive from the port's UUID, so that all of them agree.
func DeviceName(portID string) string {
	const length = 14 // Neutron's NIC_NAME_LEN, one less than the kernel allows
	name := "tap" + portID
	return name[:min(len(name), length)]
}

func (p Port) normal() bool {
	return p.VNICType == "" || p.VNICType == VNICNormal
}

// validate refuses names that must not reach the kernel: they become parts of
// paths below /proc/sys, and a bridge's name comes from outside the host.
func (p Port) validate() error {
	var errs []error
	if p.ID == "" {
		errs = append(errs, errors.New("port without an id"))
	}
	if !validName(p.Device) {
		errs = append(errs, fmt.Errorf("device name %q is not valid", p.Device))
	}
	if p.Bridge != "" && !validName(p.Bridge) {
		errs = append(errs, fmt.Errorf("bridge name %q is not valid", p.Bridge))
	}
	if p.MTU < 0 {
		errs = append(errs, fmt.Errorf("mtu %d is negative", p.MTU))
	}
	return errors.Join(errs...)
}

// validName follows the kernel's dev_valid_name, and refuses control characters
// as well.
func validName(s string) bool {
	if s == "" || s == "." || s == ".." || len(s) > maxName {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		return r == '/' || r == ':' || r <= ' ' || r >= 0x7f
	})
}
