package trace

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/sirupsen/logrus"
	logtest "github.com/sirupsen/logrus/hooks/test"
	"go.uber.org/goleak"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"bolide/agent/status"
)

// collector is a collector for tests: it decodes and keeps what is posted to it.
type collector struct {
	*httptest.Server
	mu       sync.Mutex
	refusals []int // answered first
	requests []*http.Request
	taken    []*tracepb.ResourceSpans
}

func newCollector(t *testing.T, refusals ...int) *collector {
	t.Helper()
	c := &collector{refusals: refusals}
	c.Server = httptest.NewServer(c)
	t.Cleanup(c.Close)
	return c
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests = append(c.requests, r)
	if len(c.refusals) > 0 {
		w.WriteHeader(c.refusals[0])
		c.refusals = c.refusals[1:]
		return
	}
	body, err := io.ReadAll(r.Body)
	var data tracepb.TracesData
	if err == nil {
		err = proto.Unmarshal(body, &data)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	c.taken = append(c.taken, data.ResourceSpans...)
}

// spans are the spans taken, in words and in the order sent, and whose they are.
func (c *collector) spans() (from []string, spans []*tracepb.Span) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.taken {
		from = append(from, text(r.Resource.Attributes))
		for _, s := range r.ScopeSpans {
			spans = append(spans, s.Spans...)
		}
	}
	return from, spans
}

func text(attributes []*commonpb.KeyValue) string {
	var out string
	for _, a := range attributes {
		out += fmt.Sprintf("%s=%s ", a.Key, a.Value.GetStringValue())
	}
	return out
}

// send runs a Sender until the operations have been sent.
func send(t *testing.T, o Options, ops ...status.Operation) {
	t.Helper()
	o.Host, o.Version, o.Release, o.Log = "node-1", "1.0", "zed", quiet()
	s := New(o)
	s.closeLimit = time.Minute
	for _, op := range ops {
		s.Ended(op)
	}
	end(t, s)
}

// end runs a Sender as if the node stopped at once: what is left is sent.
func end(t *testing.T, s *Sender) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s.Run(ctx)
}

func quiet() *logrus.Entry {
	log, _ := logtest.NewNullLogger()
	return logrus.NewEntry(log)
}

var began = time.Date(2026, 11, 22, 3, 4, 5, 0, time.UTC)

const request, instance = "11111111-2222-4333-8444-555555555555", "0c0ffee0-0000-4000-8000-000000000001"

// build is a build that failed.
func build() status.Operation {
	return status.Operation{
		Name: "build_and_run_instance", Instance: instance, RequestID: "req-" + request,
		Started: began, Ended: began.Add(4 * time.Second), Error: "disk: no space left on device",
		History: []status.StepTime{{Step: "image", Seconds: 2.5, Started: began.Add(time.Second)}, {Step: "disk", Seconds: 0.5, Started: began.Add(3500 * time.Millisecond)}},
	}
}

func TestAnOperationIsASpanAndSoAreItsSteps(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	c := newCollector(t)
	defer c.Close()
	send(t, Options{Endpoint: c.URL + "/", Headers: []string{"Authorization=Bearer%20x"}}, build())

	from, spans := c.spans()
	if len(spans) != 3 {
		t.Fatalf("%d spans", len(spans))
	}
	var got []string
	op := spans[2] // ends last
	for _, s := range spans {
		below := ""
		if string(s.ParentSpanId) == string(op.SpanId) {
			below = "in it, "
		}
		got = append(got, fmt.Sprintf("%s: %s%s to %s, %s%s %q", s.Name, below, ago(s.StartTimeUnixNano), ago(s.EndTimeUnixNano),
			text(s.Attributes), s.Status.GetCode(), s.Status.GetMessage()))
		if uuid.UUID(s.TraceId).String() != request {
			t.Errorf("%s is in trace %x", s.Name, s.TraceId)
		}
	}
	of := "nova.request_id=req-" + request + " nova.instance=" + instance + " "
	want := []string{
		"image: in it, 1s to 3.5s, " + of + `STATUS_CODE_UNSET ""`,
		"disk: in it, 3.5s to 4s, " + of + `STATUS_CODE_UNSET ""`,
		"build_and_run_instance: 0s to 4s, " + of + `STATUS_CODE_ERROR "disk: no space left on device"`,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"host.name=node-1 nova.release=zed service.name=bolide service.version=1.0 "}, from); d != "" {
		t.Error(d)
	}
	r := c.requests[0]
	if r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" || r.Header.Get("Authorization") != "Bearer x" {
		t.Errorf("posted to %s with %v", r.URL.Path, r.Header)
	}
}

