package status

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"bolide/agent/audit"
	"bolide/agent/config"
)

func loadOpenAPI(t *testing.T) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(openAPI)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestOpenAPINamesEveryRoute(t *testing.T) {
	var described, served []string
	for path, item := range loadOpenAPI(t).Paths.Map() {
		for method := range item.Operations() {
			described = append(described, method+" "+path)
		}
	}
	for _, r := range (&Server{}).routes() {
		served = append(served, r.method+" "+r.path)
	}
	slices.Sort(described)
	slices.Sort(served)
	if !slices.Equal(described, served) {
		t.Errorf("described:\n%s\nserved:\n%s", strings.Join(described, "\n"), strings.Join(served, "\n"))
	}
}

// Every answer is what openapi.yaml says, down to fields that it does not name.
func TestAnswersAreAsDescribed(t *testing.T) {
	doc := loadOpenAPI(t)
	differ := func(_ context.Context, fix []audit.Kind) (audit.Report, error) {
		d := audit.Difference{Kind: audit.LeftTap, Object: "tap00000000-00", Text: "t", Mend: "m", Fixable: true}
		if slices.Contains(fix, audit.LeftTap) {
			d.Outcome = audit.Mended
		}
		return audit.Report{Host: "node-1", Differences: []audit.Difference{d}}, nil
	}
	c, o := serve(t, Options{
		Images: sampleCache{}, Audit: differ,
		Config: settings{{Section: "DEFAULT", Name: "host", Value: "node-1", From: "default", Unused: "x"}},
		Guests: &sampleGuests{}, Drainer: &sampleDrainer{}, Reload: func() error { return nil },
	})
	const guest = "/v1/instances/{uuid}"
	for _, tt := range []struct {
		method, path, route, body string
		status                    int
	}{
		{"GET", "/v1/status", "", "", 200},
		{"GET", "/v1/health", "", "", 200},
		{"GET", "/v1/operations", "", "", 200},
		{"GET", "/v1/instances", "", "", 200},
		{"GET", "/v1/instances/instance-00000001", guest, "", 200},
		{"GET", "/v1/instances/nobody", guest, "", 404},
		{"GET", "/v1/instances/instance-00000001/domain.xml", guest + "/domain.xml", "", 200},
		{"GET", "/v1/instances/nobody/domain.xml", guest + "/domain.xml", "", 404},
		{"GET", "/v1/instances/instance-00000001/console", guest + "/console", "", 426},
		{"GET", "/v1/instances/nobody/console", guest + "/console", "", 404},
		{"PUT", "/v1/drain", "", "", 200},
		{"DELETE", "/v1/drain", "", "", 200},
		{"GET", "/v1/images", "", "", 200},
		{"POST", "/v1/images/verify", "", "", 200},
		{"POST", "/v1/images/verify", "", `{"name":"nowhere"}`, 404},
		{"POST", "/v1/images/verify", "", `{"nam":"nowhere"}`, 400},
		{"POST", "/v1/images/prune", "", "", 200},
		{"POST", "/v1/images/prune", "", `{"dry_run":true}`, 200},
		{"POST", "/v1/images/prune", "", `{"all":true}`, 500},
		{"GET", "/v1/config", "", "", 200},
		{"GET", "/v1/log-level", "", "", 200},
		{"PUT", "/v1/log-level", "", `{"level":"warning"}`, 200},
		{"PUT", "/v1/log-level", "", `{"level":"loud"}`, 400},
		{"PUT", "/v1/log-level", "", `{"lvl":"info"}`, 400},
		{"GET", "/v1/audit", "", "", 200},
		{"POST", "/v1/audit?fix=left-tap", "/v1/audit", "", 200},
		{"POST", "/v1/audit?fix=unknown-guest", "/v1/audit", "", 400},
		{"POST", "/v1/audit", "", "", 400},
		{"PUT", "/v1/log-level", "", `{"level":"info","room":"nowhere"}`, 400},
		{"POST", "/v1/reload", "", "", 204},
		{"GET", "/v1/debug/goroutines", "", "", 200},
		{"GET", "/v1/debug/profile/heap", "/v1/debug/profile/{kind}", "", 200},
		{"GET", "/v1/debug/profile/cpu?seconds=0.01", "/v1/debug/profile/{kind}", "", 200},
		{"GET", "/v1/debug/profile/cpu?seconds=soon", "/v1/debug/profile/{kind}", "", 400},
		{"GET", "/v1/debug/profile/tea", "/v1/debug/profile/{kind}", "", 404},
		{"GET", "/v1/openapi.yaml", "", "", 200},
		{"GET", "/metrics", "", "", 200},
	} {
		t.Run(tt.method+" "+tt.path+tt.body, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), tt.method, "http://bolide"+tt.path, strings.NewReader(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			resp, err := c.http.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			text, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != tt.status {
				t.Fatalf("status %d, want %d: %s", resp.StatusCode, tt.status, text)
			}
			route := tt.route
			if route == "" {
				route = tt.path
			}
			answer := doc.Paths.Find(route).GetOperation(tt.method).Responses.Status(tt.status)
			if answer == nil {
				t.Fatalf("status %d is not described", tt.status)
			}
			if len(answer.Value.Content) == 0 && len(text) == 0 {
				return
			}
			kind, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
			media := answer.Value.Content[kind]
			if media == nil {
				t.Fatalf("content type %s is not described", kind)
			}
			if kind == "application/json" {
				matches(t, media.Schema.Value, text)
			}
		})
	}
	if l := o.Log.Logger.GetLevel().String(); l != "warning" {
		t.Errorf("log level is %s", l)
	}
}

func matches(t *testing.T, schema *openapi3.Schema, text []byte) {
	t.Helper()
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	if err := schema.VisitJSON(v); err != nil {
		t.Errorf("%v\n%s", err, text)
	}
}

func TestEventsAreAsDescribed(t *testing.T) {
	schema := loadOpenAPI(t).Components.Schemas["Event"].Value
	board := NewBoard(BoardOptions{})
	c, _ := serve(t, Options{Board: board})
	body, err := c.Open(t.Context(), "GET", "/v1/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	e := board.Begin(Operation{Name: "reboot_instance", Instance: "i1"})
	e.Step("stop", 1, 2)
	e.Progress(1, 2)
	e.End(nil)
	var kinds []string
	lines := bufio.NewScanner(body)
	for len(kinds) < 4 && lines.Scan() {
		if lines.Text() == "" {
			continue
		}
		matches(t, schema, lines.Bytes())
		var ev Event
		if err := json.Unmarshal(lines.Bytes(), &ev); err != nil {
			t.Fatal(err)
		}
		kinds = append(kinds, ev.Kind)
	}
	if want := []string{EventBegin, EventStep, EventProgress, EventEnd}; !slices.Equal(kinds, want) {
		t.Errorf("events %q, want %q (%v)", kinds, want, lines.Err())
	}
}

var _ interface{ Settings() []config.Setting } = (*config.Config)(nil)
