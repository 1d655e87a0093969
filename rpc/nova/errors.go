package nova

import (
	"errors"
	"maps"
	"strings"

	"bolide/rpc"
)

const (
	exceptionModule = "nova.exception"
	builtinModule   = "builtins"
	rootException   = "NovaException"
)

// Error is an exception of Nova's by its class name: raised here and sent to
// the caller, or built from one received. The caller's side makes the same
// class of it again, so callers can tell errors apart by class.
type Error struct {
	Class   string         // for example "InstanceNotFound"
	Module  string         // "nova.exception", or "builtins" for Python's own
	Code    int            // HTTP status it stands for
	Message string         // what users may read
	Kwargs  map[string]any // what the message was made from
	Cause   error          // for logs and operators; never shown to users
}

var _ rpc.Failer = (*Error)(nil)

// NewError makes an exception of a class in Nova's table, with the message of
// that class filled from kwargs. A message that cannot be filled stays the
// template, as in Nova; a class not in the table becomes a NovaException.
func NewError(class string, kwargs map[string]any) *Error {
	if _, ok := exceptions[class]; !ok {
		class = rootException
	}
	template := templateOf(class)
	message, ok := formatPercent(template, nil, kwargs)
	if !ok {
		message = template
	}
	return &Error{Class: class, Module: exceptionModule, Code: codeOf(class), Message: message, Kwargs: plain(kwargs)}
}

// plain copies kwargs with errors as their texts, so that all of it has JSON.
func plain(kwargs map[string]any) map[string]any {
	out := maps.Clone(kwargs)
	for k, v := range out {
		if err, ok := v.(error); ok {
			out[k] = err.Error()
		}
	}
	return out
}

// NewErrorText makes an exception with a message of its own instead of the class's.
func NewErrorText(class, message string) *Error {
	e := NewError(class, nil)
	e.Message = message
	return e
}

// NotImplemented is Python's NotImplementedError, which the APIs answer with
// "not supported by this host".
func NotImplemented(what string) *Error {
	return &Error{Class: "NotImplementedError", Module: builtinModule, Code: 500, Message: what}
}

// Because attaches the cause and returns e.
func (e *Error) Because(cause error) *Error {
	e.Cause = cause
	return e
}

// Error is the message with its cause.
func (e *Error) Error() string {
	if e.Cause == nil {
		return e.Message
	}
	return e.Message + ": " + e.Cause.Error()
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Cause }

// RPCFailure is the exception as the caller's oslo.messaging rebuilds it.
func (e *Error) RPCFailure() rpc.Failure {
	f := rpc.Failure{
		Class:   e.Class,
		Module:  e.Module,
		Message: e.Message,
		Trace:   []string{e.Class + ": " + e.Error() + "\n"},
		Args:    []any{e.Message},
		Kwargs:  map[string]any{},
	}
	if e.Module == exceptionModule {
		maps.Copy(f.Kwargs, e.Kwargs)
		f.Kwargs["code"] = e.Code
	}
	return f
}

// Is tells whether err is the exception class or one derived from it. It looks
// at the outermost exception in err's chain, raised here or received.
func Is(err error, class string) bool {
	for found := ClassOf(err); found != ""; found = exceptions[found].parent {
		if found == class {
			return true
		}
	}
	return false
}

// ClassOf is the class of the outermost exception in err's chain, "" for none.
func ClassOf(err error) string {
	if e := exceptionIn(err); e != nil {
		return e.Class
	}
	return ""
}

// exceptionIn finds the outermost exception in err's chain; one that was
// received is given the form of one raised here. Nil if there is none.
func exceptionIn(err error) *Error {
	for err != nil {
		switch e := err.(type) { //nolint:errorlint // the chain is walked here, one link at a time
		case *Error:
			return e
		case *rpc.RemoteError:
			return received(e.Failure)
		case interface{ Unwrap() []error }:
			for _, inner := range e.Unwrap() {
				if found := exceptionIn(inner); found != nil {
					return found
				}
			}
			return nil
		}
		err = errors.Unwrap(err)
	}
	return nil
}

// received is an exception of a peer's. Its code is in its keyword arguments,
// so that classes newer than the table keep theirs.
func received(f rpc.Failure) *Error {
	e := &Error{
		Class:   strings.TrimSuffix(f.Class, "_Remote"),
		Module:  strings.TrimSuffix(f.Module, "_Remote"),
		Message: f.Message,
		Kwargs:  f.Kwargs,
	}
	e.Code = int(integer(normalise(f.Kwargs["code"])))
	if e.Code == 0 {
		e.Code = codeOf(e.Class)
	}
	return e
}

func codeOf(class string) int {
	for class != "" {
		e := exceptions[class]
		if e.code != 0 {
			return e.code
		}
		class = e.parent
	}
	return 500
}

func templateOf(class string) string {
	for class != "" {
		e := exceptions[class]
		if e.template != "" {
			return e.template
		}
		class = e.parent
	}
	return exceptions[rootException].template
}
