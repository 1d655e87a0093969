package cloud

import (
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/gophercloud/gophercloud/v2"
)

// Error is a call that a service refused or never answered.
type Error struct {
	// Service is identity, image, network, placement or volume.
	Service string
	// Method and Path are of the request; Path is without its query.
	Method, Path string
	// Status is the HTTP status; 0 means that there was no answer and Err says
	// why.
	Status int
	// Code is the service's own name for the fault: Neutron's type such as
	// "IpAddressInUse", Placement's such as "placement.concurrent_update".
	Code string
	// Message is the service's text.
	Message string
	// RequestID is the service's X-OpenStack-Request-ID.
	RequestID string
	// RetryAfter is the Retry-After header, in seconds or as a date.
	RetryAfter string
	// Err is the cause where there was no answer.
	Err error
}

func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s %s: ", e.Service, e.Method, e.Path)
	if e.Status == 0 {
		b.WriteString(e.Err.Error())
		return b.String()
	}
	fmt.Fprintf(&b, "%d %s", e.Status, http.StatusText(e.Status))
	if e.Code != "" {
		fmt.Fprintf(&b, ": %s", e.Code)
	}
	if e.Message != "" {
		fmt.Fprintf(&b, ": %s", e.Message)
	}
	if e.RequestID != "" {
		fmt.Fprintf(&b, " (request %s)", e.RequestID)
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }

// IsStatus reports whether err is a service's refusal with this HTTP status.
func IsStatus(err error, status int) bool {
	var e *Error
	return errors.As(err, &e) && e.Status == status
}

// IsNotFound reports a 404.
func IsNotFound(err error) bool { return IsStatus(err, http.StatusNotFound) }

// IsConflict reports a 409; at Placement most often that somebody else changed
// the provider or consumer since it was read.
func IsConflict(err error) bool { return IsStatus(err, http.StatusConflict) }

// IsUnauthorized reports a 401: the token is not, or no longer, good.
func IsUnauthorized(err error) bool { return IsStatus(err, http.StatusUnauthorized) }

// IsForbidden reports a 403.
func IsForbidden(err error) bool { return IsStatus(err, http.StatusForbidden) }

// IsUnreachable reports that the service gave no answer of its own: connection
// errors, timeouts, and what a proxy says in its place.
func IsUnreachable(err error) bool {
	var e *Error
	return errors.As(err, &e) && (e.Status == 0 || unavailable(e.Status))
}

// HasCode reports whether err carries one of the service's own fault names.
func HasCode(err error, codes ...string) bool {
	var e *Error
	if !errors.As(err, &e) {
		return false
	}
	for _, code := range codes {
		if e.Code == code {
			return true
		}
	}
	return false
}

func unavailable(status int) bool {
	return status == http.StatusBadGateway || status == http.StatusServiceUnavailable || status == http.StatusGatewayTimeout
}

// newError makes an Error of what gophercloud returned.
func newError(service, method, address string, err error) *Error {
	e := &Error{Service: service, Method: method, Path: pathOf(address)}
	var refused gophercloud.ErrUnexpectedResponseCode
	if !errors.As(err, &refused) {
		e.Err = withoutAddress(err)
		return e
	}
	e.Status = refused.Actual
	e.RequestID = requestID(refused.ResponseHeader)
	e.RetryAfter = refused.ResponseHeader.Get("Retry-After")
	e.Code, e.Message = explain(refused.Body)
	return e
}

// withoutAddress drops the method and address that net/http puts before the
// cause: Error names both already, and a query may be very long.
func withoutAddress(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

func pathOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	return u.Path
}

func requestID(h http.Header) string {
	if id := h.Get("X-Openstack-Request-Id"); id != "" {
		return id
	}
	return h.Get("X-Compute-Request-Id")
}

// maxMessage bounds the text kept of an error page.
const maxMessage = 1000

var markup = regexp.MustCompile(`(?s)<(title|head|style|script|h1).*?</(title|head|style|script|h1)>|<[^>]*>`)

// statusLine is what Error says itself.
var statusLine = regexp.MustCompile(`^\d{3} [^\n]*\n+`)

// explain finds code and message in the body of a refusal. The services differ:
//
//	Neutron    {"NeutronError": {"type": …, "message": …}}
//	Placement  {"errors": [{"code": …, "detail": …}]}
//	Keystone   {"error": {"code": 401, "title": …, "message": …}}
//	Cinder     {"itemNotFound": {"code": 404, "message": …}}
//	Glance     an HTML page, or text below a status line
func explain(body []byte) (code, message string) {
	var envelope map[string]json.RawMessage
	if json.Unmarshal(body, &envelope) != nil {
		return "", plain(statusLine.ReplaceAllString(string(body), ""))
	}
	if raw, ok := envelope["errors"]; ok {
		var list []struct{ Code, Detail, Title string }
		if json.Unmarshal(raw, &list) == nil && len(list) > 0 {
			if list[0].Detail == "" {
				list[0].Detail = list[0].Title
			}
			return list[0].Code, plain(list[0].Detail)
		}
	}
	for name, raw := range envelope {
		var fault struct {
			Type    string
			Message string
		}
		if json.Unmarshal(raw, &fault) == nil && fault.Message != "" {
			if fault.Type == "" && name != "error" {
				fault.Type = name
			}
			return fault.Type, plain(fault.Message)
		}
		var text string // Neutron's plain form: {"NeutronError": "text"}
		if json.Unmarshal(raw, &text) == nil && text != "" {
			return "", plain(text)
		}
	}
	return "", plain(string(body))
}

// plain is the text of a page on one line, bounded.
func plain(s string) string {
	s = html.UnescapeString(markup.ReplaceAllString(s, " "))
	s = strings.ToValidUTF8(strings.Join(strings.Fields(s), " "), "�")
	if r := []rune(s); len(r) > maxMessage {
		s = string(r[:maxMessage]) + "…"
	}
	return s
}
