package agent

import (
	"context"
	"encoding/json"
	"errors"
	"slices"

	"bolide/imagecache"
	"bolide/imagecache/format"
	"bolide/rpc/nova"
)

// settle makes the best of how a build ended: nothing when it went well or nobody wants the instance any more,
// another host when the fault may be this one's, else the error state with a fault that says why.
func (b *build) settle(ctx context.Context, failure error) error {
	if failure == nil {
		b.resources.BuildSucceeded()
		b.inform(ctx, newsCreate, phaseEnd, detail{ports: b.vifs, usage: map[string]any{"message": "Success"}})
		return nil
	}
	b.informFailed(ctx, imageError(failure))
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordLimit)
	defer cancel()
	if interrupted(failure) {
		b.log.Info("instance was deleted while it was built")
		return b.resources.DeleteAllocation(ctx, b.id, b.inst.UUID())
	}
	if b.isHostsFault(failure) {
		b.resources.BuildFailed()
	}
	failure = b.buildFailure(failure)
	if !nova.Is(failure, "BuildAbortException") && b.canRetry() {
		return b.reschedule(ctx, failure)
	}
	return b.abort(ctx, failure)
}

// isHostsFault reports whether the scheduler is to think less of this host for the failure. A policy of the user's is
// nobody's fault, and neither is a drain.
func (b *build) isHostsFault(failure error) bool {
	return b.cfg.Compute.ConsecutiveBuildServiceDisableThreshold != 0 && !nova.Is(failure, "GroupAffinityViolation") &&
		!errors.Is(failure, errDrained)
}

// informFailed tells that the build failed and, where there was something of a guest already, that it was removed.
func (b *build) informFailed(ctx context.Context, failure error) {
	var s *stepError
	if errors.As(failure, &s) && !slices.Contains([]string{"claim", "prepare devices", "ports"}, s.Step) {
		b.inform(ctx, newsShutdown, phaseStart, detail{})
		b.inform(ctx, newsShutdown, phaseEnd, detail{})
	}
	b.inform(ctx, newsCreate, phaseError, detail{fault: failure})
}

// canRetry reports whether the scheduler may try another host.
func (b *build) canRetry() bool {
	retry, ok := b.filter["retry"].(map[string]any)
	return ok && len(retry) > 0
}

// reschedule hands the instance back to the conductor, which builds it elsewhere or gives up with the reason.
func (b *build) reschedule(ctx context.Context, failure error) error {
	b.log.WithError(failure).Warn("build failed here; handing the instance back to be built elsewhere")
	b.storeFault(ctx, failure) // the conductor, out of hosts, says only that it is
	retry := b.filter["retry"].(map[string]any)
	retry["exc"] = []string{failure.Error()}
	retry["exc_reason"] = nova.FaultMessage(failure)
	b.forgetHost()
	if err := b.move(ctx, buildReschedule); err != nil {
		return ignoreVanished(err)
	}
	if err := b.resources.DeleteAllocation(ctx, b.id, b.inst.UUID()); err != nil {
		return err
	}
	args := map[string]any{
		"instances":         []any{b.inst.Object},
		"filter_properties": b.filter,
		"host_lists":        []json.RawMessage{b.hosts},
	}
	for _, name := range []string{"image", "admin_password", "injected_files", "requested_networks", "security_groups", "request_spec"} {
		args[name] = b.req.Args[name]
	}
	if err := b.cond.BuildInstances(ctx, args); err != nil {
		return err
	}
	b.page.Step(handedOn)
	return nil
}

// abort puts the instance into the error state, on no host, with the reason as its fault.
func (b *build) abort(ctx context.Context, failure error) error {
	b.log.WithError(failure).Error("build failed")
	b.storeFault(ctx, failure)
	b.forgetHost()
	b.inst.SetLaunchedOn("")
	b.inst.Set("availability_zone", nil)
	if err := b.move(ctx, buildFailed); err != nil {
		return ignoreVanished(err)
	}
	return b.resources.DeleteAllocation(ctx, b.id, b.inst.UUID())
}

// forgetHost takes this host off the instance's record.
func (b *build) forgetHost() {
	b.inst.SetHost("")
	b.inst.SetNode("")
}

func ignoreVanished(err error) error {
	if vanished(err) {
		return nil
	}
	return err
}

// abortClasses are the exceptions after which another host would fail as well.
var abortClasses = []string{
	"BuildAbortException", "NoMoreFixedIps", "ExternalNetworkAttachForbidden", "VirtualInterfaceCreateException",
	"VirtualInterfaceMacAddressException", "FixedIpInvalidOnHost", "UnableToAutoAllocateNetwork",
	"NetworksWithQoSPolicyNotSupported", "FlavorDiskTooSmall", "FlavorMemoryTooSmall", "ImageNotActive",
	"ImageUnacceptable", "InvalidDiskInfo", "InvalidDiskFormat", "SignatureVerificationError",
	"CertificateValidationFailed", "VolumeEncryptionNotSupported", "InvalidInput", "RequestedVRamTooHigh",
	"InstanceUnacceptable", "OverQuota", "InvalidBDM", "UnexpectedTaskStateError",
}

// buildFailure names a failed build as Nova does: BuildAbortException when no host could do it, else
// RescheduledException. Its reason is what the user reads.
func (t *task) buildFailure(failure error) error {
	failure = imageError(failure)
	class, reason := "RescheduledException", t.explain(failure)
	for _, c := range abortClasses {
		if nova.Is(failure, c) {
			class = "BuildAbortException"
		}
	}
	return nova.NewError(class, map[string]any{"instance_uuid": t.inst.UUID(), "reason": reason}).Because(failure)
}

// explain is what the user may know of why a build failed: Nova's own text for its exceptions, else the step and which
// part did not do what was asked of it.
func (t *task) explain(failure error) string {
	if nova.ClassOf(failure) != "" {
		return nova.FaultMessage(failure)
	}
	return causeOf(failure) + stepOf(failure) + " on " + t.cfg.Default.Host + "; try again or ask the operator"
}

// imageError makes Nova's exception of a failure that the rooms of images have a name for.
func imageError(failure error) error {
	var large *imagecache.ErrTooLarge
	var bad *imagecache.ErrUnacceptable
	var sum *imagecache.ErrChecksum
	var unsafe *format.ErrUnsafe
	switch {
	case nova.ClassOf(failure) != "":
		return failure
	case errors.As(failure, &large):
		return nova.NewError("FlavorDiskSmallerThanImage", map[string]any{
			"flavor_size": large.DiskSize, "image_size": large.ImageSize}).Because(failure)
	case errors.As(failure, &bad):
		return nova.NewError("ImageUnacceptable", map[string]any{"image_id": bad.Image, "reason": bad.Reason}).Because(failure)
	case errors.As(failure, &sum):
		return nova.NewError("ImageUnacceptable", map[string]any{"image_id": sum.Image, "reason": "its checksum is not the one that Glance has"}).Because(failure)
	case errors.As(failure, &unsafe):
		return nova.NewError("InvalidDiskInfo", map[string]any{"reason": unsafe.Error()}).Because(failure)
	}
	return failure
}
