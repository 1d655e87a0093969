package rpc

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Failure is how an exception travels. The caller builds Class(*Args, **Kwargs)
// if Module is builtins or one it allows (Nova: nova.exception only), and
// oslo_messaging's RemoteError otherwise. Numbers in the Args and Kwargs of a
// failure that we received are json.Number.
type Failure struct {
	Class   string         `json:"class"`
	Module  string         `json:"module"`
	Message string         `json:"message"`
	Trace   []string       `json:"tb"`
	Args    []any          `json:"args"`
	Kwargs  map[string]any `json:"kwargs"`
}

// Failer is an error that knows how it travels. An error that wraps one
// travels as that one; any other error travels as a plain Exception.
type Failer interface {
	error
	RPCFailure() Failure
}

// RemoteError is the failure of a call, as the peer reported it. Class and
// Module are without the suffix "_Remote" that a relay adds.
type RemoteError struct{ Failure }

var _ Failer = (*RemoteError)(nil)

func (e *RemoteError) Error() string {
	if e.Message == "" {
		return e.Class
	}
	return e.Class + ": " + e.Message
}

// RPCFailure passes the failure on unchanged.
func (e *RemoteError) RPCFailure() Failure { return e.Failure }

// remoteSuffix marks class and module of an exception that was rebuilt from a failure.
const remoteSuffix = "_Remote"

// failureOf is how err travels.
func failureOf(err error) Failure {
	var f Failure
	if failer, ok := errors.AsType[Failer](err); ok {
		f = failer.RPCFailure()
	} else {
		f = Failure{Class: "Exception", Module: "builtins", Message: err.Error()}
	}
	if f.Args == nil {
		f.Args = []any{f.Message}
	}
	if f.Kwargs == nil {
		f.Kwargs = map[string]any{}
	}
	if f.Trace == nil {
		f.Trace = []string{fmt.Sprintf("%s.%s: %s\n", f.Module, f.Class, err)}
	}
	return f
}

// encode is the JSON text of the failure. What has no JSON (a handler's own
// value in Args or Kwargs) is left out, so that the caller gets an answer.
func (f Failure) encode() []byte {
	out, err := appendJSON(nil, f)
	if err != nil {
		f.Args, f.Kwargs = []any{f.Message}, map[string]any{}
		out, _ = appendJSON(nil, f) // strings only: always has JSON
	}
	return out
}

// decodeFailure reads the text in a reply. Text that is no failure becomes the
// message of one: the call failed in any case.
func decodeFailure(text string) *RemoteError {
	e := &RemoteError{}
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	if err := dec.Decode(&e.Failure); err != nil {
		return &RemoteError{Failure{Class: "RemoteError", Module: "oslo_messaging.rpc.client", Message: text}}
	}
	if strings.HasSuffix(e.Class, remoteSuffix) && strings.HasSuffix(e.Module, remoteSuffix) {
		e.Class = strings.TrimSuffix(e.Class, remoteSuffix)
		e.Module = strings.TrimSuffix(e.Module, remoteSuffix)
	}
	if e.Module == "exceptions" { // Python 2
		e.Module = "builtins"
	}
	return e
}

// dispatchError is a request that no handler took.
type dispatchError struct{ class, module, message string }

var _ Failer = (*dispatchError)(nil)

func (e *dispatchError) Error() string { return e.message }

func (e *dispatchError) RPCFailure() Failure {
	return Failure{Class: e.class, Module: e.module, Message: e.message}
}

const dispatcherModule = "oslo_messaging.rpc.dispatcher"

func noSuchMethod(method string) error {
	return &dispatchError{"NoSuchMethod", dispatcherModule, "Endpoint does not support RPC method " + method}
}

func unsupportedVersion(version, method string) error {
	return &dispatchError{"UnsupportedVersion", dispatcherModule,
		fmt.Sprintf("Endpoint does not support RPC version %s. Attempted method: %s", version, method)}
}

// typeError is what a Python method answers to arguments that do not fit.
func typeError(message string) error {
	return &dispatchError{"TypeError", "builtins", message}
}
