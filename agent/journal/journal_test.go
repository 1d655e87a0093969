package journal

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sirupsen/logrus"
	"github.com/sirupsen/logrus/hooks/test"
)

func open(t *testing.T, dir string) (*Journal, []*Entry, *test.Hook) {
	t.Helper()
	logger, hook := test.NewNullLogger()
	j, left, err := Open(dir, logrus.NewEntry(logger))
	if err != nil {
		t.Fatal(err)
	}
	return j, left, hook
}

func records(entries []*Entry) []Record {
	var out []Record
	for _, e := range entries {
		out = append(out, e.Record())
	}
	return out
}

func TestTheNextProcessReadsWhatIsUnderWay(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "journal")
	j, left, _ := open(t, dir)
	if len(left) != 0 {
		t.Fatalf("a new journal holds %v", records(left))
	}
	at := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	older := j.Begin(Record{Operation: "snapshot_instance", Instance: "a", RequestID: "req-1", Began: at})
	newer := j.Begin(Record{Operation: "build_and_run_instance", Instance: "b", RequestID: "req-2", Began: at.Add(time.Millisecond)})
	ended := j.Begin(Record{Operation: "stop_instance", Instance: "c", RequestID: "req-3"})
	older.Step("upload")
	older.Note(func(r *Record) { r.Images = append(r.Images, "image") })
	newer.Note(func(r *Record) { r.Ports = &Ports{Foreign: []string{"port"}} })
	ended.Step("power off")
	ended.End()
	ended.Step("too late")

	_, left, _ = open(t, dir)
	want := []Record{
		{Operation: "snapshot_instance", Instance: "a", RequestID: "req-1", Began: at, Step: "upload", Images: []string{"image"}},
		{Operation: "build_and_run_instance", Instance: "b", RequestID: "req-2", Began: at.Add(time.Millisecond), Ports: &Ports{Foreign: []string{"port"}}},
	}
	if diff := cmp.Diff(want, records(left)); diff != "" {
		t.Errorf("left by the process before (-want +got):\n%s", diff)
	}
	left[0].End()
	if _, left, _ = open(t, dir); len(left) != 1 {
		t.Errorf("%d records after one was ended, want 1", len(left))
	}
}

func TestDamagedFilesAreSetAside(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"1-cut.json": `{"operation":"reb`, "2-empty.json": "", "3-nothing.json": "{}", ".4-half.json": "{",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, left, hook := open(t, dir)
	if len(left) != 0 || len(hook.Entries) != 3 {
		t.Errorf("read %v with %d warnings, want nothing and 3", records(left), len(hook.Entries))
	}
	if _, _, hook = open(t, dir); len(hook.Entries) != 0 {
		t.Errorf("the second start warns again: %v", hook.LastEntry().Message)
	}
	if half, _ := filepath.Glob(filepath.Join(dir, ".*")); len(half) != 0 {
		t.Errorf("half written files stay: %v", half)
	}
}

func TestAJournalThatCannotBeWrittenStopsNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "journal")
	j, _, hook := open(t, dir)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	e := j.Begin(Record{Operation: "stop_instance", Instance: "a"})
	e.Step("power off")
	e.Note(func(r *Record) { r.Images = []string{"image"} })
	e.End()
	if len(hook.Entries) != 1 {
		t.Errorf("%d lines in the log, want one", len(hook.Entries))
	}
}

// TestWhatIsHalfWrittenGoes: no half of a record stays where the whole cannot be written.
func TestWhatIsHalfWrittenGoes(t *testing.T) {
	dir := t.TempDir()
	j, _, _ := open(t, dir)
	e := j.Begin(Record{Operation: "stop_instance", Instance: "a"})
	if err := errors.Join(os.Remove(e.path), os.Mkdir(e.path, 0o700)); err != nil { // in the way
		t.Fatal(err)
	}
	e.Step("power off")
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 || left[0].Name() != filepath.Base(e.path) {
		t.Errorf("left: %v, %v", left, err)
	}
}

func FuzzOpen(f *testing.F) {
	f.Add([]byte(`{"operation":"stop_instance","instance":"a","began":"2026-11-21T10:00:00Z","ports":{"before":["x"]}}`))
	f.Add([]byte(`{"ports":null,"images":[1]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "1.json"), raw, 0o600); err != nil {
			t.Fatal(err)
		}
		_, left, _ := open(t, dir)
		for _, r := range records(left) {
			if r.Instance == "" || r.Operation == "" {
				t.Errorf("read a record of nothing: %+v", r)
			}
		}
	})
}
