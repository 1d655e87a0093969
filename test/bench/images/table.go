package images

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"
)

// peak returns the highest resident memory of this process so far, in bytes.
func peak() (int64, error) {
	f, err := os.Open("/proc/self/status")
	if err != nil {
		return 0, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var kib int64
		if _, err := fmt.Sscanf(lines.Text(), "VmHWM: %d kB", &kib); err == nil {
			return kib << 10, nil
		}
	}
	return 0, fmt.Errorf("/proc/self/status tells no VmHWM: %w", lines.Err())
}

// Print writes the result as a table.
func (r Result) Print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(cells ...string) { _, _ = fmt.Fprintln(t, "| "+strings.Join(cells, "\t| ")+"\t|") }
	row("root disk of a boot", "nova", "bolide")
	row("---", "---", "---")
	sec := func(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }
	milli := func(d time.Duration) string { return fmt.Sprintf("%.1f ms", d.Seconds()*1e3) }
	mib := func(n int64) string { return fmt.Sprintf("%.0f MiB", float64(n)/(1<<20)) }
	first := r.Sizes[0]
	row(fmt.Sprintf("cold qcow2 image of %d MiB, %d MiB of them data", first.Virtual, first.Data), sec(r.Nova.Cold), sec(r.Bolide.Cold))
	row("bytes written for it", mib(r.Nova.Written), mib(r.Bolide.Written))
	row("cached image, median", milli(middle(r.Nova.Cached)), milli(middle(r.Bolide.Cached)))
	row("cached image, slowest", milli(last(r.Nova.Cached)), milli(last(r.Bolide.Cached)))
	for i, size := range r.Sizes {
		row(fmt.Sprintf("peak of memory, cold image with %d MiB of data", size.Data), mib(r.Nova.Peaks[i]), mib(r.Bolide.Peaks[i]))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	rate := func(d time.Duration) float64 { return float64(first.Data) / d.Seconds() }
	_, err := fmt.Fprintf(w, "\nconversion to raw: %.0f MiB/s of data; cp --sparse and sync of the same: %.0f MiB/s; %.0f %%\n",
		rate(r.Convert), rate(r.Copy), 100*float64(r.Copy)/float64(r.Convert))
	return err
}

func middle(d []time.Duration) time.Duration { return d[len(d)/2] }

func last(d []time.Duration) time.Duration { return d[len(d)-1] }
