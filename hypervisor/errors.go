package hypervisor

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"libvirt.org/go/libvirt"
)

// What went wrong, for errors.Is. Every error of a call is an *Error around one of
// these, around a context's error, or around what else libvirt said.
var (
	ErrNotFound       = errors.New("no such guest")
	ErrUnavailable    = errors.New("unavailable")
	ErrTimeout        = errors.New("no answer")
	ErrInvalidState   = errors.New("not possible in the guest's state")
	ErrUnsupported    = errors.New("not supported")
	ErrDeviceNotFound = errors.New("no such device")
	ErrAgent          = errors.New("guest agent does not answer")
	ErrAborted        = errors.New("aborted")
	ErrBusy           = errors.New("guest is busy")
)

// Error is a call to libvirt that did not succeed.
type Error struct {
	Op      string        // what was tried, as in "start"
	Guest   string        // UUID; empty for a question about the host
	After   time.Duration // how long it was waited for
	Kind    error         // one of the errors above, or nil
	Message string        // libvirt's own words, or ours
	cause   error
}

func (e *Error) Error() string {
	what := e.Op
	if e.Guest != "" {
		what += " guest " + e.Guest
	}
	return fmt.Sprintf("libvirt: %s: %s", what, e.Message)
}

// Unwrap gives errors.Is and errors.As both the kind and the cause.
func (e *Error) Unwrap() []error {
	errs := make([]error, 0, 2)
	for _, err := range []error{e.Kind, e.cause} {
		if err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

// Code is libvirt's number of the error (virErrorNumber), 0 where it was not libvirt that answered.
func (e *Error) Code() int {
	var lv libvirt.Error
	if !errors.As(e.cause, &lv) {
		return 0
	}
	return int(lv.Code)
}

// newError wraps what libvirt or the caller's context answered to a call.
func newError(c call, err error, after time.Duration) error {
	if err == nil {
		return nil
	}
	e := &Error{Op: c.op, Guest: c.guest, After: after, Message: err.Error(), cause: err}
	var lv libvirt.Error
	switch {
	case errors.As(err, &lv):
		e.Kind, e.Message = kindOf(lv), lv.Message
	case errors.Is(err, ErrUnavailable):
		e.Kind = ErrUnavailable
	case errors.Is(err, ErrTimeout):
		e.Kind = ErrTimeout
		e.Message = fmt.Sprintf("no answer after %s", after.Round(time.Millisecond))
	case errors.Is(err, context.DeadlineExceeded): // while it waited for its turn
		e.Kind = ErrTimeout
	}
	return e
}

// unplugging is what QEMU says when it is asked again for a device that the guest
// has yet to let go. libvirt has no code for it.
const unplugging = "already in the process of unplug"

// kindOf sorts libvirt's errors by what a caller can do about them.
func kindOf(err libvirt.Error) error {
	if connectionLost(err) {
		return ErrUnavailable
	}
	if err.Code == libvirt.ERR_INTERNAL_ERROR && strings.Contains(err.Message, unplugging) {
		return ErrBusy
	}
	switch err.Code {
	case libvirt.ERR_NO_DOMAIN:
		return ErrNotFound
	case libvirt.ERR_OPERATION_INVALID:
		return ErrInvalidState
	case libvirt.ERR_NO_SUPPORT, libvirt.ERR_OPERATION_UNSUPPORTED, libvirt.ERR_CONFIG_UNSUPPORTED,
		libvirt.ERR_ARGUMENT_UNSUPPORTED:
		return ErrUnsupported
	case libvirt.ERR_DEVICE_MISSING:
		return ErrDeviceNotFound
	case libvirt.ERR_AGENT_UNRESPONSIVE, libvirt.ERR_AGENT_UNSYNCED, libvirt.ERR_AGENT_COMMAND_TIMEOUT:
		return ErrAgent
	case libvirt.ERR_OPERATION_ABORTED:
		return ErrAborted
	case libvirt.ERR_OPERATION_TIMEOUT, libvirt.ERR_RESOURCE_BUSY, libvirt.ERR_BLOCK_COPY_ACTIVE:
		return ErrBusy
	}
	return nil
}

// connectionLost tells whether an error is about the way to libvirtd, not about
// what was asked: libvirt reports those from its RPC layer under general codes.
func connectionLost(err libvirt.Error) bool {
	switch err.Code {
	case libvirt.ERR_NO_CONNECT, libvirt.ERR_INVALID_CONN, libvirt.ERR_RPC:
		return true
	case libvirt.ERR_SYSTEM_ERROR, libvirt.ERR_INTERNAL_ERROR:
		return err.Domain == libvirt.FROM_RPC || err.Domain == libvirt.FROM_REMOTE
	}
	return false
}

// isLost tells whether a call failed because its connection did.
func isLost(err error) bool {
	var lv libvirt.Error
	return errors.As(err, &lv) && connectionLost(lv)
}

// isCode tells whether libvirt answered with one of the codes.
func isCode(err error, codes ...libvirt.ErrorNumber) bool {
	var lv libvirt.Error
	if !errors.As(err, &lv) {
		return false
	}
	for _, code := range codes {
		if lv.Code == code {
			return true
		}
	}
	return false
}
