package numa

import (
	"bufio"
	"encoding/json"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// placement is one question that was put to Nova's own code, and its answer. testdata/generate.py made them.
type placement struct {
	Host []struct {
		ID                       int
		Shared, Pinnable, Pinned Set
		Siblings                 []Set
		Memory                   int64
		MemoryUsed               int64 `json:"memory_used"`
		CPUsUsed                 int64 `json:"cpus_used"`
		Pages                    [][4]int64
		Physnets                 []string
		Tunneled                 bool
	}
	Guest struct {
		Cells []struct {
			ID                int
			Shared, Dedicated Set
			Memory, Page      int64
			Policy, Threads   string
		}
		Isolates, Pack bool
		Limits         *struct {
			CPU, RAM float64
			Physnets []string
			Tunneled bool
		}
	}
	Nova *answer
}

// answer is where the guest's cells went, and what was then used of the host; a null one is that it does not fit.
type answer struct {
	Cells []placedCell
	Used  []usedCell
}

type placedCell struct {
	ID       int
	Page     int64
	Pinning  [][2]int
	Reserved Set
}

type usedCell struct {
	Pinned       Set
	Memory, CPUs int64
	Pages        []int64
}

func (p placement) host() Host {
	var h Host
	for _, c := range p.Host {
		cell := Cell{
			ID: c.ID, Shared: c.Shared, Pinnable: c.Pinnable, Pinned: c.Pinned, Siblings: c.Siblings, Memory: c.Memory,
			MemoryUsed: c.MemoryUsed, CPUsUsed: c.CPUsUsed, Networks: Networks{c.Physnets, c.Tunneled},
		}
		for _, s := range c.Pages {
			cell.Pages = append(cell.Pages, Pages{SizeKiB: s[0], Total: s[1], Used: s[2], Reserved: s[3]})
		}
		h.Cells = append(h.Cells, cell)
	}
	return h
}

func (p placement) request() Request {
	r := Request{IsolatesEmulator: p.Guest.Isolates, Pack: p.Guest.Pack}
	if l := p.Guest.Limits; l != nil {
		r.Limits = &Limits{l.CPU, l.RAM, Networks{l.Physnets, l.Tunneled}}
	}
	for _, c := range p.Guest.Cells {
		r.Cells = append(r.Cells, GuestCell{
			ID: c.ID, Shared: c.Shared, Dedicated: c.Dedicated, Memory: c.Memory, PageSize: c.Page, Policy: c.Policy, Threads: c.Threads,
		})
	}
	return r
}

// ours is the answer of this package.
func (p placement) ours() *answer {
	h := p.host()
	placed, ok := Fit(h, p.request())
	if !ok {
		return nil
	}
	a := &answer{}
	for _, g := range placed {
		c := placedCell{ID: g.ID, Page: g.PageSize, Reserved: g.Reserved}
		for vcpu := range 64 {
			if cpu, ok := g.Pinning[vcpu]; ok {
				c.Pinning = append(c.Pinning, [2]int{vcpu, cpu})
			}
		}
		a.Cells = append(a.Cells, c)
	}
	h.Use(placed)
	for _, c := range h.Cells {
		u := usedCell{Pinned: c.Pinned, Memory: c.MemoryUsed, CPUs: c.CPUsUsed}
		for _, s := range c.Pages {
			u.Pages = append(u.Pages, s.Used)
		}
		a.Used = append(a.Used, u)
	}
	return a
}

// TestPlacementsAreNovas asks for 300 guests what Nova was asked for.
func TestPlacementsAreNovas(t *testing.T) {
	f, err := os.Open("testdata/placements.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	n := 0
	for ; lines.Scan(); n++ {
		var p placement
		if err := json.Unmarshal(lines.Bytes(), &p); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(p.Nova, p.ours(), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("line %d: %s\n(-Nova +Bolide)\n%s", n+1, lines.Text(), diff)
		}
	}
	if err := lines.Err(); err != nil || n < 300 {
		t.Fatalf("%d placements read: %v", n, err)
	}
}
