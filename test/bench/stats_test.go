package bench

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func TestQuantile(t *testing.T) {
	d := Durations{5, 1, 4, 2, 3}
	for q, want := range map[float64]time.Duration{0: 1, .5: 3, .99: 5, 1: 5} {
		if got := d.Quantile(q); got != want {
			t.Errorf("Quantile(%v) = %d, want %d", q, got, want)
		}
	}
	if got := (Durations{}).Quantile(.5); got != 0 {
		t.Errorf("Quantile of nothing = %d, want 0", got)
	}
}

func TestMemory(t *testing.T) {
	gone := exec.Command("true")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	m, err := memoryOf([]int{os.Getpid(), gone.Process.Pid})
	if err != nil || m.Processes != 1 || m.RSS == 0 || m.PSS == 0 || m.PSS > m.RSS {
		t.Errorf("memoryOf this process and one that ended: %+v, %v", m, err)
	}
	if _, err := memoryOf(nil); err == nil {
		t.Error("memoryOf nothing: no error")
	}
}

func TestCompare(t *testing.T) {
	a := Result{Consuming: Durations{3 * time.Second}, MemoryIdle: Memory{PSS: 330 << 20}, Many: Calls{PerSecond: 1000}}
	b := Result{Consuming: Durations{time.Second / 4}, MemoryIdle: Memory{PSS: 33 << 20}, Many: Calls{PerSecond: 9000}}
	var out strings.Builder
	if err := Compare(&out, "nova", a, "bolide", b); err != nil {
		t.Fatal(err)
	}
	flat := strings.Join(strings.Fields(out.String()), " ")
	for _, want := range []string{
		"| start to consuming, median | 3.00 s | 0.25 s | 12.0 |",
		"| memory (PSS), idle | 330 MiB | 33 MiB | 10.0 |",
		"| calls/s, 32 under way | 1000 | 9000 | 9.0 |",
	} {
		if !strings.Contains(flat, want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

func TestParseReply(t *testing.T) {
	good := `{"oslo.version":"2.0","oslo.message":"{\"_msg_id\":\"a\",\"ending\":true,\"failure\":null,\"result\":1}"}`
	if r, err := parseReply([]byte(good)); err != nil || r.ID != "a" || !r.Ending {
		t.Errorf("parseReply = %+v, %v", r, err)
	}
	for _, bad := range []string{``, `{}`, `{"oslo.message":"x"}`, `{"oslo.message":"{\"failure\":\"no\"}"}`} {
		if _, err := parseReply([]byte(bad)); err == nil {
			t.Errorf("parseReply(%s): no error", bad)
		}
	}
}
