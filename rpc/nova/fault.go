package nova

import (
	"errors"
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
	e := exceptionIn(err)
	switch {
	case e == nil && errors.Is(err, rpc.ErrTimeout):
		return "MessagingTimeout"
	case e == nil:
		return "InternalError"
	case e.Module != exceptionModule:
		return cut(e.Class, faultMessageLimit)
	}
	return cut(e.Message, faultMessageLimit)
}

// FaultCode is the HTTP status of an error: that of an exception of Nova's, else 500.
func FaultCode(err error) int {
	if e := exceptionIn(err); e != nil && e.Module == exceptionModule {
		return e.Code
	}
	return 500
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
