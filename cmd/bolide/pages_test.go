package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bolide/agent/audit"
	"bolide/agent/status"
)

// golden compares with testdata/NAME, or writes it with -update.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Error(d)
	}
}

func sampleSnapshot() *status.Snapshot {
	s := sampleSource{}.Snapshot(context.Background())
	b, _ := sampleBoard()
	s.Health, s.Operations, s.Failures = status.Warn, b.Operations(), b.Failures()
	return &s
}

func TestPages(t *testing.T) {
	st := style{now: now}
	s := sampleSnapshot()
	board, _ := sampleBoard()
	t.Run("status", func(t *testing.T) { golden(t, "status.txt", statusPage(st, s)) })
	t.Run("status in colours", func(t *testing.T) {
		golden(t, "status-colours.txt", statusPage(style{now: now, colours: true, width: 100}, s))
	})
	t.Run("nothing to show", func(t *testing.T) {
		golden(t, "status-empty.txt", statusPage(st, &status.Snapshot{Host: "node-1", Health: status.Pass, StartedAt: now}))
	})
	t.Run("drained", func(t *testing.T) {
		golden(t, "status-drained.txt", statusPage(st, &status.Snapshot{
			Host: "node-1", Health: status.Pass, StartedAt: now, Instances: s.Instances[:1],
			Drain: &status.Drain{Since: now.Add(-time.Minute), Problem: "tell the control plane: no conductor answers"},
		}))
	})
	t.Run("instances", func(t *testing.T) {
		var b bytes.Buffer
		printInstances(&b, st, s.Instances)
		golden(t, "instances.txt", b.Bytes())
	})
	t.Run("instance", func(t *testing.T) {
		in, _ := sampleGuests{}.Inspect(t.Context(), "")
		d := status.InstanceDetail{Instance: s.Instances[0], Inspection: in}
		var b bytes.Buffer
		printInstance(&b, st, &d)
		golden(t, "instance.txt", b.Bytes())
	})
	t.Run("operations", func(t *testing.T) {
		var b bytes.Buffer
		for _, o := range append(board.Finished(), board.Operations()...) {
			printOperation(&b, st, &o)
		}
		golden(t, "operations.txt", b.Bytes())
	})
}

// The picture in the README is what is shown.
func TestReadmeShowsThePage(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	if page := statusPage(style{now: now}, sampleSnapshot()); !bytes.Contains(readme, page) {
		t.Errorf("README.md does not show this page:\n%s", page)
	}
}

// Text from guests, images and users must not speak to the terminal.
func TestPagesAreSafe(t *testing.T) {
	evil := "x\x1b[2J\x07\u009bm\ny"
	s := &status.Snapshot{
		Host: evil, Release: evil, Version: evil,
		Links:      []status.Link{{Name: evil, Peer: evil, Error: evil}},
		Instances:  []status.Instance{{UUID: evil, Name: evil, VMState: evil, TaskState: evil, PowerState: evil, Problem: evil}},
		Operations: []status.Operation{{Name: evil, Step: evil, Instance: evil, Started: now}},
		Failures:   []status.Failure{{Operation: evil, Step: evil, Reason: evil, Next: evil, Instance: evil}},
	}
	var b bytes.Buffer
	b.Write(statusPage(style{now: now}, s))
	printInstances(&b, style{now: now}, s.Instances)
	printInstance(&b, style{now: now}, &status.InstanceDetail{Instance: s.Instances[0], Operations: s.Operations})
	if bytes.ContainsAny(b.Bytes(), "\x1b\x07\u009b") {
		t.Errorf("control characters come through:\n%q", b.String())
	}
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second:            "0 s",
		1230 * time.Millisecond: "1.2 s",
		59 * time.Second:        "59 s",
		61 * time.Second:        "1 min 1 s",
		3*time.Hour + 12*60e9:   "3 h 12 min",
		50 * time.Hour:          "2 days 2 h",
	} {
		if got := span(d); got != want {
			t.Errorf("span(%v) = %s, want %s", d, got, want)
		}
	}
}

func TestBar(t *testing.T) {
	for _, tt := range []struct {
		done, total int64
		bar, per    string
	}{
		{0, 10, "░░░░", "0%"}, {5, 10, "██░░", "50%"}, {20, 10, "████", "100%"}, {-1, 10, "░░░░", "0%"}, {1, 0, "", ""},
	} {
		if b, p := bar(tt.done, tt.total, 4), percent(tt.done, tt.total); b != tt.bar || p != tt.per {
			t.Errorf("%d of %d: %s %s, want %s %s", tt.done, tt.total, b, p, tt.bar, tt.per)
		}
	}
}

func TestBytesOf(t *testing.T) {
	for n, want := range map[int64]string{5: "5 B", 1536: "1.5 KiB", 20 << 30: "20.0 GiB"} {
		if got := bytesOf(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

func TestFirstLines(t *testing.T) {
	for n, want := range map[int]string{0: "a\nb\nc\n", 2: "a\nb\n", 9: "a\nb\nc\n"} {
		if got := string(firstLines([]byte("a\nb\nc\n"), n)); got != want {
			t.Errorf("%d lines: %q, want %q", n, got, want)
		}
	}
}

func TestReportPage(t *testing.T) {
	r := &audit.Report{Host: "node-1", Guests: 3, Seconds: 0.25, Differences: []audit.Difference{
		{Kind: audit.UnknownGuest, Instance: "5a0c6ba1-2b0c-4d0e-9f3a-111111111111", Object: "mine", Text: "Nova knows nothing of this guest, which is running",
			Mend: "virsh dominfo mine (Bolide never removes it)"},
		{Kind: audit.LeftTap, Object: "tap0a1b2c3d-4e", Text: "no instance here has the port 0a1b2c3d-4e…", Mend: "bolide audit --fix left-tap",
			Fixable: true, Outcome: audit.Mended},
		{Kind: audit.LeftTap, Object: "tap0a1b2c3d-4f", Text: "no instance here has the port 0a1b2c3d-4f…", Mend: "bolide audit --fix left-tap",
			Fixable: true, Outcome: "tap tap0a1b2c3d-4f is in use"},
	}}
	var b bytes.Buffer
	printReport(&b, style{now: now}, r)
	printReport(&b, style{now: now}, &audit.Report{Host: "node-1", Guests: 3})
	golden(t, "audit.txt", b.Bytes())
	if !differencesLeft(r) || differencesLeft(&audit.Report{}) {
		t.Error("differences that are left, and those that are not, are taken for each other")
	}
}
