package moves

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// collector keeps which hosts send spans, by trace and then by the spans' names.
type collector struct {
	*httptest.Server
	mu     sync.Mutex
	traces map[string]map[string]string
}

func newCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{traces: map[string]map[string]string{}}
	c.Server = httptest.NewServer(c)
	t.Cleanup(c.Close)
	return c
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var data tracepb.TracesData
	if err == nil {
		err = proto.Unmarshal(body, &data)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, from := range data.ResourceSpans {
		for _, a := range from.Resource.Attributes {
			if a.Key == "host.name" {
				c.keep(a.Value.GetStringValue(), from.ScopeSpans)
			}
		}
	}
}

func (c *collector) keep(host string, spans []*tracepb.ScopeSpans) {
	for _, scope := range spans {
		for _, s := range scope.Spans {
			id := string(s.TraceId)
			if c.traces[id] == nil {
				c.traces[id] = map[string]string{}
			}
			c.traces[id][s.Name] = host
		}
	}
}

// hostsOf are the hosts on which operations of one trace took place, in the order asked for; nil if there is no trace
// that has them all.
func (c *collector) hostsOf(operations ...string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, names := range c.traces {
		hosts := make([]string, len(operations))
		for i, o := range operations {
			hosts[i] = names[o]
		}
		if !slices.Contains(hosts, "") {
			return hosts
		}
	}
	return nil
}
