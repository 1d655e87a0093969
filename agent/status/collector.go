package status

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// sourceCollector makes metrics of a Snapshot whenever they are read.
type sourceCollector struct {
	source  Source
	board   *Board
	timeout time.Duration
}

var (
	infoDesc        = prometheus.NewDesc("bolide_info", "Always 1; the labels say what runs.", []string{"version", "release", "host"}, nil)
	startDesc       = prometheus.NewDesc("bolide_start_time_seconds", "When the daemon started, in seconds since 1970.", nil, nil)
	servingDesc     = prometheus.NewDesc("bolide_serving", "1 while requests are taken.", nil, nil)
	drainedDesc     = prometheus.NewDesc("bolide_drained", "1 while no new guests are taken.", nil, nil)
	oldestDesc      = prometheus.NewDesc("bolide_operations_oldest_running_seconds", "How long the operation has run that runs longest.", nil, nil)
	linkDesc        = prometheus.NewDesc("bolide_link_up", "1 while the link works.", []string{"link"}, nil)
	linkSuccessDesc = prometheus.NewDesc("bolide_link_last_success_timestamp_seconds", "When the link last answered, in seconds since 1970.", []string{"link"}, nil)
	instancesDesc   = prometheus.NewDesc("bolide_instances", "Instances on the node.", []string{"vm_state", "power_state"}, nil)
	totalDesc       = prometheus.NewDesc("bolide_capacity", "What the host has: VCPUs, MiB, GiB.", []string{"resource"}, nil)
	reservedDesc    = prometheus.NewDesc("bolide_capacity_reserved", "What is kept for the host: VCPUs, MiB, GiB.", []string{"resource"}, nil)
	claimedDesc     = prometheus.NewDesc("bolide_capacity_claimed", "What guests claim: VCPUs, MiB, GiB.", []string{"resource"}, nil)
)

// Describe implements prometheus.Collector.
func (c *sourceCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{infoDesc, startDesc, servingDesc, drainedDesc, oldestDesc, linkDesc, linkSuccessDesc, instancesDesc, totalDesc, reservedDesc, claimedDesc} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *sourceCollector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), c.timeout) // the interface hands no context down
	defer cancel()
	s := c.source.Snapshot(ctx)
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(infoDesc, 1, s.Version, s.Release, s.Host)
	gauge(startDesc, unixSeconds(s.StartedAt))
	gauge(servingDesc, oneIf(s.Serving))
	gauge(drainedDesc, oneIf(s.Drain != nil))
	gauge(oldestDesc, c.oldest())
	for _, l := range s.Links {
		gauge(linkDesc, oneIf(l.State != Fail), l.Name)
		gauge(linkSuccessDesc, unixSeconds(l.LastSuccess), l.Name)
	}
	states := map[[2]string]float64{}
	for _, i := range s.Instances {
		states[[2]string{i.VMState, i.PowerState}]++
	}
	for k, n := range states {
		gauge(instancesDesc, n, k[0], k[1])
	}
	for name, r := range map[string]Resource{"vcpu": s.Capacity.VCPU, "memory_mb": s.Capacity.MemoryMB, "disk_gb": s.Capacity.DiskGB} {
		gauge(totalDesc, float64(r.Total), name)
		gauge(reservedDesc, float64(r.Reserved), name)
		gauge(claimedDesc, float64(r.Claimed), name)
	}
}

// oldest is how long the operation has run that runs longest, in seconds.
func (c *sourceCollector) oldest() float64 {
	if ops := c.board.Operations(); len(ops) > 0 { // oldest first
		return secondsSince(ops[0].Started)
	}
	return 0
}

func unixSeconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixNano()) / 1e9
}

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
