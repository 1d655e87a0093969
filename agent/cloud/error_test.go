package cloud

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestExplain(t *testing.T) {
	for _, c := range []struct{ name, body, code, message string }{
		{"neutron", `{"NeutronError": {"type": "IpAddressInUse", "message": "Unable to complete", "detail": ""}}`, "IpAddressInUse", "Unable to complete"},
		{"neutron, plain", `{"NeutronError": "Resource not found"}`, "", "Resource not found"},
		{"placement", `{"errors": [{"status": 409, "title": "Conflict", "detail": "generation\n conflict ", "code": "placement.concurrent_update"}]}`,
			"placement.concurrent_update", "generation conflict"},
		{"placement, short", `{"errors": [{"title": "Not Found"}]}`, "", "Not Found"},
		{"keystone", `{"error": {"code": 401, "message": "The request you have made requires authentication.", "title": "Unauthorized"}}`,
			"", "The request you have made requires authentication."},
		{"cinder", `{"itemNotFound": {"code": 404, "message": "Volume v could not be found."}}`, "itemNotFound", "Volume v could not be found."},
		{"glance", "<html>\n <head>\n  <title>404 Not Found</title>\n </head>\n <body>\n  <h1>404 Not Found</h1>\n  No image found with ID &lt;i&gt;<br /><br />\n\n </body>\n</html>",
			"", "No image found with ID <i>"},
		{"glance, text", "404 Not Found\n\nNo image found with ID i\n\n   ", "", "No image found with ID i"},
		{"proxy", "Service is down", "", "Service is down"},
		{"empty", "", "", ""},
		{"strange JSON", `{"a": [1]}`, "", `{"a": [1]}`},
		{"not an object", `[]`, "", "[]"},
	} {
		code, message := explain([]byte(c.body))
		if code != c.code || message != c.message {
			t.Errorf("%s: %q, %q", c.name, code, message)
		}
	}
}

func TestErrorText(t *testing.T) {
	e := &Error{Service: "network", Method: "POST", Path: "/v2.0/ports", Status: 409, Code: "IpAddressInUse", Message: "taken", RequestID: "req-1"}
	if got := e.Error(); got != "network: POST /v2.0/ports: 409 Conflict: IpAddressInUse: taken (request req-1)" {
		t.Error(got)
	}
	cause := errors.New("connection refused")
	lost := &Error{Service: "image", Method: "GET", Path: "/v2/images/i", Err: cause}
	if got := lost.Error(); got != "image: GET /v2/images/i: connection refused" || !errors.Is(lost, cause) || !IsUnreachable(lost) {
		t.Error(got)
	}
	if !HasCode(e, "OverQuota", "IpAddressInUse") || HasCode(e, "OverQuota") || HasCode(cause, "") {
		t.Error("codes are not told apart")
	}
}

func FuzzExplain(f *testing.F) {
	f.Add([]byte(`{"NeutronError": {"type": "X", "message": "m"}}`))
	f.Add([]byte(`{"errors": [{"code": "c", "detail": "d"}]}`))
	f.Add([]byte("<html><h1>500</h1>text"))
	f.Fuzz(func(t *testing.T, body []byte) {
		_, message := explain(body)
		if utf8.RuneCountInString(message) > maxMessage+1 || !utf8.ValidString(message) || strings.ContainsAny(message, "\n\r") {
			t.Errorf("message %q", message)
		}
	})
}
