package numa

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// host is two cells of two cores of two threads and 1 GiB each.
func host() Host {
	cell := func(id, first int) Cell {
		cpus := Set{first, first + 1, first + 2, first + 3}
		return Cell{
			ID: id, Shared: cpus, Pinnable: cpus, Siblings: []Set{{first, first + 1}, {first + 2, first + 3}}, Memory: 1024,
			Pages: []Pages{{SizeKiB: 4, Total: 1 << 18}, {SizeKiB: 2048, Total: 64}},
		}
	}
	return Host{Cells: []Cell{cell(0, 0), cell(1, 4)}}
}

func shared(memory int64, vcpus ...int) GuestCell {
	return GuestCell{ID: -1, Shared: vcpus, Memory: memory}
}

func dedicated(threads string, vcpus ...int) GuestCell {
	return GuestCell{ID: -1, Dedicated: vcpus, Memory: 256, Policy: PolicyDedicated, Threads: threads}
}

func TestFitShared(t *testing.T) {
	for name, c := range map[string]struct {
		host  Host
		cells []GuestCell
		lim   *Limits
		want  []int // cells of the host, nil: does not fit
	}{
		"one cell":                 {host(), []GuestCell{shared(512, 0, 1)}, nil, []int{0}},
		"two cells":                {host(), []GuestCell{shared(512, 0, 1), shared(512, 2, 3)}, nil, []int{0, 1}},
		"more cells than the host": {host(), []GuestCell{shared(1, 0), shared(1, 1), shared(1, 2)}, nil, nil},
		"more CPUs than a cell":    {host(), []GuestCell{shared(512, 0, 1, 2, 3, 4)}, nil, nil},
		"more memory than a cell":  {host(), []GuestCell{shared(2048, 0)}, nil, nil},
		"within limits":            {host(), []GuestCell{shared(1024, 0)}, &Limits{CPURatio: 1, RAMRatio: 1}, []int{0}},
		"beyond limits":            {used(host(), shared(512, 0), shared(512, 1)), []GuestCell{shared(600, 0)}, &Limits{CPURatio: 16, RAMRatio: 1}, nil},
		"the emptier cell":         {used(host(), shared(512, 0)), []GuestCell{shared(512, 0)}, nil, []int{1}},
	} {
		t.Run(name, func(t *testing.T) {
			placed, ok := Fit(c.host, Request{Cells: c.cells, Limits: c.lim})
			var got []int
			for _, g := range placed {
				got = append(got, g.ID)
			}
			if diff := cmp.Diff(c.want, got); diff != "" || ok != (c.want != nil) {
				t.Errorf("fits: %v\n%s", ok, diff)
			}
		})
	}
}

// used counts guests into the host, the n-th on its n-th cell.
func used(h Host, guests ...GuestCell) Host {
	for i := range guests {
		guests[i].ID = i
	}
	h.Use(guests)
	return h
}

func TestFitDedicated(t *testing.T) {
	busy := host()
	busy.Cells[0].Pinned = Set{0}
	busy.Cells[1].Pinned = Set{4}
	for name, c := range map[string]struct {
		host  Host
		guest GuestCell
		cell  int
		want  map[int]int // nil: does not fit
	}{
		"fills cores":             {host(), dedicated("", 0, 1, 2), 0, map[int]int{0: 0, 1: 1, 2: 2}},
		"prefers whole cores":     {busy, dedicated("prefer", 0, 1), 0, map[int]int{0: 2, 1: 3}},
		"takes odd threads":       {busy, dedicated("", 0, 1, 2), 0, map[int]int{0: 1, 1: 2, 2: 3}},
		"isolate":                 {host(), dedicated(ThreadsIsolate, 0, 1), 0, map[int]int{0: 0, 1: 2}},
		"isolate wants all":       {busy, dedicated(ThreadsIsolate, 0, 1), 0, nil},
		"require":                 {host(), dedicated(ThreadsRequire, 0, 1), 0, map[int]int{0: 0, 1: 1}},
		"require without threads": {single(), dedicated(ThreadsRequire, 0), 0, nil},
		"more than there are":     {host(), dedicated("", 0, 1, 2, 3, 4), 0, nil},
	} {
		t.Run(name, func(t *testing.T) {
			placed, ok := Fit(c.host, Request{Cells: []GuestCell{c.guest}})
			if ok != (c.want != nil) {
				t.Fatalf("fits: %v", ok)
			}
			if !ok {
				return
			}
			if diff := cmp.Diff(c.want, placed[0].Pinning); diff != "" || placed[0].ID != c.cell {
				t.Errorf("cell %d\n%s", placed[0].ID, diff)
			}
		})
	}
}

// single is a host of one cell without threads.
func single() Host {
	cpus := Set{0, 1}
	return Host{Cells: []Cell{{Shared: cpus, Pinnable: cpus, Siblings: []Set{{0}, {1}}, Memory: 1024}}}
}

func TestEmulatorGetsItsOwn(t *testing.T) {
	placed, ok := Fit(host(), Request{Cells: []GuestCell{dedicated("", 0, 1)}, IsolatesEmulator: true})
	if !ok || !cmp.Equal(placed[0].Reserved, Set{2}) {
		t.Errorf("fits: %v, reserved %v", ok, placed)
	}
	if _, ok := Fit(host(), Request{Cells: []GuestCell{dedicated("", 0, 1, 2, 3)}, IsolatesEmulator: true}); ok {
		t.Error("four vCPUs and the emulator fit on four CPUs")
	}
}

func TestPageSizes(t *testing.T) {
	for name, c := range map[string]struct{ asked, memory, want int64 }{
		"large":      {-2, 64, 2048},
		"any":        {-3, 64, 2048},
		"any, small": {-3, 512, 4},
		"small":      {-1, 64, 4},
		"2 MiB":      {2048, 128, 2048},
	} {
		placed, ok := Fit(host(), Request{Cells: []GuestCell{{Shared: Set{0}, Memory: c.memory, PageSize: c.asked}}})
		if !ok || placed[0].PageSize != c.want {
			t.Errorf("%s: %v, %+v", name, ok, placed)
		}
	}
	for name, g := range map[string]GuestCell{
		"not enough":     {Shared: Set{0}, Memory: 256, PageSize: 2048},
		"no such size":   {Shared: Set{0}, Memory: 64, PageSize: 1 << 20},
		"not a multiple": {Shared: Set{0}, Memory: 63, PageSize: 2048},
	} {
		if placed, ok := Fit(host(), Request{Cells: []GuestCell{g}}); ok {
			t.Errorf("%s: fits %+v", name, placed)
		}
	}
}

func TestUse(t *testing.T) {
	h := host()
	g, ok := Fit(h, Request{Cells: []GuestCell{{Dedicated: Set{0}, Memory: 64, PageSize: 2048, Policy: PolicyDedicated, Threads: ThreadsIsolate}}})
	if !ok {
		t.Fatal("does not fit")
	}
	h.Use(g)
	c := h.Cells[0]
	if diff := cmp.Diff(Set{0, 1}, c.Pinned); diff != "" {
		t.Error("the other thread of an isolated core is free\n", diff)
	}
	if c.MemoryUsed != 64 || c.Pages[1].Used != 32 || c.CPUsUsed != 0 {
		t.Errorf("cell after use: %+v", c)
	}
}
