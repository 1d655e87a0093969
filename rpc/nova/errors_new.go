package nova

// Constructors for the exceptions raised most. The reasons are read by users:
// give them FaultMessage(err) of what went wrong inside, and err to Because.

// InstanceNotFound means that an instance is gone; handlers end quietly on it.
func InstanceNotFound(uuid string) *Error {
	return NewError("InstanceNotFound", map[string]any{"instance_id": uuid})
}

// InstanceNotRunning means that an operation needs a running guest.
func InstanceNotRunning(uuid string) *Error {
	return NewError("InstanceNotRunning", map[string]any{"instance_id": uuid})
}

// InstanceNotReady means that a guest is not there yet, or no longer.
func InstanceNotReady(uuid string) *Error {
	return NewError("InstanceNotReady", map[string]any{"instance_id": uuid})
}

// InstanceInvalidState means that a method is refused because attr ("vm_state",
// "task_state", "power state") is state.
func InstanceInvalidState(uuid, attr, state, method string) *Error {
	return NewError("InstanceInvalidState", map[string]any{
		"instance_uuid": uuid, "attr": attr, "state": state, "method": method,
	})
}

// BuildAbort ends a build for good.
func BuildAbort(uuid, reason string) *Error {
	return NewError("BuildAbortException", map[string]any{"instance_uuid": uuid, "reason": reason})
}

// Rescheduled ends a build here; it is tried on the next host.
func Rescheduled(uuid, reason string) *Error {
	return NewError("RescheduledException", map[string]any{"instance_uuid": uuid, "reason": reason})
}

// RescheduledByPolicy is Rescheduled because of a server group's policy.
func RescheduledByPolicy(uuid, reason string) *Error {
	return NewError("RescheduledByPolicyException", map[string]any{"instance_uuid": uuid, "reason": reason})
}

// ComputeResourcesUnavailable means that a claim does not fit on this host.
func ComputeResourcesUnavailable(reason string) *Error {
	return NewError("ComputeResourcesUnavailable", map[string]any{"reason": reason})
}

// FlavorDiskSmallerThanImage says both sizes, in bytes.
func FlavorDiskSmallerThanImage(flavorSize, imageSize int64) *Error {
	return NewError("FlavorDiskSmallerThanImage", map[string]any{"flavor_size": flavorSize, "image_size": imageSize})
}

// ImageUnacceptable means that an image cannot or must not be used.
func ImageUnacceptable(imageID, reason string) *Error {
	return NewError("ImageUnacceptable", map[string]any{"image_id": imageID, "reason": reason})
}

// ImageNotFound means that Glance does not have, or show, an image.
func ImageNotFound(imageID string) *Error {
	return NewError("ImageNotFound", map[string]any{"image_id": imageID})
}

// InvalidInput means that a request cannot be carried out as it was made.
func InvalidInput(reason string) *Error {
	return NewError("InvalidInput", map[string]any{"reason": reason})
}

// ConsoleTypeUnavailable means that the guest has no console of the type.
func ConsoleTypeUnavailable(consoleType string) *Error {
	return NewError("ConsoleTypeUnavailable", map[string]any{"console_type": consoleType})
}

// ConsoleTypeInvalid means that there is no such type of console.
func ConsoleTypeInvalid(consoleType string) *Error {
	return NewError("ConsoleTypeInvalid", map[string]any{"console_type": consoleType})
}

// VirtualInterfaceCreateFailed means that Neutron did not report a port plugged in time.
func VirtualInterfaceCreateFailed() *Error { return NewError("VirtualInterfaceCreateException", nil) }

// HypervisorUnavailable means that libvirt does not answer.
func HypervisorUnavailable() *Error { return NewError("HypervisorUnavailable", nil) }

// MigrationPreCheckError means that a live migration was refused before it began.
func MigrationPreCheckError(reason string) *Error {
	return NewError("MigrationPreCheckError", map[string]any{"reason": reason})
}
