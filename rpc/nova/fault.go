package nova

import (
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"

	"bolide/rpc"
)

// faultMessageLimit is what the database column holds.
const faultMessageLimit = 255

// FaultMessage is what users may read of an error: the message of an exception
// of Nova's, but of anything else only a class name, since its text may show
// the inside of the host. It is cut to 255 bytes.
func FaultMessage(err error) string {
	class, module, ok := exceptionIn(err)
	switch {
	case errors.Is(err, rpc.ErrTimeout) && !ok:
		return "MessagingTimeout"
	case !ok:
		return "InternalError"
	case module != exceptionModule:
		return cut(class, faultMessageLimit)
	}
	return cut(messageOf(err), faultMessageLimit)
}

// FaultCode is the HTTP status of an error: that of the exception, else 500.
func FaultCode(err error) int {
	var local *Error
	var remote *rpc.RemoteError
	switch _, module, _ := exceptionIn(err); {
	case module != exceptionModule:
		return 500
	case errors.As(err, &local):
		return local.Code
	case errors.As(err, &remote):
		if code, e := strconv.Atoi(text(normalise(remote.Kwargs["code"]))); e == nil {
			return code
		}
		return codeOf(ClassOf(err))
	}
	return 500
}

// messageOf is the message of the outermost exception in err's chain.
func messageOf(err error) string {
	class := ClassOf(err)
	var local *Error
	if errors.As(err, &local) && local.Class == class {
		return local.Message
	}
	var remote *rpc.RemoteError
	if errors.As(err, &remote) {
		return remote.Message
	}
	return class
}

// cut shortens s to at most limit bytes without breaking a character.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return strings.TrimRight(s[:limit], " ")
}

// faultDetails is what administrators read of an error: all of it.
func faultDetails(err error) string {
	class := ClassOf(err)
	if class == "" {
		return err.Error()
	}
	return class + ": " + err.Error()
}
