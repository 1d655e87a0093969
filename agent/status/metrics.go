package status

import (
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// boardMetrics counts what passes over a Board. The label values are names of
// operations and steps, of which there are few.
type boardMetrics struct {
	running  *prometheus.GaugeVec
	duration *prometheus.HistogramVec
	steps    *prometheus.HistogramVec
}

// seconds are the buckets for things that take from milliseconds to minutes.
var seconds = prometheus.ExponentialBuckets(0.01, 2.5, 12) // 10 ms … 238 s

func newBoardMetrics(r prometheus.Registerer) *boardMetrics {
	if r == nil {
		return nil
	}
	m := &boardMetrics{
		running: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "bolide_operations_in_flight", Help: "Operations running now.",
		}, []string{"operation"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "bolide_operation_duration_seconds", Help: "Time that operations took.", Buckets: seconds,
		}, []string{"operation", "result"}),
		steps: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "bolide_operation_step_duration_seconds", Help: "Time that each step of an operation took.", Buckets: seconds,
		}, []string{"operation", "step"}),
	}
	r.MustRegister(m.running, m.duration, m.steps)
	return m
}

func (m *boardMetrics) begun(op Operation) {
	if m != nil {
		m.running.WithLabelValues(op.Name).Inc()
	}
}

func (m *boardMetrics) stepped(op Operation, took time.Duration) {
	if m != nil {
		m.steps.WithLabelValues(op.Name, op.Step).Observe(took.Seconds())
	}
}

func (m *boardMetrics) ended(op Operation) {
	if m == nil {
		return
	}
	result := "ok"
	if op.Error != "" {
		result = "failed"
	}
	m.running.WithLabelValues(op.Name).Dec()
	m.duration.WithLabelValues(op.Name, result).Observe(op.Ended.Sub(op.Started).Seconds())
}

// Metrics is what the node counts beside its operations. Everything is in
// Registry, to which more may be added.
type Metrics struct {
	Registry *prometheus.Registry
	rpc      *prometheus.HistogramVec
	cache    *prometheus.CounterVec
	libvirt  *prometheus.HistogramVec
}

// NewMetrics makes a registry with the metrics of the process and the node.
func NewMetrics() *Metrics {
	m := &Metrics{
		Registry: prometheus.NewRegistry(),
		rpc: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "bolide_rpc_duration_seconds", Help: "Time from a request to its answer.", Buckets: seconds,
		}, []string{"direction", "method", "result"}),
		cache: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "bolide_image_cache_requests_total", Help: "Images asked of the cache.",
		}, []string{"result"}),
		libvirt: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "bolide_libvirt_call_duration_seconds", Help: "Time that libvirt took to answer.", Buckets: seconds,
		}, []string{"call", "result"}),
	}
	m.Registry.MustRegister(m.rpc, m.cache, m.libvirt, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Directions of an RPC.
const (
	RPCIn  = "in"  // asked of this node
	RPCOut = "out" // asked by this node
)

// RPC counts a request that was answered. Methods must be known ones: the
// labels last as long as the process.
func (m *Metrics) RPC(direction, method string, took time.Duration, err error) {
	m.rpc.WithLabelValues(direction, method, resultOf(err)).Observe(took.Seconds())
}

// Results of asking the image cache.
const (
	CacheHit  = "hit"
	CacheMiss = "miss"
	CacheFail = "failed"
)

// ImageCache counts an image that was asked of the cache.
func (m *Metrics) ImageCache(result string) { m.cache.WithLabelValues(result).Inc() }

// Libvirt counts a call of libvirt. Calls are few: what can be tried.
func (m *Metrics) Libvirt(call string, took time.Duration, err error) {
	m.libvirt.WithLabelValues(call, resultOf(err)).Observe(took.Seconds())
}

// Queues are the operations that were accepted. Safe for concurrent use.
type Queues interface {
	Depth() int               // how many run, or wait for their instance
	OldestWaiting() time.Time // since when the one waits that waits longest; zero: none does
}

// Queues makes metrics of the queues, which are asked whenever metrics are read.
func (m *Metrics) Queues(q Queues) {
	m.Registry.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "bolide_operations_queued", Help: "Operations that run or wait for their instance.",
		}, func() float64 { return float64(q.Depth()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "bolide_operations_oldest_waiting_seconds", Help: "How long the operation has waited that waits longest for its instance.",
		}, func() float64 { return secondsSince(q.OldestWaiting()) }))
}

func secondsSince(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return time.Since(t).Seconds()
}

// ImageCacheSize makes a metric of what the image cache takes of the disk; size is
// called whenever metrics are read.
func (m *Metrics) ImageCacheSize(size func() (int64, error)) {
	m.Registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "bolide_image_cache_bytes", Help: "What cached images take of the disk; NaN when it cannot be read.",
	}, func() float64 {
		n, err := size()
		if err != nil {
			return math.NaN()
		}
		return float64(n)
	}))
}

func resultOf(err error) string {
	if err != nil {
		return "failed"
	}
	return "ok"
}
