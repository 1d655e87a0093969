package enclave

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestDirIsHeldOnce(t *testing.T) {
	dir := Dir(filepath.Join(t.TempDir(), "cloud"))
	if _, err := dir.Running(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Running before anything was there: %v, want %v", err, fs.ErrNotExist)
	}
	unlock, err := dir.take()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := dir.take(); !errors.Is(err, ErrInUse) {
		t.Errorf("second take: %v, want %v", err, ErrInUse)
	}
	if err := os.WriteFile(dir.pid(), []byte("42\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if pid, err := dir.Running(); err != nil || pid != 42 {
		t.Errorf("Running = %d, %v; want 42", pid, err)
	}
	unlock()
	if _, err := dir.Running(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Running afterwards: %v, want %v", err, fs.ErrNotExist)
	}
}

// TestDirKeepsLogs: what a run leaves is its logs and configuration, and the
// next run begins without them.
func TestDirKeepsLogs(t *testing.T) {
	dir := Dir(t.TempDir())
	exists := func(name string) bool {
		_, err := os.Stat(filepath.Join(string(dir), name))
		return err == nil
	}
	unlock, err := dir.take()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"log", "etc", "var"} {
		if err := os.Mkdir(filepath.Join(string(dir), name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	unlock()
	if !exists("log") || !exists("etc") || exists("var") {
		t.Errorf("after a run: log %v, etc %v, var %v; want only the first two", exists("log"), exists("etc"), exists("var"))
	}
	unlock, err = dir.take()
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	if exists("log") || exists("etc") {
		t.Error("the next run finds logs or configuration of the one before")
	}
}
