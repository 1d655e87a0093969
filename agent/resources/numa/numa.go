// Package numa places guests with a NUMA topology on the cells of a host, exactly as Nova's scheduler does: both must
// come to the same answer, or the scheduler would send guests where they do not fit.
//
// The package is pure: values in, values out. Memory is in MiB, page sizes in KiB.
package numa

import (
	"slices"
)

// Host is the cells of a host with what is taken of each.
type Host struct{ Cells []Cell }

// Cell is one NUMA node of the host.
type Cell struct {
	ID       int
	Shared   Set // CPUs for guests that share them
	Pinnable Set // CPUs for guests that have them alone
	Pinned   Set // of Pinnable, taken
	Siblings []Set
	Memory   int64
	Pages    []Pages

	MemoryUsed int64
	CPUsUsed   int64 // shared vCPUs placed here

	Networks Networks // whose cards are at this cell
}

// Pages is the cell's memory in pages of one size.
type Pages struct{ SizeKiB, Total, Used, Reserved int64 }

func (p Pages) freeKiB() int64 { return (p.Total - p.Used - p.Reserved) * p.SizeKiB }

func (c Cell) free() Set { return c.Pinnable.minus(c.Pinned) }

// Policies of CPUs and of their threads, by Nova's names.
const (
	PolicyDedicated = "dedicated"
	PolicyMixed     = "mixed"
	ThreadsIsolate  = "isolate"
	ThreadsRequire  = "require"
)

// GuestCell is one NUMA node of a guest.
type GuestCell struct {
	ID        int // of the host's cell once it is placed
	Shared    Set // vCPUs that share the host's CPUs
	Dedicated Set // vCPUs that get a CPU each
	Memory    int64
	PageSize  int64 // KiB; -1 small, -2 large, -3 any; 0: none asked for
	Policy    string
	Threads   string

	Pinning  map[int]int // host CPU by vCPU
	Reserved Set         // host CPUs for the emulator
}

func (g GuestCell) pins() bool   { return g.Policy == PolicyDedicated || g.Policy == PolicyMixed }
func (g GuestCell) shares() bool { return g.Policy != PolicyDedicated }

// Limits is how far the scheduler promised the host over, and which networks the guest is to be near.
type Limits struct {
	CPURatio, RAMRatio float64
	Networks           Networks
}

// Request is a guest to be placed.
type Request struct {
	Cells            []GuestCell
	IsolatesEmulator bool    // one more CPU is set aside for the emulator, on the first cell
	Limits           *Limits // nil: nothing is limited
	Pack             bool    // cells in use are filled first
}

// Fit returns the guest's cells placed on the first permutation of the host's that takes them, or false.
func Fit(h Host, r Request) ([]GuestCell, bool) {
	if len(h.Cells) < len(r.Cells) {
		return nil, false
	}
	cells := slices.Clone(h.Cells)
	if len(cells) > len(r.Cells) {
		cells = ordered(cells, r)
	}
	var placed []GuestCell
	found := permute(cells, len(r.Cells), func(chosen []Cell) bool {
		out := make([]GuestCell, 0, len(chosen))
		for i, c := range chosen {
			reserve := 0
			if r.IsolatesEmulator && i == 0 {
				reserve = 1
			}
			g, ok := fitCell(c, r.Cells[i], r.Limits, reserve)
			if !ok {
				return false
			}
			out = append(out, g)
		}
		if r.Limits != nil && !r.Limits.Networks.reached(chosen, h.Cells) {
			return false
		}
		placed = out
		return true
	})
	return placed, found
}

// ordered sorts the cells by how willingly they are used: those with most room first, or last when guests are packed.
func ordered(cells []Cell, r Request) []Cell {
	by := func(key func(Cell) int64, descending bool) {
		slices.SortStableFunc(cells, func(a, b Cell) int {
			d := key(a) - key(b)
			if descending {
				d = -d
			}
			return int(d)
		})
	}
	by(func(c Cell) int64 { return c.Memory - c.MemoryUsed }, !r.Pack)
	if r.Cells[0].pins() {
		by(func(c Cell) int64 { return int64(len(c.free())) }, !r.Pack)
	} else {
		by(func(c Cell) int64 { return c.CPUsUsed }, r.Pack)
	}
	return cells
}

