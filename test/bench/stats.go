package bench

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// Durations are measurements of the same thing.
type Durations []time.Duration

// Quantile returns the duration that the fraction q of all do not exceed; 0 of
// none.
func (d Durations) Quantile(q float64) time.Duration {
	if len(d) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(d))
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// Memory is what a program and its helpers hold.
type Memory struct {
	RSS, PSS  int64 // bytes; the latter shares out what several processes map
	Processes int
}

// memoryOf measures processes.
func memoryOf(pids []int) (Memory, error) {
	var m Memory
	for _, pid := range pids {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if errors.Is(err, fs.ErrNotExist) {
			continue // ended meanwhile
		}
		if err != nil {
			return m, err
		}
		m.RSS += field(string(b), "Rss:")
		m.PSS += field(string(b), "Pss:")
		m.Processes++
	}
	if m.Processes == 0 {
		return m, errors.New("measure memory: the node does not run")
	}
	return m, nil
}

// field returns a value of smaps_rollup in bytes.
func field(rollup, name string) int64 {
	for line := range strings.Lines(rollup) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == name {
			kib, _ := strconv.ParseInt(f[1], 10, 64)
			return kib << 10
		}
	}
	return 0
}

// Print says what no node can exceed.
func (l Limit) Print(w io.Writer) {
	_, _ = fmt.Fprintf(w, "the broker and this program alone: %.0f calls/s with 1 under way, %.0f with 32, p99 %.2f ms\n",
		l.One.PerSecond, l.Many.PerSecond, float64(l.Many.Durations.Quantile(.99))/float64(time.Millisecond))
}

// Compare prints two results side by side, and how many times better the second
// is.
func Compare(w io.Writer, nameA string, a Result, nameB string, b Result) error {
	seconds := func(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }
	millis := func(d time.Duration) string { return fmt.Sprintf("%.2f ms", float64(d)/float64(time.Millisecond)) }
	mib := func(n int64) string { return fmt.Sprintf("%.0f MiB", float64(n)/(1<<20)) }
	times := func(a, b float64) string {
		if b == 0 {
			return "–"
		}
		return fmt.Sprintf("%.1f", a/b)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(cells ...string) { _, _ = fmt.Fprintln(t, "| "+strings.Join(cells, "\t| ")+"\t|") }
	row("", nameA, nameB, "times better")
	row("---", "---", "---", "---")
	durations := func(what string, show func(time.Duration) string, a, b time.Duration) {
		row(what, show(a), show(b), times(float64(a), float64(b)))
	}
	durations("start to consuming, median", seconds, a.Consuming.Quantile(.5), b.Consuming.Quantile(.5))
	for _, m := range []struct {
		what string
		a, b Memory
	}{{"idle", a.MemoryIdle, b.MemoryIdle}, {"with the burst's guests", a.MemoryWorked, b.MemoryWorked}} {
		row("memory (PSS), "+m.what, mib(m.a.PSS), mib(m.b.PSS), times(float64(m.a.PSS), float64(m.b.PSS)))
		row("memory (RSS), "+m.what, mib(m.a.RSS), mib(m.b.RSS), times(float64(m.a.RSS), float64(m.b.RSS)))
	}
	row("processes", strconv.Itoa(a.MemoryWorked.Processes), strconv.Itoa(b.MemoryWorked.Processes), "")
	for _, c := range []struct {
		what string
		a, b Calls
	}{{"1 under way", a.One, b.One}, {"32 under way", a.Many, b.Many}} {
		row("calls/s, "+c.what, fmt.Sprintf("%.0f", c.a.PerSecond), fmt.Sprintf("%.0f", c.b.PerSecond), times(c.b.PerSecond, c.a.PerSecond))
		durations("call, "+c.what+", median", millis, c.a.Durations.Quantile(.5), c.b.Durations.Quantile(.5))
		durations("call, "+c.what+", p99", millis, c.a.Durations.Quantile(.99), c.b.Durations.Quantile(.99))
	}
	durations("boot, median", seconds, a.Boot.Quantile(.5), b.Boot.Quantile(.5))
	durations("boot, slowest", seconds, a.Boot.Quantile(1), b.Boot.Quantile(1))
	durations("delete, median", seconds, a.Delete.Quantile(.5), b.Delete.Quantile(.5))
	durations("burst of boots", seconds, a.Burst, b.Burst)
	return t.Flush()
}
