package network

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"bolide/agent/cloud"
)

// Class is the name of the Nova exception that tells a user of a failure.
type Class string

// The classes that this package uses, each with the arguments of its text.
const (
	PortNotFound                   Class = "PortNotFound"                      // port_id
	PortInUse                      Class = "PortInUse"                         // port_id
	PortNotUsable                  Class = "PortNotUsable"                     // port_id, instance
	PortNotUsableDNS               Class = "PortNotUsableDNS"                  // port_id, instance, value, hostname
	PortBindingFailed              Class = "PortBindingFailed"                 // port_id
	PortBindingDeletionFailed      Class = "PortBindingDeletionFailed"         // port_id, host
	PortBindingActivationFailed    Class = "PortBindingActivationFailed"       // port_id, host
	PortUpdateFailed               Class = "PortUpdateFailed"                  // port_id, reason
	PortLimitExceeded              Class = "PortLimitExceeded"                 //
	NetworkNotFound                Class = "NetworkNotFound"                   // network_id
	NetworkNotFoundForInstance     Class = "NetworkNotFoundForInstance"        // instance_id
	NetworkAmbiguous               Class = "NetworkAmbiguous"                  //
	InterfaceAttachFailedNoNetwork Class = "InterfaceAttachFailedNoNetwork"    // project_id
	ExternalNetworkAttachForbidden Class = "ExternalNetworkAttachForbidden"    // network_uuid
	UnableToAutoAllocateNetwork    Class = "UnableToAutoAllocateNetwork"       // project_id
	NetworksWithQoSNotSupported    Class = "NetworksWithQoSPolicyNotSupported" // instance_uuid, network_id
	SecurityGroupNotFound          Class = "SecurityGroupNotFound"             // security_group_id
	SecurityGroupCannotBeApplied   Class = "SecurityGroupCannotBeApplied"      //
	NoUniqueMatch                  Class = "NoUniqueMatch"                     //
	NoMoreFixedIPs                 Class = "NoMoreFixedIps"                    // net
	FixedIPAlreadyInUse            Class = "FixedIpAlreadyInUse"               //
	FixedIPInvalidOnHost           Class = "FixedIpInvalidOnHost"              // port_id
	FixedIPNotFoundForInstance     Class = "FixedIpNotFoundForInstance"        // instance_uuid, ip
	InvalidInput                   Class = "InvalidInput"                      // reason
	Forbidden                      Class = "Forbidden"                         //
	Unauthorized                   Class = "Unauthorized"                      //
	AdminCredentialsInvalid        Class = "NeutronAdminCredentialConfigurationInvalid"
	Failure                        Class = "NovaException" // Message says it all
)

// Args are the arguments of an exception's text, by Nova's names.
type Args map[string]string

// Error is a failure with the exception that Nova knows it by.
type Error struct {
	Class Class
	Args  Args
	// Message replaces the exception's own text where Nova replaces it.
	Message string
	// Err is what Neutron said, if it was asked.
	Err error
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(string(e.Class))
	names := make([]string, 0, len(e.Args))
	for name := range e.Args {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(&b, " %s=%q", name, e.Args[name])
	}
	if e.Message != "" {
		fmt.Fprintf(&b, ": %s", e.Message)
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }

// Is reports whether err is of the class.
func Is(err error, class Class) bool {
	var e *Error
	return errors.As(err, &e) && e.Class == class
}

func refuse(class Class, args Args) *Error { return &Error{Class: class, Args: args} }

// createFailed names what Neutron's refusal to make a port means.
func createFailed(err error, r *request, projectID string) error {
	switch {
	case cloud.HasCode(err, "InvalidIpForNetwork"):
		reason := fmt.Sprintf("Fixed IP %s is not a valid ip address for network %s.", r.Address, r.NetworkID)
		return &Error{Class: InvalidInput, Args: Args{"reason": reason}, Err: err}
	case cloud.HasCode(err, "IpAddressInUse", "IpAddressAlreadyAllocated"):
		return &Error{Class: FixedIPAlreadyInUse, Message: fmt.Sprintf("Fixed IP %s is already in use.", r.Address), Err: err}
	case cloud.HasCode(err, "OverQuota"):
		return &Error{Class: PortLimitExceeded, Err: err}
	case cloud.HasCode(err, "IpAddressGenerationFailure"):
		return &Error{Class: NoMoreFixedIPs, Args: Args{"net": r.NetworkID}, Err: err}
	case cloud.HasCode(err, "MacAddressInUse", "HostNotCompatibleWithFixedIps"):
		return bindFailed(err, r.PortID, r.MAC)
	}
	return userFailed(fmt.Errorf("create port on network %s for project %s: %w", r.NetworkID, projectID, err))
}

// bindFailed names what Neutron's refusal to bind a port means.
func bindFailed(err error, portID, mac string) error {
	switch {
	case cloud.HasCode(err, "MacAddressInUse"):
		return &Error{Class: PortInUse, Args: Args{"port_id": mac}, Err: err}
	case cloud.HasCode(err, "HostNotCompatibleWithFixedIps"):
		return &Error{Class: FixedIPInvalidOnHost, Args: Args{"port_id": portID}, Err: err}
	}
	return nodeFailed(fmt.Errorf("bind port %s: %w", portID, err))
}

// userFailed is for calls in the user's name: what the token may not do is the
// user's to know.
func userFailed(err error) error {
	switch {
	case cloud.IsUnauthorized(err):
		return &Error{Class: Unauthorized, Err: err}
	case cloud.IsForbidden(err):
		return &Error{Class: Forbidden, Err: err}
	}
	return err
}

// nodeFailed is for calls in the node's own name, where a refused token is a
// fault of the configuration.
func nodeFailed(err error) error {
	switch {
	case cloud.IsUnauthorized(err):
		return &Error{Class: AdminCredentialsInvalid, Err: err}
	case cloud.IsForbidden(err):
		return &Error{Class: Forbidden, Err: err}
	}
	return err
}

// bound refuses a port that Neutron could not bind.
func bound(p *cloud.Port) error {
	if p.VIFType == TypeBindingFailed {
		return refuse(PortBindingFailed, Args{"port_id": p.ID})
	}
	return nil
}
