package status

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const prometheusDocs = "../../docs/prometheus"

type someQueues struct{}

func (someQueues) Depth() int               { return 3 }
func (someQueues) OldestWaiting() time.Time { return time.Time{} }

// metricNames are all that a node has, whether or not it has counted anything yet.
func metricNames(t *testing.T) map[string]bool {
	t.Helper()
	m := NewMetrics()
	m.Queues(someQueues{})
	m.ImageCacheSize(func() (int64, error) { return 0, nil })
	NewBoard(BoardOptions{Metrics: m.Registry})
	m.Registry.MustRegister(&sourceCollector{sample{}, NewBoard(BoardOptions{}), time.Second})
	descs := make(chan *prometheus.Desc)
	go func() { m.Registry.Describe(descs); close(descs) }()
	names := map[string]bool{"up": true}
	for d := range descs {
		names[regexp.MustCompile(`fqName: "([^"]+)"`).FindStringSubmatch(d.String())[1]] = true
	}
	for _, made := range []string{"go_goroutines", "process_resident_memory_bytes", "process_cpu_seconds_total"} { // by collectors that describe nothing
		names[made] = true
	}
	return names
}

var metricName = regexp.MustCompile(`\b(bolide|go|process)_[a-z_]+`)

// known says which metrics of a text the node does not have.
func unknownMetrics(names map[string]bool, text string) (unknown []string) {
	for _, n := range metricName.FindAllString(text, -1) {
		base := n
		for _, part := range []string{"_bucket", "_count", "_sum"} {
			base = strings.TrimSuffix(base, part)
		}
		if !names[n] && !names[base] {
			unknown = append(unknown, n)
		}
	}
	return unknown
}

// dashboardQueries are the expressions of all panels.
func dashboardQueries(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(prometheusDocs, "dashboard.json"))
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	var queries []string
	for _, p := range d.Panels {
		if p.Title == "" || len(p.Targets) == 0 {
			t.Errorf("a panel without a title or a query: %+v", p)
		}
		for _, q := range p.Targets {
			queries = append(queries, strings.ReplaceAll(q.Expr, "$instance", ".*"))
		}
	}
	return queries
}

func TestDocumentedMetricsExist(t *testing.T) {
	names := metricNames(t)
	texts := map[string]string{"dashboard.json": strings.Join(dashboardQueries(t), "\n")}
	for _, file := range []string{"alerts.yml", "../status.md"} {
		text, err := os.ReadFile(filepath.Join(prometheusDocs, file))
		if err != nil {
			t.Fatal(err)
		}
		texts[file] = string(text)
	}
	for file, text := range texts {
		if unknown := unknownMetrics(names, text); len(unknown) > 0 {
			t.Errorf("%s names metrics that there are not: %q", file, unknown)
		}
		if len(metricName.FindString(text)) == 0 {
			t.Errorf("%s names no metrics", file)
		}
	}
	for name := range names {
		if strings.HasPrefix(name, "bolide_") && !strings.Contains(texts["../status.md"], name) {
			t.Errorf("docs/status.md does not name %s", name)
		}
	}
}

// promtool runs Prometheus's own checker.
func promtool(t *testing.T, in io.Reader, args ...string) {
	t.Helper()
	program, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip(err)
	}
	cmd := exec.Command(program, args...)
	cmd.Dir, cmd.Stdin = prometheusDocs, in
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func TestPrometheusTakesTheAlerts(t *testing.T) {
	promtool(t, nil, "check", "rules", "alerts.yml")
	promtool(t, nil, "test", "rules", "alerts_test.yml")
}

// The dashboard's queries are rules to promtool, which knows no dashboards.
func TestPrometheusTakesTheDashboard(t *testing.T) {
	type rule struct {
		Record string `json:"record"`
		Expr   string `json:"expr"`
	}
	var rules []rule
	for i, q := range dashboardQueries(t) {
		rules = append(rules, rule{Record: "panel:" + string(rune('a'+i%26)) + string(rune('a'+i/26)), Expr: q})
	}
	text, err := json.Marshal(map[string]any{"groups": []any{map[string]any{"name": "dashboard", "rules": rules}}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "rules.yml") // JSON is YAML
	if err := os.WriteFile(file, text, 0o644); err != nil {
		t.Fatal(err)
	}
	promtool(t, nil, "check", "rules", file)
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestMetricsOverTCP(t *testing.T) {
	m := NewMetrics()
	m.RPC(RPCIn, "reboot_instance", time.Second, nil)
	m.Libvirt("start", time.Second, nil)
	m.ImageCache(CacheHit)
	o := Options{Board: NewBoard(BoardOptions{Metrics: m.Registry}), Metrics: m.Registry, MetricsAddress: freeAddress(t)}
	serve(t, o)
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	get := func(path string) (status int, text []byte) {
		t.Helper()
		for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) { // it may not listen yet
			resp, err := client.Get("http://" + o.MetricsAddress + path)
			if err != nil && time.Now().Before(deadline) {
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if text, err = io.ReadAll(resp.Body); err != nil {
				t.Fatal(err)
			}
			return resp.StatusCode, text
		}
	}
	status, text := get("/metrics")
	if status != 200 || !bytes.Contains(text, []byte(`bolide_link_up{link="amqp"} 1`)) {
		t.Errorf("status %d: %s", status, text)
	}
	for _, path := range []string{"/v1/status", "/v1/debug/goroutines", "/"} {
		if status, _ := get(path); status != 404 {
			t.Errorf("%s is served over TCP: status %d", path, status)
		}
	}
	// Those who hold connections without asking are let in no more than so many at a time.
	var held []net.Conn
	for range 4 * metricsConns {
		c, err := net.Dial("tcp", o.MetricsAddress)
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, c)
	}
	if _, err := client.Get("http://" + o.MetricsAddress + "/metrics"); err == nil {
		t.Error("one connection more is served")
	}
	for _, c := range held {
		c.Close()
	}
	if status, _ := get("/metrics"); status != 200 {
		t.Errorf("status %d after the others went", status)
	}
	promtool(t, bytes.NewReader(text), "check", "metrics")
}

func TestATakenAddressIsNoReasonToEnd(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, _ := serve(t, Options{MetricsAddress: l.Addr().String()})
	var h Health
	if err := c.Get(t.Context(), "/v1/health", &h); err != nil {
		t.Error(err)
	}
}
