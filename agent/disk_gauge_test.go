package agent

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"
)

// TestSilentDisk: while a file under the guests' directory does not answer the host has the figures that it had; when it
// does, it is measured again.
func TestSilentDisk(t *testing.T) {
	dir := t.TempDir()
	g := newDiskGauge(quiet())
	known, err := g.read(t.Context(), dir)
	if err != nil || known.total == 0 {
		t.Fatalf("%+v, %v", known, err)
	}
	guest := filepath.Join(dir, uuid.NewString())
	formats := filepath.Join(guest, "disk.info")
	for _, err := range []error{
		os.Mkdir(guest, 0o755), os.WriteFile(filepath.Join(guest, "disk"), nil, 0o600),
		unix.Mkfifo(formats, 0o600), // reading it hangs until somebody writes
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	g.limit = 20 * time.Millisecond
	for range 3 {
		if got, err := g.read(t.Context(), dir); err != nil || got != known {
			t.Errorf("%+v, %v; want %+v", got, err, known)
		}
	}
	if !g.silent.Load() {
		t.Error("nobody is told")
	}
	unknown := newDiskGauge(quiet())
	unknown.limit = g.limit
	if _, err := unknown.read(t.Context(), dir); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a host that never was measured: %v", err)
	}

	answer, err := os.OpenFile(formats, os.O_WRONLY, 0)
	for _, err := range []error{err, os.Remove(formats), answer.Close()} {
		if err != nil {
			t.Fatal(err)
		}
	}
	g.limit = gaugeLimit
	if _, err := g.read(t.Context(), dir); err != nil || g.silent.Load() {
		t.Errorf("afterwards: %v, silent: %t", err, g.silent.Load())
	}
}