// permute calls try with every ordered choice of n cells until one succeeds.
func permute(cells []Cell, n int, try func([]Cell) bool) bool {
	chosen := make([]Cell, 0, n)
	used := make([]bool, len(cells))
	var next func() bool
	next = func() bool {
		if len(chosen) == n {
			return try(chosen)
		}
		for i, c := range cells {
			if used[i] {
				continue
			}
			used[i], chosen = true, append(chosen, c)
			if next() {
				return true
			}
			used[i], chosen = false, chosen[:len(chosen)-1]
		}
		return false
	}
	return next()
}

// fitCell places one cell of the guest on one of the host.
func fitCell(c Cell, g GuestCell, limits *Limits, reserve int) (GuestCell, bool) {
	if !fitMemory(c, &g) {
		return g, false
	}
	if g.pins() {
		need := len(g.Dedicated) + reserve
		if need > len(c.Pinnable) || need > len(c.free()) || g.Memory > c.Memory-c.MemoryUsed {
			return g, false
		}
	}
	if g.shares() && len(g.Shared) > len(c.Shared) {
		return g, false
	}
	if g.pins() && !pin(c, &g, reserve) {
		return g, false
	}
	if g.shares() && limits != nil {
		if float64(c.CPUsUsed)+float64(len(g.Shared)) > float64(len(c.Shared))*limits.CPURatio ||
			float64(c.MemoryUsed+g.Memory) > float64(c.Memory)*limits.RAMRatio {
			return g, false
		}
	}
	g.ID = c.ID
	return g, true
}

// fitMemory chooses the page size and reports whether the cell has the memory.
func fitMemory(c Cell, g *GuestCell) bool {
	kib := g.Memory << 10
	if len(c.Pages) == 0 {
		return g.PageSize == 0 && g.Memory <= c.Memory
	}
	sizes := slices.SortedFunc(slices.Values(c.Pages), func(a, b Pages) int { return int(a.SizeKiB - b.SizeKiB) })
	if g.PageSize == 0 {
		smallest := sizes[0]
		return kib <= smallest.Total*smallest.SizeKiB && kib%smallest.SizeKiB == 0
	}
	for _, p := range candidates(sizes, g.PageSize) {
		if kib <= p.freeKiB() && kib%p.SizeKiB == 0 {
			g.PageSize = p.SizeKiB
			return true
		}
	}
	return false
}

// candidates are the page sizes that satisfy what was asked for, best first; sizes are in ascending order.
func candidates(sizes []Pages, asked int64) []Pages {
	switch asked {
	case -1:
		return sizes[:1]
	case -2:
		large := slices.Clone(sizes[1:])
		slices.Reverse(large)
		return large
	case -3:
		all := slices.Clone(sizes)
		slices.Reverse(all)
		return all
	}
	i := slices.IndexFunc(sizes, func(p Pages) bool { return p.SizeKiB == asked })
	if i < 0 {
		return nil
	}
	return sizes[i : i+1]
}

// Use counts a placed guest into the host's cells.
func (h Host) Use(cells []GuestCell) {
	for i := range h.Cells {
		c := &h.Cells[i]
		for _, g := range cells {
			if g.ID == c.ID {
				c.use(g)
			}
		}
	}
}

// smallestPage is the size of the pages that hold what asked for none in particular; 0 where none are known.
func (c *Cell) smallestPage() int64 {
	var smallest int64
	for _, p := range c.Pages {
		if smallest == 0 || p.SizeKiB < smallest {
			smallest = p.SizeKiB
		}
	}
	return smallest
}

func (c *Cell) use(g GuestCell) {
	c.MemoryUsed += g.Memory
	c.CPUsUsed += int64(len(g.Shared))
	size := g.PageSize
	if size <= 0 {
		size = c.smallestPage()
	}
	for i := range c.Pages {
		if c.Pages[i].SizeKiB == size {
			c.Pages[i].Used += g.Memory << 10 / size
		}
	}
	if !g.pins() {
		return
	}
	taken := slices.Clone(g.Reserved)
	for _, cpu := range g.Pinning {
		taken = append(taken, cpu)
	}
	if g.Threads == ThreadsIsolate { // nobody may use the other threads of its cores
		for _, s := range c.Siblings {
			if slices.ContainsFunc(s, Set(taken).has) {
				taken = append(taken, s...)
			}
		}
	}
	c.Pinned = Set(append(slices.Clone(c.Pinned), taken...)).Sorted()
}
