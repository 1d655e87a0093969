package nova

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"strings"
	"testing"

	"bolide/rpc"
)

// TestRecordedFailuresBothWays reads every recorded failure and makes the same one here.
func TestRecordedFailuresBothWays(t *testing.T) {
	classes := map[string]bool{}
	for _, r := range recordings(t) {
		f := r.failure
		if f == nil {
			continue
		}
		classes[f.Class] = true
		err := fmt.Errorf("call: %w", f)
		code, _ := f.Kwargs["code"].(float64)
		if !Is(err, f.Class) || FaultMessage(err) != f.Message || FaultCode(err) != int(code) {
			t.Errorf("%s read as %s, %q, %d", f.Class, ClassOf(err), FaultMessage(err), FaultCode(err))
		}
		kwargs := maps.Clone(f.Kwargs)
		delete(kwargs, "code")
		got := NewError(f.Class, kwargs).RPCFailure()
		got.Trace = f.Trace
		sameJSON(t, f.Class, f.Failure, got)
	}
	if len(classes) < 3 {
		t.Errorf("only %v recorded", classes)
	}
}

func TestExceptionTable(t *testing.T) {
	conversion := regexp.MustCompile(`%\((\w+)\)([a-z])`)
	for class, e := range exceptions {
		if _, ok := exceptions[e.parent]; !ok && class != rootException {
			t.Errorf("%s has the unknown parent %q", class, e.parent)
		}
		if !Is(&Error{Class: class}, rootException) {
			t.Errorf("%s does not come from %s", class, rootException)
		}
		kwargs := map[string]any{}
		for _, m := range conversion.FindAllStringSubmatch(templateOf(class), -1) {
			kwargs[m[1]] = "text"
			if m[2] != "s" {
				kwargs[m[1]] = 42
			}
		}
		got := NewError(class, kwargs)
		if conversion.MatchString(got.Message) || got.Message == "" {
			t.Errorf("%s is not filled: %q", class, got.Message)
		}
		if got.Code < 400 || got.Code > 599 {
			t.Errorf("%s has code %d", class, got.Code)
		}
	}
}

func TestNewError(t *testing.T) {
	tests := []struct {
		name    string
		err     *Error
		class   string
		message string
		code    int
	}{
		{"filled", InstanceNotFound("U"), "InstanceNotFound", "Instance U could not be found.", 404},
		{"numbers", FlavorDiskSmallerThanImage(1, 3), "FlavorDiskSmallerThanImage",
			"Flavor's disk is too small for requested image. Flavor disk is 1 bytes, image is 3 bytes.", 500},
		{"inherited code", NewError("QemuGuestAgentNotEnabled", nil), "QemuGuestAgentNotEnabled", "QEMU guest agent is not enabled", 400},
		{"missing argument", NewError("ImageNotFound", nil), "ImageNotFound", "Image %(image_id)s could not be found.", 404},
		{"wrong argument", NewError("FlavorDiskSmallerThanImage", map[string]any{"flavor_size": "big", "image_size": 1}), "FlavorDiskSmallerThanImage",
			templateOf("FlavorDiskSmallerThanImage"), 500},
		{"unknown class", NewError("NoSuchThing", nil), "NovaException", "An unknown exception occurred.", 500},
		{"own text", NewErrorText("Invalid", "no."), "Invalid", "no.", 400},
		{"an error as reason", NewError("MigrationError", map[string]any{"reason": errors.New("lost")}), "MigrationError", "Migration error: lost", 500},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := tt.err.RPCFailure()
			if f.Class != tt.class || f.Module != "nova.exception" || f.Message != tt.message || f.Kwargs["code"] != tt.code {
				t.Errorf("got %+v", f)
			}
			if _, err := json.Marshal(f); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestNotImplementedIsPythonsOwn(t *testing.T) {
	f := NotImplemented("rescue").RPCFailure()
	if f.Class != "NotImplementedError" || f.Module != "builtins" || len(f.Kwargs) != 0 || f.Args[0] != "rescue" {
		t.Errorf("got %+v", f)
	}
}

func TestIs(t *testing.T) {
	remote := func(class, module string) error {
		return fmt.Errorf("conductor: %w", &rpc.RemoteError{Failure: rpc.Failure{Class: class, Module: module}})
	}
	tests := []struct {
		name  string
		err   error
		class string
		want  bool
	}{
		{"nil", nil, "NovaException", false},
		{"another kind of error", errors.New("x"), "NovaException", false},
		{"the class", InstanceNotFound("u"), "InstanceNotFound", true},
		{"its parent", InstanceNotFound("u"), "NotFound", true},
		{"the root", fmt.Errorf("a: %w", InstanceNotFound("u")), "NovaException", true},
		{"a child", NewError("NotFound", nil), "InstanceNotFound", false},
		{"received", remote("UnexpectedDeletingTaskStateError", "nova.exception"), "UnexpectedTaskStateError", true},
		{"received again", remote("InstanceNotFound_Remote", "nova.exception_Remote"), "InstanceNotFound", true},
		{"received, newer than the table", remote("BrandNew", "nova.exception"), "BrandNew", true},
		{"wrapping another", BuildAbort("u", "r").Because(InstanceNotFound("u")), "InstanceNotFound", false},
		{"joined", errors.Join(errors.New("x"), InstanceNotFound("u")), "InstanceNotFound", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := Is(tt.err, tt.class); got != tt.want {
				t.Errorf("Is(%v, %s) is %v", tt.err, tt.class, got)
			}
		})
	}
}

func TestFault(t *testing.T) {
	remote := &rpc.RemoteError{Failure: rpc.Failure{Class: "PortInUse", Module: "nova.exception", Message: "Port p is still in use.", Kwargs: map[string]any{"code": 400.0}}}
	foreign := &rpc.RemoteError{Failure: rpc.Failure{Class: "DBConnectionError", Module: "oslo_db.exception", Message: "mysql://user:password@db"}}
	tests := []struct {
		name    string
		err     error
		message string
		code    int
	}{
		{"own", InstanceNotFound("u").Because(errors.New("secret")), "Instance u could not be found.", 404},
		{"wrapped", fmt.Errorf("step: %w", InstanceNotFound("u")), "Instance u could not be found.", 404},
		{"received", remote, "Port p is still in use.", 400},
		{"received without code", &rpc.RemoteError{Failure: rpc.Failure{Class: "InstanceNotFound", Module: "nova.exception", Message: "m"}}, "m", 404},
		{"own because of received", BuildAbort("u", "r").Because(remote), "Build of instance u aborted: r", 500},
		{"received wrapped in joined", errors.Join(errors.New("x"), remote), "Port p is still in use.", 400},
		{"of another module", foreign, "DBConnectionError", 500},
		{"no exception", errors.New("open /var/lib/secret: denied"), "InternalError", 500},
		{"timeout", fmt.Errorf("conductor: %w", rpc.ErrTimeout), "MessagingTimeout", 500},
		{"cancelled", context.Canceled, "InternalError", 500},
		{"not implemented", NotImplemented("x"), "NotImplementedError", 500},
		{"long", NewErrorText("Invalid", strings.Repeat("é", 200)), strings.Repeat("é", 127), 400},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if message, code := FaultMessage(tt.err), FaultCode(tt.err); message != tt.message || code != tt.code {
				t.Errorf("got %d %q, want %d %q", code, message, tt.code, tt.message)
			}
		})
	}
}
