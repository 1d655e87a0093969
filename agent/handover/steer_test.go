package handover

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestDowntimes takes the progression that Nova documents for 3 GiB in 10 steps of 30 s each towards 400 ms.
func TestDowntimes(t *testing.T) {
	d := Downtimes{Longest: 400 * time.Millisecond, Steps: 10, Delay: 30 * time.Second}
	got := map[int]time.Duration{}
	for _, s := range []int{0, 1, 89, 91, 181, 451, 811, 901, 5000} {
		got[s] = d.At(time.Duration(s)*time.Second, 3) / time.Millisecond
	}
	want := map[int]time.Duration{0: 0, 1: 40, 89: 40, 91: 76, 181: 112, 451: 220, 811: 364, 901: 400, 5000: 400}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if (Downtimes{}).At(time.Hour, 3) != 0 {
		t.Error("no steps must leave the downtime to libvirt")
	}
}

func TestSizeCountsSmallThingsAsTwoGiB(t *testing.T) {
	for _, c := range []struct {
		memory int64
		disks  []int64
		want   float64
	}{
		{192, nil, 2}, {8192, nil, 8}, {192, []int64{1 << 20}, 4}, {3072, []int64{10 << 30, 5}, 15},
	} {
		if got := SizeGiB(c.memory, c.disks); got != c.want {
			t.Errorf("SizeGiB(%d, %v) = %v, want %v", c.memory, c.disks, got, c.want)
		}
	}
}

func TestReportsAreFew(t *testing.T) {
	start := time.Date(2026, 11, 21, 18, 0, 0, 0, time.UTC)
	var r Reports
	for _, c := range []struct {
		second, percent int
		due             bool
	}{
		{0, 0, true}, {1, 3, false}, {2, 9, false}, {3, 10, true}, {4, 12, false}, {32, 12, false}, {33, 12, true},
		{34, 2, false}, // memory is dirtied again
		{40, 100, true},
	} {
		if due := r.Due(start.Add(time.Duration(c.second)*time.Second), c.percent); due != c.due {
			t.Errorf("at %d s with %d%%: %v", c.second, c.percent, due)
		}
	}
}

func TestPercent(t *testing.T) {
	for _, c := range []struct {
		total, remaining uint64
		want             int
	}{{0, 0, 0}, {100, 100, 0}, {100, 0, 100}, {200, 1, 99}, {100, 500, 0}} {
		if got := Percent(c.total, c.remaining); got != c.want {
			t.Errorf("Percent(%d, %d) = %d, want %d", c.total, c.remaining, got, c.want)
		}
	}
}
