package numa

import "slices"

// Set is a set of CPU numbers, in ascending order.
type Set []int

func (s Set) has(n int) bool { return slices.Contains(s, n) }

func (s Set) minus(other Set) Set {
	return slices.DeleteFunc(slices.Clone(s), other.has)
}

func (s Set) and(other Set) Set {
	return slices.DeleteFunc(slices.Clone(s), func(n int) bool { return !other.has(n) })
}

// Sorted returns the numbers in ascending order, each once.
func (s Set) Sorted() Set {
	out := slices.Clone(s)
	slices.Sort(out)
	return slices.Compact(out)
}

// pin gives each of the guest's dedicated vCPUs a CPU of the cell, and reserve CPUs to the emulator. It keeps to the
// guest's thread policy: "isolate" takes one thread of wholly free cores, "require" only threads that share cores, and
// otherwise cores are filled from those with most free threads.
func pin(c Cell, g *GuestCell, reserve int) bool {
	cores := freeCores(c)
	width := 1 // threads of a core
	for _, s := range c.Siblings {
		width = max(width, len(s))
	}
	if g.Threads == ThreadsIsolate {
		if width != 1 && !slices.Equal(c.Pinnable, c.Shared) {
			return false
		}
		whole := atLeast(cores, width)
		return assign(g, whole, 1) && setAside(g, atLeast(cores, 1), reserve)
	}
	if g.Threads == ThreadsRequire && width <= 1 {
		return false
	}
	for threads := width; threads >= 1; threads-- {
		if g.Threads == ThreadsRequire && threads <= 1 {
			continue
		}
		if assign(g, atLeast(cores, threads), threads) && setAside(g, atLeast(cores, 1), reserve) {
			return true
		}
	}
	if g.Threads == ThreadsRequire {
		return false
	}
	var singles []Set
	for _, core := range atLeast(cores, 1) {
		for _, cpu := range core {
			singles = append(singles, Set{cpu})
		}
	}
	return assign(g, singles, 1) && setAside(g, singles, reserve)
}

// freeCores is the free threads of every core.
func freeCores(c Cell) []Set {
	free := c.free()
	cores := make([]Set, 0, len(c.Siblings))
	for _, s := range c.Siblings {
		cores = append(cores, s.and(free))
	}
	return cores
}

// atLeast is the cores with so many free threads.
func atLeast(cores []Set, threads int) []Set {
	return slices.DeleteFunc(slices.Clone(cores), func(s Set) bool { return len(s) < threads })
}

// assign pins the vCPUs to so many threads of each core, in order, if there are enough.
func assign(g *GuestCell, cores []Set, threads int) bool {
	if threads*len(cores) < len(g.Dedicated) {
		return false
	}
	var cpus []int
	for _, core := range cores {
		cpus = append(cpus, core[:threads]...)
	}
	g.Pinning = map[int]int{}
	for i, vcpu := range g.Dedicated.Sorted() {
		g.Pinning[vcpu] = cpus[i]
	}
	return true
}

// setAside takes so many CPUs for the emulator that the pinning has left: other threads of its cores only where the
// guest does not want them alone.
func setAside(g *GuestCell, cores []Set, n int) bool {
	g.Reserved = nil
	if n == 0 {
		return true
	}
	var pinned Set
	for _, cpu := range g.Pinning {
		pinned = append(pinned, cpu)
	}
	var left Set
	for _, core := range cores {
		if taken := core.and(pinned); len(taken) > 0 && g.Threads == ThreadsIsolate {
			continue
		}
		left = append(left, core.minus(pinned)...)
	}
	if len(left) < n {
		return false
	}
	g.Reserved = left[:n]
	return true
}