func ago(nanos uint64) time.Duration { return time.Unix(0, int64(nanos)).Sub(began) }

func TestVariablesSayWhoSends(t *testing.T) {
	for variables, want := range map[string]string{
		"rack=7,service.name=node": "host.name=node-1 nova.release=zed rack=7 service.name=node service.version=1.0 ",
		"nonsense":                 "host.name=node-1 nova.release=zed service.name=bolide service.version=1.0 ",
	} {
		t.Setenv("OTEL_RESOURCE_ATTRIBUTES", variables)
		c := newCollector(t)
		send(t, Options{Endpoint: c.URL}, build())
		if from, _ := c.spans(); len(from) != 1 || from[0] != want {
			t.Errorf("%q: %q", variables, from)
		}
	}
}

func TestTracesOfOneRequestAreOne(t *testing.T) {
	c := newCollector(t)
	alone := build()
	alone.RequestID = ""
	send(t, Options{Endpoint: c.URL + "/v1/traces"}, build(), build(), alone, alone)
	traces := map[string]int{}
	_, spans := c.spans()
	for _, s := range spans {
		traces[string(s.TraceId)]++
	}
	of := uuid.MustParse(request)
	if traces[string(of[:])] != 6 || len(traces) != 3 {
		t.Errorf("traces with so many spans: %v", traces)
	}
}

func TestABusyCollectorIsAskedAgain(t *testing.T) {
	c := newCollector(t, http.StatusServiceUnavailable)
	p := newPoster(t.Context(), Options{Endpoint: c.URL, Log: quiet()})
	if err := p.UploadTraces(t.Context(), []*tracepb.ResourceSpans{{}}); err != nil {
		t.Error(err)
	}
	if len(c.taken) != 1 || len(c.requests) != 2 || p.failing {
		t.Errorf("%d batches by %d requests", len(c.taken), len(c.requests))
	}
}

func TestALostBatchIsLoggedOnce(t *testing.T) {
	c := newCollector(t, http.StatusBadRequest, http.StatusBadRequest)
	log, hook := logtest.NewNullLogger()
	p := newPoster(t.Context(), Options{Endpoint: c.URL, Log: logrus.NewEntry(log)})
	for range 3 {
		if err := p.UploadTraces(t.Context(), []*tracepb.ResourceSpans{{}}); err != nil {
			t.Error(err)
		}
	}
	var got []string
	for _, e := range hook.AllEntries() {
		got = append(got, e.Level.String()+": "+e.Message)
	}
	want := []string{"warning: spans are lost: the collector does not take them", "info: the collector takes spans again"}
	if d := cmp.Diff(want, got); d != "" || len(c.requests) != 3 {
		t.Errorf("%d requests, logged: %s", len(c.requests), d)
	}
}

func TestACollectorThatIsAwayHoldsNobodyUp(t *testing.T) {
	c := newCollector(t)
	c.Close()
	s := New(Options{Endpoint: c.URL, Log: quiet()})
	for range 2 * waitingOperations {
		s.Ended(build()) // does not wait for room
	}
	s.closeLimit = time.Millisecond
	end(t, s) // nor does the end wait for the collector
}

func TestWithoutAnEndpointNothingIsDone(t *testing.T) {
	s, op := New(Options{}), build()
	if n := testing.AllocsPerRun(100, func() { s.Ended(op) }); n != 0 {
		t.Errorf("%.0f allocations", n)
	}
	s.Run(t.Context()) // returns
}
