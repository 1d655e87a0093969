package moves

import (
	"flag"
	"io"
	"net/http"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"

	"bolide/agent/status"
	"bolide/test/controller/compute"
)

var crowd = flag.Int("crowd", 0, "how many guests TestCrowd measures a node with; 0: it does not")

// crowdAtOnce is how many guests of a crowd are booted at a time.
const crowdAtOnce = 8

// TestCrowd measures a node that has many guests: its status page, its memory, its audit and its start. It asserts no
// time; `make bench` prints what it finds.
func TestCrowd(t *testing.T) {
	if *crowd == 0 {
		t.Skip("no -crowd")
	}
	c := twoHosts(t, "[DEFAULT]\ncpu_allocation_ratio = 256\nram_allocation_ratio = 8\ndisk_allocation_ratio = 16\n"+
		"[vnc]\nenabled = false\n") // the tests' libvirtd has few ports for displays
	var err error
	if c.flavor, err = c.Compute.AddFlavor(compute.FlavorOptions{Name: "crowd", MemoryMB: 16, VCPUs: 1, RootGB: 1}); err != nil {
		t.Fatal(err)
	}
	one, two := c.hosts["one"], c.hosts["two"]
	var s status.DrainState
	if err := two.socket().Put(t.Context(), "/v1/drain", nil, &s); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	c.bootMany(*crowd)
	t.Logf("%d guests booted in %.0f s", *crowd, time.Since(began).Seconds())
	one.measure("with the guests booted")
	began = time.Now()
	one.restart()
	t.Logf("%.2f s from a kill to serving again", time.Since(began).Seconds())
	one.measure("after a start")
}

// bootMany boots guests, some at a time, and pauses them, so that their emulation costs nothing.
func (c *cloud) bootMany(n int) {
	c.t.Helper()
	for left := n; left > 0; left -= crowdAtOnce {
		batch := make([]*server, min(left, crowdAtOnce))
		for i := range batch {
			batch[i] = c.request("none")
		}
		for _, s := range batch {
			s.settles("ACTIVE", "")
			s.act("pause", nil)
		}
		for _, s := range batch {
			s.settles("PAUSED", "")
		}
	}
}

var residentMemory = regexp.MustCompile(`(?m)^process_resident_memory_bytes (\S+)$`)

// measure logs what looking at the node costs.
func (h *host) measure(when string) {
	t := h.c.t
	t.Helper()
	var page, verb []time.Duration
	var s status.Snapshot
	for range 20 {
		began := time.Now()
		if err := h.socket().Get(t.Context(), "/v1/status", &s); err != nil {
			t.Fatal(err)
		}
		page = append(page, time.Since(began))
		began = time.Now()
		if out, err := exec.Command(binary, "status", "--socket", h.Path("bolide.sock")).CombinedOutput(); err != nil {
			t.Fatalf("bolide status: %v: %s", err, out)
		}
		verb = append(verb, time.Since(began))
	}
	body, err := h.socket().Open(t.Context(), http.MethodGet, "/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	text, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	resident, err := strconv.ParseFloat(string(residentMemory.FindSubmatch(text)[1]), 64)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	_, err = exec.Command(binary, "audit", "--socket", h.Path("bolide.sock")).CombinedOutput()
	audit := time.Since(began)
	slices.Sort(page)
	slices.Sort(verb)
	t.Logf("%s, %d guests: status over the socket %s, the whole of bolide status %s (medians of %d, slowest %s), memory %.0f MiB resident, audit %s (%v)",
		when, len(s.Instances), page[10], verb[10], len(page), verb[len(verb)-1], resident/(1<<20), audit.Round(time.Millisecond), err)
}
