package notice

import (
	"encoding/json"
	"strings"

	"bolide/rpc/nova"
)

// Where an exception was raised, in the fields in which Nova's node names its Python module and function.
const (
	faultModule   = "bolide"
	faultFunction = "compute"
)

// Fault is what an unversioned payload says of an error: the exception, its message for users, and its code.
func Fault(err error) map[string]any {
	return map[string]any{"exception": exception(err), "message": message(err), "code": nova.FaultCode(err)}
}

// message is the text that users may read; for what is not one of Nova's exceptions it is the class alone.
func message(err error) string {
	if nova.ClassOf(err) == "" {
		return class(err)
	}
	return nova.FaultMessage(err)
}

// class is the exception's; errors that are none of Nova's are plain ones.
func class(err error) string {
	if c := nova.ClassOf(err); c != "" {
		return c
	}
	return "Exception"
}

// exception is the whole of it for operators.
func exception(err error) string { return class(err) + ": " + err.Error() }

// Exception is the versioned payload of an error. Where Python has a traceback it has the text for operators.
func Exception(err error) Object {
	return object("ExceptionPayload", map[string]any{
		"module_name": faultModule, "function_name": faultFunction,
		"exception": class(err), "exception_message": message(err), "traceback": exception(err),
	})
}

// Call is the unversioned payload of a method that failed: the exception and the arguments without passwords. Versioned
// objects are told as their fields alone.
func Call(err error, args map[string]json.RawMessage) map[string]any {
	told := map[string]any{}
	for name, raw := range args {
		var v any
		if strings.Contains(name, "_pass") || json.Unmarshal(raw, &v) != nil {
			continue
		}
		told[name] = plain(v)
	}
	return map[string]any{"exception": exception(err), "args": told}
}

// plain takes the wrapping off versioned objects; a list object is a list.
func plain(v any) any {
	switch v := v.(type) {
	case map[string]any:
		if list, ok := v["objects"].([]any); ok {
			return plain(list)
		}
		for _, key := range []string{"nova_object.data", "versioned_object.data"} {
			if data, ok := v[key]; ok {
				return plain(data)
			}
		}
		out := make(map[string]any, len(v))
		for name, member := range v {
			out[name] = plain(member)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = plain(item)
		}
		return out
	}
	return v
}
